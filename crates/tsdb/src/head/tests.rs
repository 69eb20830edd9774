//! The head as a whole, through the traits that others use.

mod basics;
mod cardinality;
mod deletes;
mod disk_full;
mod histograms;
mod isolation;
mod late;
mod late_chunks;
mod late_histograms;
mod live;
mod map;
mod model;
mod restart;
mod snapshot;
mod stale;
mod start_timestamps;
mod stress;
mod truncation;
mod wal_crash;
mod wal_life;

use std::path::Path;
use std::sync::Arc;

use narthex_metrics::Registry;
use narthex_model::{Labels, MatchOp, Matcher};
use narthex_storage::{
    Appendable, LabelSets, Querier, Queryable, SampleBatch, SelectHints, SeriesRef, SeriesSet, Windows,
};

use crate::{Db, DbOptions, RuntimeOptions};

/// Samples of one series as a reader sees them: label set as text, timestamps with value bits.
type Seen = (String, Vec<(i64, u64)>);

pub(super) fn open(dir: &Path) -> Arc<Db> {
    Db::open(dir, options(10, 0), &Registry::new()).unwrap()
}

/// With room for samples that come out of order, up to `window_ms` late.
pub(super) fn open_late(dir: &Path, window_ms: i64) -> Arc<Db> {
    Db::open(dir, options(0, window_ms), &Registry::new()).unwrap()
}

/// The defaults, with room for exemplars and for samples that come late.
pub(super) fn options(max_exemplars: usize, out_of_order_window_ms: i64) -> DbOptions {
    let runtime = RuntimeOptions { max_exemplars, out_of_order_window_ms, ..RuntimeOptions::default() };
    DbOptions { runtime, manual_maintenance: true, ..DbOptions::default() }
}

pub(super) fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split(',').filter_map(|pair| pair.split_once('=')))
}

/// Commits samples of one series as one batch.
pub(super) fn put(db: &Db, series: &str, samples: &[(i64, f64)]) -> SeriesRef {
    let mut appender = db.appender();
    let series = appender.resolve(&labels(series)).unwrap();
    for (t, v) in samples {
        appender.append(series, *t, *v).unwrap();
    }
    appender.commit().unwrap();
    series
}

pub(super) fn matcher(text: &str) -> Matcher {
    let ops =
        [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];
    let (sign, op) = ops.into_iter().find(|(sign, _)| text.contains(sign)).unwrap();
    let (name, value) = text.split_once(sign).unwrap();
    Matcher::new(op, name, value).unwrap()
}

pub(super) fn read(db: &dyn Queryable, (mint, maxt): (i64, i64), matchers: &[Matcher]) -> Vec<Seen> {
    let querier = db.querier(mint, maxt).unwrap();
    let set = querier.select(&SelectHints::default(), matchers).unwrap();
    let mut batch = SampleBatch::default();
    let mut all = Vec::new();
    for at in 0..set.len() {
        batch.clear();
        set.read(at, mint, maxt, &mut batch).unwrap();
        check_newest(&*set, at, &batch, (mint, maxt));
        let samples = batch.t_ms.iter().copied().zip(batch.values.iter().map(|v| v.to_bits()));
        all.push((set.labels(at).to_string(), samples.collect()));
    }
    all
}

/// Who asks for label sets alone gets those of the series that a select finds, with a limit the first of them.
#[track_caller]
pub(crate) fn check_label_sets(querier: &dyn Querier, set: &dyn SeriesSet, matchers: &[Matcher]) {
    for limit in [0, 2] {
        let mut found = LabelSets::default();
        querier.label_sets(&SelectHints { limit, ..SelectHints::default() }, matchers, &mut found).unwrap();
        let found = found.listed();
        let most = if limit == 0 { set.len() } else { limit.min(set.len()) };
        assert!(found.len() >= most && (limit > 0 || found.len() == most), "{matchers:?}: {}", found.len());
        assert!((0..most).all(|at| found.labels(at) == set.labels(at)), "{matchers:?}");
    }
}

/// Who asks for the newest sample up to some time gets that of the whole read.
#[track_caller]
fn check_newest(set: &dyn SeriesSet, at: usize, whole: &SampleBatch, (mint, maxt): (i64, i64)) {
    let middle = whole.t_ms.get(whole.t_ms.len() / 2).copied().unwrap_or(mint);
    let last = whole.t_ms.last().copied().unwrap_or(maxt);
    for end in [middle, last, maxt] {
        let windows = Windows { first_end_ms: end, step_ms: 0, count: 1, range_ms: end.saturating_sub(mint) };
        let mut newest = SampleBatch::default();
        set.read_newest(at, &windows, &mut newest).unwrap();
        let held = |t: i64| windows.clip((t, t)).is_some();
        let last_of = |batch: &SampleBatch| {
            let at = batch.t_ms.iter().rposition(|t| held(*t))?;
            Some((batch.t_ms[at], batch.values[at].to_bits(), batch.start_ms.get(at).copied().unwrap_or(0)))
        };
        let histogram_ms = whole.histogram_t_ms.iter().rfind(|t| held(**t)).copied();
        let (found, expected) = (last_of(&newest), last_of(whole));
        if histogram_ms.is_none_or(|t| expected.is_some_and(|(float_ms, ..)| t < float_ms)) {
            assert_eq!(found, expected, "series {at}, newest up to {end}");
        } else {
            assert_eq!(newest.histogram_t_ms.iter().rfind(|t| held(**t)).copied(), histogram_ms);
        }
    }
}

pub(super) fn read_all(db: &dyn Queryable) -> Vec<Seen> {
    read(db, (i64::MIN, i64::MAX), &[])
}

pub(super) fn seen(series: &str, samples: &[(i64, f64)]) -> Seen {
    (labels(series).to_string(), samples.iter().map(|(t, v)| (*t, v.to_bits())).collect())
}

/// Waits until the condition holds.
#[track_caller]
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "never came true: {what}");
        std::thread::yield_now();
    }
}
