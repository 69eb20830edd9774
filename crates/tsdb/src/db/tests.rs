//! A database with blocks of a second, against a map of all samples.

mod broken;
mod crash;
mod late;
mod life;
mod model;
mod stale;
mod stress;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use narthex_metrics::Registry;
use narthex_model::{Labels, MatchOp, Matcher};
use narthex_storage::{Appendable, Queryable, SampleBatch, SelectHints};

use crate::{Db, DbOptions, Retention, RuntimeOptions};

/// Samples by series name and time.
type Twin = BTreeMap<String, BTreeMap<i64, f64>>;

/// Blocks of 1 s, up to 9 s; nothing is too old.
fn options() -> DbOptions {
    let retention = Retention { time_ms: 0, ..Retention::default() };
    DbOptions {
        min_block_duration_ms: 1000,
        max_block_duration_ms: 9000,
        manual_maintenance: true,
        runtime: RuntimeOptions { retention, ..RuntimeOptions::default() },
        ..DbOptions::default()
    }
}

fn open(dir: &Path) -> Arc<Db> {
    Db::open(dir, options(), &Registry::new()).unwrap()
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "test")])
}

fn all() -> [Matcher; 1] {
    [Matcher::new(MatchOp::Equal, "job", "test").unwrap()]
}

fn only(name: &str) -> [Matcher; 1] {
    [Matcher::new(MatchOp::Equal, "__name__", name).unwrap()]
}

/// Appends one sample a series at a moment, in one batch; notes those that were taken.
fn put(db: &Db, twin: &mut Twin, t_ms: i64, names: &[&str]) {
    let mut appender = db.appender();
    for (number, name) in names.iter().enumerate() {
        let series = appender.resolve(&labels(name)).unwrap();
        let value = t_ms as f64 + number as f64 / 8.0;
        if appender.append(series, t_ms, value).is_ok() {
            twin.entry((*name).to_owned()).or_default().entry(t_ms).or_insert(value);
        }
    }
    appender.commit().unwrap();
}

/// Everything that a database shows in a closed range.
fn read(db: &Db, mint_ms: i64, maxt_ms: i64) -> Twin {
    let querier = db.querier(mint_ms, maxt_ms).unwrap();
    let set = querier.select(&SelectHints::default(), &all()).unwrap();
    let mut out = SampleBatch::default();
    let mut twin = Twin::new();
    for at in 0..set.len() {
        out.clear();
        set.read(at, mint_ms, maxt_ms, &mut out).unwrap();
        assert!(out.t_ms.windows(2).all(|pair| pair[0] < pair[1]), "each timestamp once");
        let samples: BTreeMap<i64, f64> = out.t_ms.iter().copied().zip(out.values.iter().copied()).collect();
        if !samples.is_empty() {
            assert!(
                twin.insert(set.labels(at).metric_name().to_owned(), samples).is_none(),
                "each series once"
            );
        }
    }
    twin
}

#[track_caller]
fn check(db: &Db, twin: &Twin) {
    let got = read(db, i64::MIN, i64::MAX);
    let full: Twin =
        twin.iter().filter(|(_, s)| !s.is_empty()).map(|(n, s)| (n.clone(), s.clone())).collect();
    assert_eq!(got, full);
}

/// The ranges of the blocks that are served.
fn ranges(db: &Db) -> Vec<(i64, i64)> {
    db.blocks().iter().map(|meta| (meta.min_ms, meta.max_ms)).collect()
}

/// Names in the data directory that are blocks or were to become or stop being some.
fn block_entries(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("01")).collect();
    names.sort();
    names
}
