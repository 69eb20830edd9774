//! `/user/…`: files of the directory that `--web.user-assets` names.
//!
//! Always true: no path leads out of the directory (links in it are followed, as the operator made them); only regular files and
//! directories are opened; a file is read a piece at a time, on a blocking thread.
//! Facts: Go's `http.FileServer` as Prometheus uses it: `index.html`, lists of directories, redirects to and from the slash.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use narthex_net::server::{Body, Made, PieceSource, Request, Response};

use crate::answer::{error_text, with_type};
use crate::consoles::{content_type, inside};
use crate::site::Shared;

/// How much is read at a time, bytes.
const PIECE: usize = 64 << 10;
/// How much of a file tells its type when its name does not, bytes; Go's number.
const SNIFFED: usize = 512;

/// Types by the end of the name; those that Go has built in, and what pages are made of.
const TYPES: [(&str, &str); 23] = [
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "text/xml; charset=utf-8"),
];

/// Answers one request; `asked` is what stands after `/user/`.
pub(crate) async fn answer(shared: &Arc<Shared>, asked: &[u8], request: Request) -> Response {
    let Some(path) = inside(asked) else {
        return error_text(StatusCode::NOT_FOUND, "404 page not found");
    };
    let site = Arc::clone(shared);
    let since = request.head.headers.get(header::IF_MODIFIED_SINCE).cloned();
    let query = request.head.uri.query().map_or_else(String::new, |q| format!("?{q}"));
    let asked = String::from_utf8_lossy(asked).into_owned();
    let open = move || {
        let file = Path::new(&site.options.user_assets).join(&path);
        open(&file, &asked, &query, since.as_ref())
    };
    match tokio::task::spawn_blocking(open).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failure(&error),
        Err(_) => error_text(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error"),
    }
}

/// What cannot be opened, without a word about the server's file system.
fn failure(error: &std::io::Error) -> Response {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        NotFound | NotADirectory => error_text(StatusCode::NOT_FOUND, "404 page not found"),
        PermissionDenied => error_text(StatusCode::FORBIDDEN, "403 Forbidden"),
        _ => error_text(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error"),
    }
}

/// Answers with `file`, which `asked` leads to; whether that ends with a slash says whether a directory is meant.
fn open(file: &Path, asked: &str, query: &str, since: Option<&HeaderValue>) -> std::io::Result<Response> {
    let wants_directory = asked.is_empty() || asked.ends_with('/');
    let name = asked.trim_end_matches('/').rsplit('/').next().unwrap_or("");
    if name == "index.html" && !wants_directory {
        return Ok(moved(&format!("./{query}")));
    }
    let meta = std::fs::metadata(file)?;
    if !meta.is_dir() {
        return if wants_directory {
            Ok(moved(&format!("../{}{query}", escape_path(name))))
        } else {
            whole(file, &meta, since)
        };
    }
    if !wants_directory {
        return Ok(moved(&format!("{}/{query}", escape_path(name))));
    }
    let index = file.join("index.html");
    match std::fs::metadata(&index) {
        Ok(meta) if !meta.is_dir() => whole(&index, &meta, since),
        _ => list(file, &meta, since),
    }
}

/// A redirect to a neighbour; Go sends no page with it.
fn moved(to: &str) -> Response {
    let Ok(to) = HeaderValue::from_str(to) else {
        return error_text(StatusCode::BAD_REQUEST, "the path cannot stand in a Location header");
    };
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(header::LOCATION, to);
    response
}

/// Status 304 when the client has this state; otherwise `Last-Modified` is set.
fn unless_known(meta: &Metadata, since: Option<&HeaderValue>, headers: &mut HeaderMap) -> Option<Response> {
    let modified = jiff::Timestamp::try_from(meta.modified().ok()?).ok()?;
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    let modified = HeaderValue::from_str(&printer.timestamp_to_rfc9110_string(&modified).ok()?).ok()?;
    let is_known = since == Some(&modified);
    headers.insert(header::LAST_MODIFIED, modified);
    is_known.then(|| {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.headers_mut() = std::mem::take(headers);
        response
    })
}

/// A file, which is read while it is sent.
fn whole(path: &Path, meta: &Metadata, since: Option<&HeaderValue>) -> std::io::Result<Response> {
    if !meta.is_file() {
        // A pipe could keep the thread for ever.
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut headers = HeaderMap::new();
    if let Some(known) = unless_known(meta, since, &mut headers) {
        return Ok(known);
    }
    let mut file = File::open(path)?;
    let mut first = Vec::new();
    file.by_ref().take(PIECE as u64).read_to_end(&mut first)?;
    let kind = kind(path, &first);
    let is_all = first.len() as u64 == meta.len();
    let body = if is_all {
        Body::from(first)
    } else {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(meta.len()));
        let left = meta.len().saturating_sub(first.len() as u64);
        Body::Made(Box::new(Made::new(VecDeque::from([Bytes::from(first)]), Box::new(Pieces { file, left }))))
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    Ok(response)
}

/// The rest of a file. When it became shorter meanwhile the connection breaks off, as its length was told.
struct Pieces {
    file: File,
    left: u64,
}

impl PieceSource for Pieces {
    fn next(&mut self) -> Option<Bytes> {
        let mut piece = Vec::new();
        let wanted = self.left.min(PIECE as u64);
        self.file.by_ref().take(wanted).read_to_end(&mut piece).ok()?;
        self.left -= piece.len() as u64;
        (!piece.is_empty()).then(|| Bytes::from(piece))
    }
}

/// By the name, or else by the first bytes.
fn kind(path: &Path, first: &[u8]) -> &'static str {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or("").to_ascii_lowercase();
    if let Some((_, kind)) = TYPES.iter().find(|(known, _)| *known == end) {
        return kind;
    }
    let seen = &first[..first.len().min(SNIFFED)];
    if seen.iter().any(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | 0x0c | b'\r' | 0x1b)) {
        return "application/octet-stream";
    }
    content_type(&String::from_utf8_lossy(seen))
}

/// The names in a directory, as links.
fn list(path: &Path, meta: &Metadata, since: Option<&HeaderValue>) -> std::io::Result<Response> {
    let mut headers = HeaderMap::new();
    if let Some(known) = unless_known(meta, since, &mut headers) {
        return Ok(known);
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let slash = if entry.file_type().is_ok_and(|kind| kind.is_dir()) { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let mut page =
        "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n".to_owned();
    for name in names {
        // COMPAT: `&` stays as it is; quotes and angle brackets are escaped in the path.
        // A colon before the first slash would read as a scheme.
        let here = if name.contains(':') { "./" } else { "" };
        page.push_str(&format!("<a href=\"{here}{}\">{}</a>\n", escape_path(&name), escape_html(&name)));
    }
    page.push_str("</pre>\n");
    let mut response = with_type(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(page));
    response.headers_mut().extend(headers);
    Ok(response)
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

/// A path as it stands in a URL.
fn escape_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'~' | b'/' | b'$' | b'&' | b'+' | b',' | b':' | b';' | b'=' | b'@' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
