//! `tsdb dump` and `tsdb dump-openmetrics`: all samples of a data directory as text, series by series.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use narthex_model::{Labels, METRIC_NAME, Matcher, format_float_general, quote_go};
use narthex_promql::parser::{ParseErrors, parse_metric_selector};
use narthex_storage::{Querier, QueryError, SampleBatch, SelectHints, SeriesSet};
use narthex_tsdb::{ReadOnlyDb, ReadOnlyError};

use super::super::Given;
use super::histogram_text::histogram_text;

/// Why a dump ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    #[error(transparent)]
    Db(#[from] ReadOnlyError),
    #[error(transparent)]
    Selector(#[from] ParseErrors),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("cannot write the dump")]
    Write(#[from] io::Error),
}

/// What a dump looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `{labels} value time`
    Samples,
    /// One JSON object of labels for each series.
    Series,
    /// Floats only, time in seconds.
    OpenMetrics,
}

/// Dumps what the flags ask for. Whoever reads the dump may close it early.
pub(super) fn run(given: &Given, format: Format) -> Result<(), DumpError> {
    let db = ReadOnlyDb::open(Path::new(given.argument("db path")))?;
    let (mint_ms, maxt_ms) = (given.int("min-time"), given.int("max-time"));
    let querier = db.querier(mint_ms, maxt_ms)?;
    let selectors: Vec<Vec<Matcher>> =
        given.flags("match").iter().map(|text| parse_metric_selector(text)).collect::<Result<_, _>>()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = dump(&*querier, (mint_ms, maxt_ms), &selectors, format, &mut out);
    match written.and_then(|()| out.flush().map_err(Into::into)) {
        Err(DumpError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn dump(
    querier: &dyn Querier,
    (mint_ms, maxt_ms): (i64, i64),
    selectors: &[Vec<Matcher>],
    format: Format,
    out: &mut impl Write,
) -> Result<(), DumpError> {
    let hints = SelectHints { start_ms: mint_ms, end_ms: maxt_ms, ..SelectHints::default() };
    let sets: Vec<Box<dyn SeriesSet>> =
        selectors.iter().map(|matchers| querier.select(&hints, matchers)).collect::<Result<_, _>>()?;
    let mut places = vec![0; sets.len()];
    let mut batch = SampleBatch::default();
    while let Some((set, labels)) = next(&sets, &mut places) {
        batch.clear();
        let (set, at) = set;
        sets[set].read(at, mint_ms, maxt_ms, &mut batch)?;
        if batch.is_empty() {
            continue;
        }
        match format {
            Format::Samples => write_samples(out, &labels, &batch)?,
            Format::Series => writeln!(out, "{}", labels_json(&labels))?,
            Format::OpenMetrics => write_open_metrics(out, &labels, &batch)?,
        }
    }
    if format == Format::OpenMetrics {
        writeln!(out, "# EOF")?;
    }
    Ok(())
}

/// The smallest label set that none of the sets has passed, and one place where it stands.
fn next(sets: &[Box<dyn SeriesSet>], places: &mut [usize]) -> Option<((usize, usize), Labels)> {
    let heads = sets.iter().zip(&*places).enumerate().filter(|(_, (set, at))| **at < set.len());
    let heads: Vec<(usize, usize, Labels)> = heads.map(|(i, (set, at))| (i, *at, set.labels(*at))).collect();
    let (set, at, labels) = heads.iter().min_by(|a, b| a.2.cmp(&b.2))?.clone();
    for (i, _, same) in &heads {
        if *same == labels {
            places[*i] += 1;
        }
    }
    Some(((set, at), labels))
}

fn write_samples(out: &mut impl Write, labels: &Labels, batch: &SampleBatch) -> io::Result<()> {
    let labels = labels.to_string();
    let mut floats = batch.t_ms.iter().zip(&batch.values).peekable();
    let mut histograms = batch.histogram_t_ms.iter().zip(&batch.histograms).peekable();
    loop {
        match (floats.peek(), histograms.peek()) {
            (Some((t, value)), later) if later.is_none_or(|(h, _)| t <= h) => {
                writeln!(out, "{labels} {} {t}", format_float_general(**value))?;
                floats.next();
            }
            (_, Some((t, histogram))) => {
                writeln!(out, "{labels} {} {t}", histogram_text(histogram))?;
                histograms.next();
            }
            (_, None) => return Ok(()),
        }
    }
}

/// COMPAT: a series' dump ends at its first native histogram.
fn write_open_metrics(out: &mut impl Write, labels: &Labels, batch: &SampleBatch) -> io::Result<()> {
    let end = batch.histogram_t_ms.first().copied().unwrap_or(i64::MAX);
    let pairs = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", quote_go(value))).collect();
    let series = format!("{}{{{}}}", labels.metric_name(), pairs.join(","));
    for (t_ms, value) in batch.t_ms.iter().zip(&batch.values).take_while(|(t, _)| **t < end) {
        writeln!(out, "{series} {} {:.3}", format_float_general(*value), *t_ms as f64 / 1000.0)?;
    }
    Ok(())
}

/// Go's JSON: `<`, `>`, `&` and the two line separators escaped.
fn labels_json(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{}:{}", json_string(name), json_string(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
