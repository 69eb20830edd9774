//! `/debug/pprof/…`: profiles of this process, as `go tool pprof` and `promtool debug pprof` fetch them.
//!
//! Facts: paths, parameters, headers and texts of Go's `net/http/pprof` and of Prometheus' `/debug/*`. What Go has and we have not
//! says so: `block` and `mutex` are empty, `trace` is 501, and a `goroutine` is a thread here.
//! Always true: a recording ends when the client hangs up or the server stops; nothing is measured when nobody asks (but for the
//! samples of allocations, see `narthex_profile`).

mod index;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use narthex_net::server::{Request, Response};
use narthex_profile::{CpuRecording, Kind, Profile, Symbols, Threads, WallClock};

use crate::answer::{error_text, redirect, text};
use crate::form::{self, Bodies, Form};
use crate::site::Shared;

/// How long a recording takes that does not say, seconds; Go's default.
const DEFAULT_SECONDS: i64 = 30;
/// How often a recording is emptied.
const TICK: Duration = Duration::from_millis(100);
/// The largest list of addresses, bytes.
const MAX_ADDRESSES: usize = 1 << 20;

const NO_TRACE: &str = "Narthex has no execution tracer: the trace format is that of Go's runtime. Look at \
                        /debug/pprof/profile, /debug/pprof/fgprof and /api/v1/running_queries instead.";

/// Answers one request; `path` is what stands after `/debug/`.
pub(crate) async fn answer(shared: &Arc<Shared>, path: &[u8], request: Request) -> Response {
    if path == b"pprof" {
        let to = format!("{}/", request.head.uri.path());
        return redirect(StatusCode::MOVED_PERMANENTLY, &request.head.method, &to);
    }
    let Some(name) = path.strip_prefix(b"pprof/").and_then(|name| std::str::from_utf8(name).ok()) else {
        return error_text(StatusCode::NOT_FOUND, "404 page not found");
    };
    match name {
        "" => aside(|| index::page(&Symbols::of_this_process())).await,
        "cmdline" => plain(std::env::args().collect::<Vec<_>>().join("\0")),
        "symbol" => names_of_addresses(request).await,
        "trace" => refused(StatusCode::NOT_IMPLEMENTED, NO_TRACE),
        // Parameters that are malformed are as good as none.
        _ => match form::read(request, Bodies::FormsAndParts).await {
            Ok(form) => profile(shared, name, &form).await,
            Err(error) => refused(StatusCode::BAD_REQUEST, &error.text),
        },
    }
}

async fn profile(shared: &Arc<Shared>, name: &str, form: &Form) -> Response {
    match name {
        "profile" => record(shared, name, form, Cpu::start).await,
        "fgprof" => record(shared, name, form, Wall::start).await,
        _ => match index::kind(name) {
            Some(kind) => snapshot(shared, name, kind, form).await,
            None => refused(StatusCode::NOT_FOUND, "Unknown profile"),
        },
    }
}

/// What goes on for a while.
trait Recording: Send + Sized + 'static {
    /// Begins, or says why not.
    fn start() -> Result<Self, String>;
    /// Takes what was found since the last call.
    fn take(&mut self);
    fn finish(self) -> Profile;
}

struct Cpu(CpuRecording);

impl Recording for Cpu {
    fn start() -> Result<Self, String> {
        CpuRecording::start().map(Self).map_err(|e| format!("Could not enable CPU profiling: {e}"))
    }
    fn take(&mut self) {
        self.0.take();
    }
    fn finish(self) -> Profile {
        self.0.finish()
    }
}

struct Wall(WallClock);

impl Recording for Wall {
    fn start() -> Result<Self, String> {
        let started = WallClock::start().map(Self);
        started.map_err(|_| "Could not enable fgprof profiling: fgprof profiling already in use".to_owned())
    }
    fn take(&mut self) {
        self.0.take();
    }
    fn finish(self) -> Profile {
        self.0.finish()
    }
}

/// Records for `seconds`, less when the server stops.
async fn record<R: Recording>(
    shared: &Arc<Shared>,
    name: &str,
    form: &Form,
    start: impl FnOnce() -> Result<R, String>,
) -> Response {
    let seconds = form.value("seconds").parse().ok().filter(|s| *s > 0).unwrap_or(DEFAULT_SECONDS);
    let mut recording = match start() {
        Ok(recording) => recording,
        Err(reason) => return refused(StatusCode::INTERNAL_SERVER_ERROR, &reason),
    };
    let (began, length) = (Instant::now(), Duration::from_secs(seconds.unsigned_abs()));
    while let Some(left) = length.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        if shared.is_stopping() {
            break;
        }
        tokio::time::sleep(left.min(TICK)).await;
        recording = match tokio::task::spawn_blocking(move || {
            recording.take();
            recording
        })
        .await
        {
            Ok(recording) => recording,
            Err(_) => return refused(StatusCode::INTERNAL_SERVER_ERROR, "the recording failed"),
        };
    }
    let name = name.to_owned();
    aside(move || attachment(&name, &recording.finish())).await
}

/// A profile of now, or with `seconds` of what changes until then.
async fn snapshot(shared: &Arc<Shared>, name: &str, kind: Kind, form: &Form) -> Response {
    let as_text = form.value("debug").parse::<i64>().is_ok_and(|level| level != 0);
    let name = name.to_owned();
    let Some(seconds) = Some(form.value("seconds")).filter(|s| !s.is_empty()) else {
        return aside(move || {
            let profile = take(kind);
            if as_text {
                return plain(narthex_profile::to_text(&profile, &Symbols::of_this_process()));
            }
            attachment(&name, &profile)
        })
        .await;
    };
    let Some(seconds) = seconds.parse::<i64>().ok().filter(|s| *s > 0) else {
        let reason = r#"invalid value for "seconds" - must be a positive integer"#;
        return refused(StatusCode::BAD_REQUEST, reason);
    };
    if as_text {
        return refused(StatusCode::BAD_REQUEST, "seconds and debug params are incompatible");
    }
    let Ok(before) = tokio::task::spawn_blocking(move || take(kind)).await else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "the profile failed");
    };
    let (began, length) = (Instant::now(), Duration::from_secs(seconds.unsigned_abs()));
    while let Some(left) = length.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        if shared.is_stopping() {
            break;
        }
        tokio::time::sleep(left.min(TICK)).await;
    }
    aside(move || attachment(&format!("{name}-delta"), &take(kind).since(&before))).await
}

fn take(kind: Kind) -> Profile {
    let never = |text: &str| {
        let mut profile = Profile::new(kind, 1);
        profile.comments.push(text.to_owned());
        profile
    };
    match kind {
        Kind::Heap | Kind::Allocs => narthex_profile::heap(kind),
        Kind::Threads => narthex_profile::threads(Threads::Stacks),
        Kind::ThreadNames => narthex_profile::threads(Threads::Names),
        Kind::Block => never("Narthex does not record where threads wait for each other: see fgprof"),
        Kind::Mutex => never("Narthex does not record which locks hold others up: see fgprof"),
        Kind::Cpu | Kind::WallClock => never("recorded over time only"),
    }
}

/// Runs what reads files or computes on a blocking thread.
async fn aside(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    let failed = || refused(StatusCode::INTERNAL_SERVER_ERROR, "the profile failed");
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| failed())
}

fn attachment(name: &str, profile: &Profile) -> Response {
    let bytes = narthex_profile::encode(profile, &Symbols::of_this_process());
    let mut response = Response::new(Bytes::from(bytes).into());
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// Names of the addresses `0x1+0x2`, each in a line; the first line says that there are any.
async fn names_of_addresses(request: Request) -> Response {
    let posted = request.head.method == Method::POST;
    let words = match posted {
        false => request.head.uri.query().unwrap_or("").to_owned(),
        true => match request.body.read(MAX_ADDRESSES).await {
            Ok(body) => String::from_utf8_lossy(&body).into_owned(),
            Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
        },
    };
    aside(move || {
        let symbols = Symbols::of_this_process();
        let line = |address: usize| Some(format!("{address:#x} {}\n", symbols.name(address)?));
        let lines: String = words.split('+').filter_map(address).filter_map(line).collect();
        plain(format!("num_symbols: 1\n{lines}"))
    })
    .await
}

/// A number as Go reads it: in hexadecimal digits after `0x`, else in decimal ones.
fn address(word: &str) -> Option<usize> {
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let number = digits.map_or_else(|| word.parse().ok(), |digits| usize::from_str_radix(digits, 16).ok());
    number.filter(|address| *address != 0)
}

fn plain(body: String) -> Response {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An error as `go tool pprof` shows it to its user.
fn refused(status: StatusCode, reason: &str) -> Response {
    let mut response = error_text(status, reason);
    response.headers_mut().insert("x-go-pprof", HeaderValue::from_static("1"));
    response
}
