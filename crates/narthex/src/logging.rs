//! Log lines in the shape of Prometheus: `time=… level=INFO source=web.rs:12 msg="…" key=value`, or the same as JSON.
//!
//! Holds: the receiver of all `tracing` events of our crates. Spans are ignored; events of other crates are not logged.
//! Always true: a line is one write, so lines of several threads never mix.
//! Facts: Go's `log/slog` text and JSON handlers as Prometheus sets them up: times in UTC with milliseconds in text and with
//! what is needed of nanoseconds in JSON; text values are quoted when they are empty or hold a blank, `=`, `"` or what does not print.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use narthex_model::{UnixTime, push_json_string, push_rfc3339, push_rfc3339_ms, quote_go};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, span};

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `key=value`
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Starts to log to standard error. Only the first call counts.
pub(crate) fn start(level: Level, format: Format) {
    // A second call can only come from a test of two starts in one process; the first receiver stays.
    let _ = tracing::subscriber::set_global_default(Lines { level, format });
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("unknown reason");
        tracing::error!(
            place,
            err = text,
            "a broken promise in the code stopped what was being done; please report it"
        );
    }));
}

/// The level of a word of `--log.level`.
#[must_use]
pub(crate) fn level(word: &str) -> Level {
    match word {
        "debug" => Level::DEBUG,
        "warn" => Level::WARN,
        "error" => Level::ERROR,
        _ => Level::INFO,
    }
}

/// Writes each event as a line.
struct Lines {
    level: Level,
    format: Format,
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level && metadata.target().starts_with("narthex")
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let line = line(self.format, UnixTime::from_system(SystemTime::now()), event);
        // Nobody can be told that standard error is closed.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

fn line(format: Format, now: UnixTime, event: &Event<'_>) -> String {
    let metadata = event.metadata();
    let file = metadata.file().and_then(|f| f.rsplit('/').next()).unwrap_or("");
    let source = format!("{file}:{}", metadata.line().unwrap_or(0));
    let mut time = String::new();
    match format {
        Format::Logfmt => push_rfc3339_ms(&mut time, now),
        Format::Json => push_rfc3339(&mut time, now),
    }
    let mut fields = Fields { format, message: String::new(), rest: String::new() };
    event.record(&mut fields);
    let mut out = String::with_capacity(128 + fields.rest.len());
    if format == Format::Json {
        out.push('{');
    }
    for (key, value) in [
        ("time", &*time),
        ("level", metadata.level().as_str()),
        ("source", &source),
        ("msg", &fields.message),
    ] {
        push_field(&mut out, format, key, value, true);
    }
    out.push_str(&fields.rest);
    out.push_str(if format == Format::Json { "}\n" } else { "\n" });
    out
}

/// The fields of an event as they are visited.
struct Fields {
    format: Format,
    message: String,
    rest: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String, quoted: bool) {
        if field.name() == "message" {
            self.message = value;
        } else {
            if self.format == Format::Json {
                self.rest.push(',');
            } else {
                self.rest.push(' ');
            }
            push_value(&mut self.rest, self.format, field.name(), &value, quoted);
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"), true);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), true);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.to_string(), false);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.to_string(), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.to_string(), false);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, narthex_model::format_float_general(value), !value.is_finite());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                write!(text, ": {cause_text}").expect("writing to a string cannot fail");
            }
            source = cause.source();
        }
        self.add(field, text, true);
    }
}

/// A field with what separates it from the one before.
fn push_field(out: &mut String, format: Format, key: &str, value: &str, quoted: bool) {
    match (format, out.len()) {
        (Format::Logfmt, 0) | (Format::Json, 1) => {}
        (Format::Logfmt, _) => out.push(' '),
        (Format::Json, _) => out.push(','),
    }
    push_value(out, format, key, value, quoted);
}

fn push_value(out: &mut String, format: Format, key: &str, value: &str, quoted: bool) {
    match format {
        Format::Logfmt => {
            out.push_str(key);
            out.push('=');
            if quoted && needs_quotes(value) { out.push_str(&quote_go(value)) } else { out.push_str(value) }
        }
        Format::Json => {
            push_json_string(out, key);
            out.push(':');
            if quoted { push_json_string(out, value) } else { out.push_str(value) }
        }
    }
}

fn needs_quotes(value: &str) -> bool {
    value.is_empty()
        || value.chars().any(|c| matches!(c, ' ' | '"' | '=' | '\\'))
        || quote_go(value).len() != value.len() + 2
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps lines instead of writing them.
    struct Kept(Format, Arc<Mutex<Vec<String>>>);

    impl tracing::Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event()
        }
        fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
        fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let now = UnixTime { secs: 1_795_368_271, nanos: 586_120_000 };
            self.1.lock().unwrap().push(line(self.0, now, event));
        }
        fn enter(&self, _span: &span::Id) {}
        fn exit(&self, _span: &span::Id) {}
    }

    fn lines(format: Format, log: impl FnOnce()) -> Vec<String> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Kept(format, Arc::clone(&kept)), log);
        let lines = kept.lock().unwrap();
        // The line number of this very file moves; the rest is the promise.
        lines
            .iter()
            .map(|l| {
                l.split_once(".rs:").map_or(l.clone(), |(a, b)| {
                    format!("{a}.rs:{}", b.trim_start_matches(|c: char| c.is_ascii_digit()))
                })
            })
            .collect()
    }

    #[test]
    fn text_lines_quote_as_slog_does() {
        let got = lines(Format::Logfmt, || {
            tracing::info!(component = "web", n = 5, ok = true, empty = "", eq = "a=b", path = %"/x", "Two words");
        });
        let expected = "time=2026-11-22T17:24:31.586Z level=INFO source=logging.rs: msg=\"Two words\" component=web n=5 ok=true empty=\"\" eq=\"a=b\" path=/x\n";
        assert_eq!(got, [expected]);
    }

    #[test]
    fn json_lines_hold_the_same() {
        let got = lines(Format::Json, || tracing::warn!(err = %"bad \"x\"\n", n = 1.5, "msg"));
        let expected = "{\"time\":\"2026-11-22T17:24:31.58612Z\",\"level\":\"WARN\",\"source\":\"logging.rs:\",\"msg\":\"msg\",\"err\":\"bad \\\"x\\\"\\n\",\"n\":1.5}\n";
        assert_eq!(got, [expected]);
    }

    #[test]
    fn errors_tell_their_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read x")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk on fire"));
        let error: &(dyn std::error::Error + 'static) = &error;
        let got = lines(Format::Logfmt, || tracing::error!(err = error, "no"));
        assert!(got[0].ends_with("msg=no err=\"cannot read x: disk on fire\"\n"), "{got:?}");
    }
}
