//! The query log, `global.query_log_file`: a JSON line for each query that was run, as Prometheus writes them.
//!
//! Facts: lines of Prometheus 3.5.3, the fields of 3.14 (`promql/engine.go`, `util/stats/query_stats.go`). A query that does not
//! parse is not logged. There is no tracing here, so the span and trace are always zeros, as there without tracing.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use narthex_model::{UnixTime, push_float_json, push_rfc3339};

use super::json::push_string;
use super::{Origin, Request, Times};
use crate::engine::{QueryError, QueryStats, Steps};

const IN_MEMORY: &str = "writing to a string cannot fail";

/// The file. Lines are written whole, so that several processes may append.
#[derive(Debug)]
pub struct QueryLog {
    file: File,
}

/// A query that ended.
pub(super) struct Finished<'a> {
    pub request: &'a Request,
    pub now: UnixTime,
    pub queued: Duration,
    /// What it cost, also when it failed.
    pub stats: &'a QueryStats,
    pub error: Option<&'a QueryError>,
}

impl QueryLog {
    /// Opens a file to append to; makes it when there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::options().append(true).create(true).open(path)? })
    }

    pub(super) fn write(&self, finished: &Finished<'_>) -> io::Result<()> {
        (&self.file).write_all(line(finished).as_bytes())
    }
}

fn line(finished: &Finished<'_>) -> String {
    let mut out = String::with_capacity(768 + finished.request.text.len());
    out.push_str("{\"time\":\"");
    push_rfc3339(&mut out, finished.now);
    let source = concat!("query_log.rs:", line!());
    write!(out, "\",\"level\":\"INFO\",\"source\":\"{source}\",\"msg\":\"promql query logged\",\"params\":")
        .expect(IN_MEMORY);
    push_params(&mut out, finished.request);
    if let Some(error) = finished.error {
        out.push_str(",\"error\":");
        push_string(&mut out, &error.to_string(), false);
    }
    out.push_str(",\"stats\":");
    out.push_str(&stats_json(finished.stats, finished.queued));
    out.push_str(",\"spanID\":\"0000000000000000\",\"traceID\":\"00000000000000000000000000000000\"");
    push_origin(&mut out, &finished.request.origin);
    out.push_str("}\n");
    out
}

/// COMPAT: in order of name; the step is in whole seconds, the times in milliseconds with all three digits.
fn push_params(out: &mut String, request: &Request) {
    let (start, end, step) = match request.times {
        Times::At(t_ms) => (t_ms, t_ms, 0),
        Times::Range { start, end, step } => (start, end, step / 1000),
    };
    out.push_str("{\"end\":\"");
    push_date(out, end);
    out.push_str("\",\"query\":");
    push_string(out, &request.text, false);
    out.push_str(",\"start\":\"");
    push_date(out, start);
    write!(out, "\",\"step\":{step}}}").expect(IN_MEMORY);
}

fn push_date(out: &mut String, t_ms: i64) {
    let nanos = (t_ms.rem_euclid(1000) * 1_000_000) as u32;
    narthex_model::push_rfc3339_ms(out, UnixTime { secs: t_ms.div_euclid(1000), nanos });
}

fn push_origin(out: &mut String, origin: &Origin) {
    let fields = match origin {
        Origin::Internal => return,
        Origin::Http { client, method, path } => {
            out.push_str(",\"httpRequest\":{");
            vec![("clientIP", client), ("method", method), ("path", path)]
        }
        Origin::Rule { file, group } => {
            out.push_str(",\"ruleGroup\":{");
            vec![("file", file), ("name", group)]
        }
    };
    for (at, (name, value)) in fields.into_iter().enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        push_string(out, name, false);
        out.push(':');
        push_string(out, value, false);
    }
    out.push('}');
}

/// What a query cost, as the log and the API show it: `{"timings":{…},"samples":{…}}`.
#[must_use]
pub fn stats_json(stats: &QueryStats, queued: Duration) -> String {
    let total = stats.prepare + stats.eval + stats.sort;
    let mut out = String::with_capacity(384);
    out.push_str("{\"timings\":{");
    for (at, (name, duration)) in [
        ("evalTotalTime", total),
        ("resultSortTime", stats.sort),
        ("queryPreparationTime", stats.prepare),
        ("innerEvalTime", stats.eval),
        ("execQueueTime", queued),
        ("execTotalTime", total + queued),
    ]
    .into_iter()
    .enumerate()
    {
        out.push_str(if at > 0 { ",\"" } else { "\"" });
        out.push_str(name);
        out.push_str("\":");
        push_float_json(&mut out, duration.as_secs_f64());
    }
    out.push_str("},\"samples\":{");
    let (samples, by_step) = (&stats.samples, stats.by_step.as_deref());
    if let Some(by_step) = by_step {
        push_by_step(&mut out, "totalQueryableSamplesPerStep", by_step.steps, &by_step.total_queryable);
    }
    write!(out, "\"totalQueryableSamples\":{},", samples.total_queryable).expect(IN_MEMORY);
    if let Some(by_step) = by_step {
        push_by_step(&mut out, "samplesReadPerStep", by_step.steps, &by_step.read);
    }
    write!(out, "\"samplesRead\":{},\"peakSamples\":{}}}}}", samples.read, samples.peak).expect(IN_MEMORY);
    out
}

/// `"name":[[seconds,count],…],`
fn push_by_step(out: &mut String, name: &str, steps: Steps, counts: &[u64]) {
    write!(out, "\"{name}\":[").expect(IN_MEMORY);
    for (at, (t_ms, count)) in steps.times().zip(counts).enumerate() {
        out.push_str(if at > 0 { ",[" } else { "[" });
        push_float_json(out, t_ms as f64 / 1000.0);
        write!(out, ",{count}]").expect(IN_MEMORY);
    }
    out.push_str("],");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::Lane;
    use crate::engine::QueryOptions;

    fn request(times: Times, origin: Origin) -> Request {
        let (text, options) = ("a < \"b\"".to_owned(), QueryOptions::default());
        Request { text, times, lane: Lane::AdHoc, origin, options }
    }

    #[track_caller]
    fn check(request: &Request, stats: &QueryStats, error: Option<&QueryError>, expected: &str) {
        let now = UnixTime { secs: 7, nanos: 500 };
        let queued = Duration::from_micros(5);
        let line = line(&Finished { request, now, queued, stats, error });
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
        let (head, tail) = line.split_once(",\"msg\"").unwrap();
        assert!(head.starts_with(
            "{\"time\":\"1970-01-01T00:00:07.0000005Z\",\"level\":\"INFO\",\"source\":\"query_log.rs:"
        ));
        assert_eq!(tail, format!(":\"promql query logged\",{expected}\n"));
    }

    #[test]
    fn lines_have_prometheus_fields_in_prometheus_order() {
        let http =
            Origin::Http { client: "127.0.0.1".into(), method: "GET".into(), path: "/api/v1/query".into() };
        let mut stats = QueryStats { eval: Duration::from_millis(2), ..QueryStats::default() };
        (stats.samples.total_queryable, stats.samples.read, stats.samples.peak) = (5, 4, 3);
        let timings = |eval: &str, all: &str| {
            format!(
                "\"timings\":{{\"evalTotalTime\":{eval},\"resultSortTime\":0,\"queryPreparationTime\":0,\"innerEvalTime\":{eval},\"execQueueTime\":0.000005,\"execTotalTime\":{all}}}"
            )
        };
        let ids = "\"spanID\":\"0000000000000000\",\"traceID\":\"00000000000000000000000000000000\"";
        check(
            &request(Times::Range { start: 0, end: 60_500, step: 15_000 }, http),
            &stats,
            None,
            &format!(
                r#""params":{{"end":"1970-01-01T00:01:00.500Z","query":"a < \"b\"","start":"1970-01-01T00:00:00.000Z","step":15}},"stats":{{{},"samples":{{"totalQueryableSamples":5,"samplesRead":4,"peakSamples":3}}}},{ids},"httpRequest":{{"clientIP":"127.0.0.1","method":"GET","path":"/api/v1/query"}}}}"#,
                timings("0.002", "0.002005")
            ),
        );
        let rule = Origin::Rule { file: "/a.yml".into(), group: "g".into() };
        let error = QueryError::Execution("bad".to_owned());
        check(
            &request(Times::At(1), rule),
            &QueryStats::default(),
            Some(&error),
            &format!(
                r#""params":{{"end":"1970-01-01T00:00:00.001Z","query":"a < \"b\"","start":"1970-01-01T00:00:00.001Z","step":0}},"error":"bad","stats":{{{},"samples":{{"totalQueryableSamples":0,"samplesRead":0,"peakSamples":0}}}},{ids},"ruleGroup":{{"file":"/a.yml","name":"g"}}}}"#,
                timings("0", "0.000005")
            ),
        );
    }
}
