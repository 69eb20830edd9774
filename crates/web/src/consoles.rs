//! `/consoles/…`: pages that operators write as templates, with libraries beside them.
//!
//! Facts: Prometheus 3.14: names and data of templates, statuses and texts. Always true: no path leads out of the directory;
//! a page's queries run on a blocking thread, one after the other, on the desk like all others, and are called off when
//! nobody waits for the page any more.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use narthex_model::{Labels, UnixTime};
use narthex_net::server::{Request, Response};
use narthex_promql::desk::{Request as Query, Times};
use narthex_promql::engine::{CancelToken, Point, QueryOptions, Value, VectorSample};
use narthex_template::{ConsoleData, Context, HtmlTemplate, MissingKey, QuerySample, SampleValue};

use crate::answer::{error_text, with_type};
use crate::caller::Caller;
use crate::form::Form;
use crate::site::Shared;

/// The largest page or library that is read, bytes.
const MAX_FILE: u64 = 16 << 20;

/// Calls the page's queries off when the answer is no longer wanted.
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Answers one request; `path` is what stands after `/consoles/`.
pub(crate) async fn answer(shared: &Arc<Shared>, path: &[u8], request: Request) -> Response {
    if let Some(unavailable) = shared.unless_ready() {
        return unavailable;
    }
    let cancel = CancelToken::new();
    let _guard = CancelOnDrop(cancel.clone());
    let query = request.head.uri.query().unwrap_or("").to_owned();
    let (caller, site, path) = (Caller::of(&request), Arc::clone(shared), path.to_owned());
    let page = move || page(&site, &path, &query, &Answers { site: &site, caller, cancel });
    match tokio::task::spawn_blocking(page).await {
        Ok(Ok(text)) => with_type(StatusCode::OK, content_type(&text), Bytes::from(text)),
        Ok(Err((status, reason))) => error_text(status, &reason),
        Err(_) => error_text(StatusCode::INTERNAL_SERVER_ERROR, "the page failed, see the log"),
    }
}

type Refusal = (StatusCode, String);

fn page(site: &Shared, path: &[u8], query: &str, answers: &Answers<'_>) -> Result<String, Refusal> {
    let failed = |reason: String| (StatusCode::INTERNAL_SERVER_ERROR, reason);
    let path = inside(path)
        .ok_or_else(|| (StatusCode::NOT_FOUND, "http: invalid or unsafe file path".to_owned()))?;
    let directory = Path::new(&site.options.console_templates);
    let file = if path.is_empty() { directory.to_owned() } else { directory.join(&path) };
    let text = read(&file)?;
    let form = Form::parse(query, "");
    form.check().map_err(|reason| {
        let reason = reason.trim_start_matches("error parsing form values: ");
        (StatusCode::BAD_REQUEST, reason.to_owned())
    })?;
    let mut raw_params: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form.pairs() {
        raw_params.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    let libraries =
        libraries(Path::new(&site.options.console_libraries)).map_err(|(_, reason)| failed(reason))?;
    let external_labels = site.process.external_labels();
    let data = ConsoleData { raw_params, path: path.clone(), external_labels };
    let template = HtmlTemplate::parse_console(&format!("/{path}"), &text, &libraries)
        .map_err(|error| failed(error.to_string()))?;
    let context = Context {
        now_ms: UnixTime::from_system(SystemTime::now()).to_ms(),
        external_url: &site.options.external_url,
        path_prefix: &site.options.external_path,
        query: answers,
        missing_key: MissingKey::Zero,
    };
    template.expand(&data.to_value(), &context).map_err(|error| failed(error.to_string()))
}

/// The path without empty, `.` and `..` segments, which never lead above the directory.
pub(crate) fn inside(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    (!path.contains('\0')).then(|| segments.join("/"))
}

/// Reads a file; errors read as Go's.
fn read(path: &Path) -> Result<String, Refusal> {
    let shown = path.display();
    let reason = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::NotADirectory => "not a directory".to_owned(),
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    };
    let unread = |error: std::io::Error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("read {shown}: {}", reason(&error)))
    };
    let meta = std::fs::metadata(path)
        .map_err(|error| (StatusCode::NOT_FOUND, format!("open {shown}: {}", reason(&error))))?;
    if meta.len() > MAX_FILE {
        return Err((StatusCode::INTERNAL_SERVER_ERROR, format!("read {shown}: file is larger than 16 MiB")));
    }
    if !meta.is_file() && !meta.is_dir() {
        // A pipe could keep the thread for ever.
        return Err((StatusCode::INTERNAL_SERVER_ERROR, format!("read {shown}: not a regular file")));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The files `*.lib` of a directory in order of name; none when it cannot be read.
fn libraries(directory: &Path) -> Result<Vec<(String, String)>, Refusal> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(Vec::new()) };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|of| of == "lib"))
        .collect();
    names.sort();
    names.into_iter().map(|name| read(&directory.join(&name)).map(|text| (name, text))).collect()
}

/// Answers the queries of a page.
struct Answers<'s> {
    site: &'s Shared,
    caller: Caller,
    cancel: CancelToken,
}

impl narthex_template::Query for Answers<'_> {
    fn query(&self, expr: &str, at_ms: i64) -> Result<Vec<QuerySample>, String> {
        let services = self.site.services().ok_or("the server is stopping")?;
        let mut ticket = services.desk.receive(Query {
            text: expr.to_owned(),
            times: Times::At(at_ms),
            lane: self.caller.lane,
            origin: self.caller.origin.clone(),
            options: QueryOptions { cancel: self.cancel.clone(), ..QueryOptions::default() },
        });
        ticket.wait().map_err(|error| error.to_string())?;
        let output = ticket.run(&*services.storage).map_err(|error| error.to_string())?;
        match output.value {
            Value::Vector(vector) => Ok(vector.samples.into_iter().map(sample).collect()),
            Value::Scalar { value, .. } => {
                Ok(vec![QuerySample { labels: Labels::empty(), value: SampleValue::Float(value) }])
            }
            Value::String { .. } | Value::Matrix(_) => {
                Err("rule result is not a vector or scalar".to_owned())
            }
        }
    }
}

fn sample(sample: VectorSample) -> QuerySample {
    let value = match sample.point {
        Point::Float(value) => SampleValue::Float(value),
        Point::Histogram(histogram) => SampleValue::Histogram(Box::new((*histogram).clone())),
    };
    QuerySample { labels: sample.labels, value }
}

/// What a text is, by its first tag, as Go's servers guess it.
pub(crate) fn content_type(text: &str) -> &'static str {
    const TAGS: [&str; 17] = [
        "<!doctype html",
        "<html",
        "<head",
        "<script",
        "<iframe",
        "<h1",
        "<div",
        "<font",
        "<table",
        "<a",
        "<style",
        "<title",
        "<b",
        "<body",
        "<br",
        "<p",
        "<!--",
    ];
    let start = text.trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']).as_bytes();
    let is_tag = |tag: &&str| {
        let begins = start.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag.as_bytes()));
        begins && (**tag == *"<!--" || start.get(tag.len()).is_some_and(|end| matches!(end, b' ' | b'>')))
    };
    if start.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if TAGS.iter().any(is_tag) {
        "text/html; charset=utf-8"
    } else {
        "text/plain; charset=utf-8"
    }
}
