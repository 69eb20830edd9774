//! `tsdb bench write`: how fast a fresh database takes the samples of simulated scrapes.
//!
//! Facts: the stages and lines of promtool's output; scrapes are 30 s apart, counters begin at 123456789 and rise by 1000.
//! Profiles of a Go process are not written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use narthex_metrics::Registry;
use narthex_model::{Labels, format_float_general};
use narthex_storage::{AppendError, Appendable, CommitError, SeriesRef};
use narthex_tsdb::{Db, DbOptions, OpenError};

use super::super::Given;
use super::format_go_duration;

/// Between two scrapes.
const INTERVAL_MS: i64 = 30_000;
/// Scrapes that a thread does before it waits for the others.
const ROUND: i64 = 100;
/// Series of a thread.
const SHARD: usize = 1000;

/// Why the benchmark ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BenchError {
    #[error("cannot prepare {}", path.display())]
    Prepare { path: PathBuf, source: std::io::Error },
    #[error("cannot read samples from {}", path.display())]
    Samples { path: PathBuf, source: std::io::Error },
    #[error("{}: line {line} is not a label set like {{\"name\":\"value\"}}", path.display())]
    Line { path: PathBuf, line: usize },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("cannot close the database")]
    Close(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs the benchmark and prints its stages.
pub(super) fn write(given: &Given) -> Result<(), BenchError> {
    let out = Path::new(given.flag("out"));
    let prepare = |source| BenchError::Prepare { path: out.to_owned(), source };
    match std::fs::remove_dir_all(out) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(prepare(e)),
        _ => {}
    }
    std::fs::create_dir_all(out).map_err(prepare)?;
    let options = DbOptions { manual_maintenance: true, ..DbOptions::default() };
    let db = Db::open(&out.join("storage"), options, &Registry::new())?;
    let file = Path::new(given.argument("file"));
    let most = usize::try_from(given.int("metrics")).unwrap_or(0);
    let (series, _) = stage("readData", || read_series(file, most))?;
    let (total, took) = stage("ingestScrapes", || ingest(&db, &series, given.int("scrapes")))?;
    println!(" > total samples: {total}");
    println!(" > samples/sec: {}", format_float_general(total as f64 / took.as_secs_f64()));
    stage("stopStorage", || db.close().map_err(|e| BenchError::Close(Box::new(e))))?;
    Ok(())
}

/// Runs one stage between two lines that name it.
fn stage<T>(name: &str, run: impl FnOnce() -> Result<T, BenchError>) -> Result<(T, Duration), BenchError> {
    println!(">> start stage={name}");
    let began = Instant::now();
    let result = run()?;
    let took = began.elapsed();
    let ns = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
    println!(">> completed stage={name} duration={}", format_go_duration(ns));
    Ok((result, took))
}

/// The first `most` different label sets of a file with one a line: `{"__name__":"x","job":"y"}`.
fn read_series(path: &Path, most: usize) -> Result<Vec<Labels>, BenchError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| BenchError::Samples { path: path.to_owned(), source })?;
    let mut seen = HashSet::new();
    let mut series = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if series.len() == most {
            break;
        }
        let clean: String = line.chars().filter(|c| !matches!(c, '"' | '{' | '}')).collect();
        let pairs: Option<Vec<(&str, &str)>> = clean.split(',').map(pair).collect();
        let pairs = pairs.ok_or(BenchError::Line { path: path.to_owned(), line: at + 1 })?;
        let labels = Labels::from_pairs(pairs);
        if seen.insert(labels.clone()) {
            series.push(labels);
        }
    }
    Ok(series)
}

/// COMPAT: what stands behind a second colon is dropped.
fn pair(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split(':');
    Some((parts.next()?, parts.next()?))
}

/// Rounds of 100 scrapes; in each, every thousand series has a thread of its own. Gives the number of samples.
fn ingest(db: &Arc<Db>, series: &[Labels], scrapes: i64) -> Result<u64, BenchError> {
    let mut total = 0;
    for round in 0..(scrapes.max(0) + ROUND - 1) / ROUND {
        let base_ms = round * ROUND * INTERVAL_MS;
        let counts = std::thread::scope(|scope| {
            let threads: Vec<_> = series
                .chunks(SHARD)
                .map(|shard| scope.spawn(move || ingest_shard(db, shard, base_ms)))
                .collect();
            threads.into_iter().map(|t| t.join().expect("an appender does not panic")).collect::<Vec<_>>()
        });
        for count in counts {
            total += count?;
        }
    }
    println!("ingestion completed");
    Ok(total)
}

fn ingest_shard(db: &Arc<Db>, series: &[Labels], base_ms: i64) -> Result<u64, BenchError> {
    let mut refs: Vec<Option<SeriesRef>> = vec![None; series.len()];
    for scrape in 1..=ROUND {
        let mut appender = db.appender();
        let (t_ms, value) = (base_ms + scrape * INTERVAL_MS, 123_456_789 + 1000 * scrape);
        for (labels, known) in series.iter().zip(&mut refs) {
            let series = match *known {
                Some(series) => series,
                None => *known.insert(appender.resolve(labels)?),
            };
            appender.append(series, t_ms, value as f64)?;
        }
        appender.commit()?;
    }
    Ok(ROUND as u64 * series.len() as u64)
}
