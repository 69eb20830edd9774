//! The file of `scrape_failure_log_file`: a JSON line for each scrape that brought no body.
//!
//! Always true: a line is one write at the end of the file, so lines of several targets and processes never mix; a reload opens
//! the file anew, so that it may be moved away. A body that cannot be used is no failure of this kind, nor is a scrape that was
//! never tried (`target_limit`). Facts: Prometheus' configuration page; the fields of release 3.14, whose `source` names a line
//! of Prometheus and here a file of ours.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use narthex_config::Config;
use narthex_model::{UnixTime, push_json_string, push_rfc3339};
use narthex_net::client::io_text;

use crate::error::ApplyError;

/// See the module's words.
#[derive(Debug)]
pub(crate) struct FailureLog {
    file: File,
}

/// Where lines come from, in the form that readers know.
const SOURCE: &str = concat!("failure_log.rs:", line!());

/// The open logs of a configuration, by the name of their file.
pub(crate) type FailureLogs = BTreeMap<String, Arc<FailureLog>>;

/// Opens the logs that jobs name, each once.
///
/// # Errors
/// When a file cannot be opened or made.
pub(crate) fn open_logs(config: &Config) -> Result<FailureLogs, ApplyError> {
    let mut logs = FailureLogs::new();
    for job in config.all_scrape_configs() {
        let name = &job.scrape_failure_log_file;
        if !name.is_empty() && !logs.contains_key(name) {
            logs.insert(name.clone(), Arc::new(FailureLog::open(Path::new(name))?));
        }
    }
    Ok(logs)
}

impl FailureLog {
    fn open(path: &Path) -> Result<Self, ApplyError> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file =
            file.map_err(|error| ApplyError::FailureLog { file: path.to_owned(), reason: io_text(&error) })?;
        Ok(Self { file })
    }

    /// Adds a line: at `now`, the scrape of `url` for `job` failed with `error`. What goes wrong with the file fails no
    /// scrape.
    pub(crate) fn write(&self, now: UnixTime, error: &str, job: &str, url: &str) {
        let line = line(now, error, job, url);
        if let Err(err) = (&self.file).write_all(line.as_bytes()) {
            tracing::debug!(%err, "Cannot write to the log of failed scrapes");
        }
    }
}

fn line(now: UnixTime, error: &str, job: &str, url: &str) -> String {
    let mut line = String::from("{\"time\":\"");
    push_rfc3339(&mut line, now);
    line.push_str("\",\"level\":\"ERROR\"");
    for (name, value) in [("source", SOURCE), ("msg", error), ("job_name", job), ("target", url)] {
        line.push_str(",\"");
        line.push_str(name);
        line.push_str("\":");
        push_json_string(&mut line, value);
    }
    line.push_str("}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_prometheus_fields_in_its_order() {
        let now = UnixTime { secs: 1_795_368_271, nanos: 586_120_000 };
        assert_eq!(
            line(now, "Get \"http://a\": EOF", "j", "http://a:1/metrics").replace(SOURCE, "SOURCE"),
            "{\"time\":\"2026-11-22T17:24:31.58612Z\",\"level\":\"ERROR\",\"source\":\"SOURCE\",\
            \"msg\":\"Get \\\"http://a\\\": EOF\",\"job_name\":\"j\",\"target\":\"http://a:1/metrics\"}\n"
        );
    }
}
