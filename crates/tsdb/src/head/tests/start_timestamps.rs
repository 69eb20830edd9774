//! Start timestamps on all their ways: in order and late, in memory, in files of chunks, logs, checkpoints, blocks.

use std::collections::BTreeMap;

use narthex_chunks::FloatEncoding;
use narthex_storage::{Appendable, HistogramRef, Queryable};
use narthex_wal::{WalOptions, list_checkpoints};

use super::late_histograms::{float, int};
use super::*;

/// Of each kind of sample, by time: when its counter started.
type Starts = BTreeMap<&'static str, BTreeMap<i64, i64>>;

const KINDS: [&str; 3] = ["float", "int", "float_histogram"];

fn with_starts(dir: &Path) -> Arc<Db> {
    let runtime = RuntimeOptions {
        float_chunks: FloatEncoding::Xor2,
        out_of_order_window_ms: 1_000_000,
        ..RuntimeOptions::default()
    };
    let options = DbOptions {
        runtime,
        start_timestamps: true,
        histogram_start_chunks: true,
        manual_maintenance: true,
        min_block_duration_ms: 1000,
        max_block_duration_ms: 9000,
        wal: WalOptions { segment_size_bytes: 32 * 1024, ..WalOptions::default() },
        ..DbOptions::default()
    };
    Db::open(dir, options, &Registry::new()).unwrap()
}

/// Appends one sample of each kind; some have no start.
fn put_at(db: &Db, model: &mut Starts, t_ms: i64, random: &mut fastrand::Rng) {
    let start_ms = if random.u8(0..8) == 0 { 0 } else { t_ms - random.i64(1..4) * 100 };
    let mut appender = db.appender();
    for kind in KINDS {
        let series = appender.resolve(&labels(&format!("__name__={kind}"))).unwrap();
        let (ints, floats) = (int(t_ms as u64 + 1), float(t_ms as u64 + 1));
        let done = match kind {
            "float" => appender.append_with_start(series, start_ms, t_ms, t_ms as f64),
            "int" => appender.append_histogram_with_start(series, start_ms, t_ms, HistogramRef::Int(&ints)),
            _ => appender.append_histogram_with_start(series, start_ms, t_ms, HistogramRef::Float(&floats)),
        };
        done.unwrap();
        model.entry(kind).or_default().insert(t_ms, start_ms);
    }
    appender.commit().unwrap();
}

#[track_caller]
fn check(db: &Db, model: &Starts, when: &str) {
    for (kind, expected) in model {
        let querier = db.querier(i64::MIN, i64::MAX).unwrap();
        let set = querier.select(&SelectHints::default(), &[matcher(&format!("__name__={kind}"))]).unwrap();
        let mut batch = SampleBatch::default();
        assert_eq!(set.len(), 1);
        set.read(0, i64::MIN, i64::MAX, &mut batch).unwrap();
        let (times, starts) = match *kind {
            "float" => (&batch.t_ms, &batch.start_ms),
            _ => (&batch.histogram_t_ms, &batch.histogram_start_ms),
        };
        let got: BTreeMap<i64, i64> = times.iter().copied().zip(starts.iter().copied()).collect();
        assert_eq!((times.len(), starts.len()), (expected.len(), expected.len()), "{kind} {when}");
        let wrong = expected.iter().find(|(t, start)| got.get(t) != Some(start));
        assert_eq!(wrong.map(|(t, start)| (t, start, got.get(t))), None, "{kind} {when}: time, start, found");
    }
}

/// A plain map says what is read, whatever the way: open lists and chunks, `chunks_head`, both logs, checkpoints, blocks that are
/// merged with late ones.
#[test]
fn start_timestamps_survive_every_way_to_a_block() {
    for seed in 0..3 {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = crate::scratch::tempdir().unwrap();
        let (mut db, mut model) = (with_starts(dir.path()), Starts::new());
        for round in 1..=6i64 {
            for i in 0..60 {
                // Late ones lie at odd times.
                put_at(&db, &mut model, round * 1200 + i * 20, &mut random);
                let late = (random.i64(0..round * 1200) / 20) * 20 + 1;
                if !model["float"].contains_key(&late) {
                    put_at(&db, &mut model, late, &mut random);
                }
            }
            check(&db, &model, "in memory");
            if random.bool() {
                db.head().map_chunks().unwrap();
                check(&db, &model, "in files of chunks");
            }
            if random.bool() {
                drop(db);
                db = with_starts(dir.path());
                check(&db, &model, "after a restart");
            }
            if round % 2 == 0 {
                db.maintain().unwrap();
                check(&db, &model, "in blocks");
                drop(db);
                db = with_starts(dir.path());
                check(&db, &model, "in blocks, after a restart");
            }
        }
        assert!(!db.blocks().is_empty());
        assert!(!list_checkpoints(db.wal_dir()).unwrap().is_empty(), "a checkpoint was among the ways");
    }
}
