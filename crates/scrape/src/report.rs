//! The automatic series of a target: `up`, `scrape_duration_seconds` and the rest.
//!
//! Facts: "Automatically generated labels and time series" of Prometheus' documentation; help texts of release 3.14.

use narthex_model::{Labels, Metadata, MetricType};
use narthex_storage::{AppendError, Appender, SeriesRef};

use crate::new_series::report_labels;

/// Name, unit and help; the last three only with `extra_scrape_metrics`.
const SERIES: [(&str, &str, &str); 8] = [
    ("up", "targets", "Health of the scrape target. 1 means the target is healthy, 0 if the scrape failed."),
    ("scrape_duration_seconds", "seconds", "Duration of the last scrape in seconds."),
    ("scrape_samples_scraped", "samples", "Number of samples last scraped."),
    (
        "scrape_samples_post_metric_relabeling",
        "samples",
        "Number of samples remaining after metric relabeling was applied.",
    ),
    ("scrape_series_added", "series", "Number of series in the last scrape."),
    ("scrape_timeout_seconds", "seconds", "The configured scrape timeout for a target."),
    (
        "scrape_sample_limit",
        "samples",
        "The configured sample limit for a target. Returns zero if there is no limit configured.",
    ),
    (
        "scrape_body_size_bytes",
        "bytes",
        "The uncompressed size of the last scrape response, if successful. Scrapes failing because body_size_limit is exceeded report -1, other scrape failures report 0.",
    ),
];
const ALWAYS: usize = 5;

/// The values of one scrape, in the order of the series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) up: bool,
    pub(crate) duration_s: f64,
    pub(crate) scraped: u64,
    pub(crate) post_relabeling: u64,
    pub(crate) series_added: u64,
    pub(crate) extra: Option<ExtraReport>,
}

/// The values that `extra_scrape_metrics` adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ExtraReport {
    pub(crate) timeout_s: f64,
    pub(crate) sample_limit: u64,
    pub(crate) body_size: f64,
}

/// The references of a target's automatic series.
#[derive(Debug, Default)]
pub(crate) struct ReportSeries {
    references: [Option<SeriesRef>; SERIES.len()],
}

/// Where the automatic series go.
pub(crate) struct Destination<'a> {
    pub(crate) appender: &'a mut dyn Appender,
    pub(crate) t_ms: i64,
    /// The target's labels.
    pub(crate) public: &'a Labels,
    pub(crate) with_metadata: bool,
}

impl ReportSeries {
    /// Appends the values. A series that already has a sample then or later is left alone.
    pub(crate) fn append(&mut self, report: &Report, to: &mut Destination<'_>) -> Result<(), AppendError> {
        let always = [
            f64::from(u8::from(report.up)),
            report.duration_s,
            report.scraped as f64,
            report.post_relabeling as f64,
            report.series_added as f64,
        ];
        let extra = report.extra.map(|e| [e.timeout_s, e.sample_limit as f64, e.body_size]);
        let mut values = always.into_iter().chain(extra.into_iter().flatten()).enumerate();
        values.try_for_each(|(at, value)| self.append_one(at, value, to))
    }

    /// Marks the series stale that were ever written.
    pub(crate) fn end(&self, t_ms: i64, appender: &mut dyn Appender) -> Result<(), AppendError> {
        self.references
            .iter()
            .flatten()
            .try_for_each(|series| ignore_known(appender.append_stale(*series, t_ms)))
    }

    /// Marks the extra series stale and forgets them, after `extra_scrape_metrics` was switched off.
    pub(crate) fn end_extra(&mut self, t_ms: i64, appender: &mut dyn Appender) -> Result<(), AppendError> {
        let ended = self.references[ALWAYS..].iter_mut().filter_map(Option::take);
        ended.into_iter().try_for_each(|series| ignore_known(appender.append_stale(series, t_ms)))
    }

    fn append_one(&mut self, at: usize, value: f64, to: &mut Destination<'_>) -> Result<(), AppendError> {
        if let Some(series) = self.references[at] {
            match to.appender.append(series, to.t_ms, value) {
                Err(AppendError::UnknownSeries) => {}
                other => return ignore_known(other),
            }
        }
        let (name, unit, help) = SERIES[at];
        let series = to.appender.resolve(&report_labels(name, to.public))?;
        self.references[at] = Some(series);
        if to.with_metadata {
            let metadata = Metadata { kind: MetricType::Gauge, unit: unit.to_owned(), help: help.to_owned() };
            to.appender.update_metadata(series, &metadata)?;
        }
        ignore_known(to.appender.append(series, to.t_ms, value))
    }
}

/// Marks series stale. One that has newer samples, from wherever, is not stale; one that the store forgot has no
/// sample that a query could still see.
pub(crate) fn append_stale(
    series: &[SeriesRef],
    t_ms: i64,
    appender: &mut dyn Appender,
) -> Result<(), AppendError> {
    series.iter().try_for_each(|series| ignore_known(appender.append_stale(*series, t_ms)))
}

/// A target that went and came back has newer samples than its old self wants to write: expected, and no error.
fn ignore_known(outcome: Result<(), AppendError>) -> Result<(), AppendError> {
    match outcome {
        Err(
            AppendError::OutOfOrder
            | AppendError::DuplicateTimestamp(_)
            | AppendError::OutOfBounds
            | AppendError::TooOld
            | AppendError::UnknownSeries,
        ) => Ok(()),
        other => other,
    }
}
