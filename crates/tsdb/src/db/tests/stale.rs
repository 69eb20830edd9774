//! Stale series leave early: what queries see does not change, memory does.

use narthex_model::is_stale;

use super::*;

/// Without the staleness markers, which the twin does not know.
fn seen(db: &Db) -> Twin {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&SelectHints::default(), &all()).unwrap();
    let mut found = Twin::new();
    for at in 0..set.len() {
        let mut batch = SampleBatch::default();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        let samples = batch.t_ms.iter().copied().zip(batch.values.iter().copied());
        let name = set.labels(at).value("__name__").to_owned();
        found.entry(name).or_default().extend(samples.filter(|(_, value)| !is_stale(*value)));
    }
    found
}

fn end(db: &Db, t_ms: i64, names: &[&str]) {
    let mut appender = db.appender();
    for name in names {
        let series = appender.resolve(&labels(name)).unwrap();
        appender.append_stale(series, t_ms).unwrap();
    }
    appender.commit().unwrap();
}

#[test]
fn stale_series_go_to_blocks_of_their_own_and_come_back_as_new() {
    let dir = crate::scratch::tempdir().unwrap();
    let runtime = RuntimeOptions { stale_series_compaction_threshold: 0.5, ..options().runtime };
    let with_threshold = || DbOptions { runtime: runtime.clone(), ..options() };
    let db = Db::open(dir.path(), with_threshold(), &Registry::new()).unwrap();
    let mut twin = Twin::new();
    for t in 0..12 {
        put(&db, &mut twin, t * 100, &["a", "b", "c"]);
    }
    end(&db, 1200, &["a"]);
    db.shared.tick(true).unwrap();
    assert_eq!(db.stats(0).series_count, 3, "one of three is not enough");
    end(&db, 1200, &["b"]);
    db.shared.tick(true).unwrap();
    assert_eq!(db.stats(0).series_count, 1);
    assert_eq!(seen(&db), twin);
    let hints: Vec<bool> = db
        .shared
        .blocks
        .current()
        .iter()
        .map(|block| block.meta().compaction.has_hint(narthex_block::Hint::FromStaleSeries))
        .collect();
    assert_eq!(hints, [true, true], "a block for each range");
    put(&db, &mut twin, 1250, &["a", "c"]);
    assert_eq!(seen(&db), twin);
    drop(db);
    let db = Db::open(dir.path(), with_threshold(), &Registry::new()).unwrap();
    assert_eq!(seen(&db), twin, "the live series' samples in the blocks' range come from the WAL");
    for t in 20..40 {
        put(&db, &mut twin, t * 100, &["a", "c"]);
    }
    db.shared.tick(true).unwrap();
    assert_eq!(seen(&db), twin, "and when their own block overlaps");
}

#[test]
fn without_a_threshold_stale_series_stay() {
    let dir = crate::scratch::tempdir().unwrap();
    let (db, mut twin) = (open(dir.path()), Twin::new());
    put(&db, &mut twin, 100, &["a"]);
    end(&db, 200, &["a"]);
    db.shared.tick(true).unwrap();
    assert_eq!(db.stats(0).series_count, 1);
}
