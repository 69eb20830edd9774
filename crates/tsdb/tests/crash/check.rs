//! What a directory holds, compared with what was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use narthex_metrics::Registry;
use narthex_model::{MatchOp, Matcher};
use narthex_storage::{Queryable, SampleBatch, SelectHints};
use narthex_tsdb::Db;

use super::child::options;
use super::load::{DOOMED, expected, labels, value_of};

/// Bits of the values by time, by series.
pub(super) type Content = BTreeMap<String, BTreeMap<i64, u64>>;

/// Everything that an open database serves.
pub(super) fn content(db: &Arc<Db>) -> Content {
    let matcher = Matcher::new(MatchOp::Equal, "job", "crash").unwrap();
    let hints = SelectHints { start_ms: i64::MIN, end_ms: i64::MAX, ..SelectHints::default() };
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&hints, &[matcher]).unwrap();
    let mut all = Content::new();
    for at in 0..set.len() {
        let name = set.labels(at).value("__name__").to_owned();
        assert_eq!(set.labels(at), labels(&name));
        let mut batch = SampleBatch::default();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        assert!(batch.t_ms.is_sorted_by(|a, b| a < b), "{name}: a sample came twice or out of order");
        assert!(
            batch.histogram_t_ms.is_sorted_by(|a, b| a < b),
            "{name}: a histogram came twice or out of order"
        );
        let floats = batch.t_ms.iter().copied().zip(batch.values.iter().map(|v| v.to_bits()));
        let histograms =
            batch.histogram_t_ms.iter().copied().zip(batch.histograms.iter().map(|h| value_of(h).to_bits()));
        let values: BTreeMap<i64, u64> = floats.chain(histograms).collect();
        assert_eq!(values.len(), batch.len(), "{name}: a float and a histogram at one moment");
        if !values.is_empty() && name != DOOMED {
            assert!(all.insert(name.clone(), values).is_none(), "{name} is there twice");
        }
    }
    all
}

/// Opens the directory and checks that the batches `0..acknowledged` are there, each sample once. Of the next one, whose answer
/// the process did not live to hear, any part may be there (a write ends at a page when its process is killed), of others nothing.
#[track_caller]
pub(super) fn check(dir: &Path, acknowledged: u64, story: &str) {
    let db = Db::open(dir, options(), &Registry::new());
    let db = db.unwrap_or_else(|error| panic!("{story}: does not open: {error:?}"));
    let got = content(&db);
    db.close().unwrap();
    check_all_there(&got, acknowledged, story);
    check_none_else(&got, acknowledged + 1, story);
}

/// All samples of the batches `0..count` are in `got`.
#[track_caller]
pub(super) fn check_all_there(got: &Content, count: u64, story: &str) {
    for (series, want) in expected(count).into_iter().filter(|(series, _)| series != DOOMED) {
        let got = got.get(&series);
        let missing: Vec<_> = want.iter().filter(|(t, _)| !got.is_some_and(|s| s.contains_key(*t))).collect();
        let some = &missing[..missing.len().min(5)];
        assert!(
            missing.is_empty(),
            "{story}: {series} lost {} of {} samples: {some:?}",
            missing.len(),
            want.len()
        );
    }
}

/// `got` has no sample but those of the batches `0..count`.
#[track_caller]
pub(super) fn check_none_else(got: &Content, count: u64, story: &str) {
    let want = expected(count);
    for (series, got) in got {
        let want = want.get(series);
        let wrong: Vec<_> =
            got.iter().filter(|(t, v)| want.and_then(|w| w.get(t)) != Some(v)).take(5).collect();
        assert!(wrong.is_empty(), "{story}: {series} has what nobody wrote: {wrong:?}");
    }
}
