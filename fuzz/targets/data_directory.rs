//! A whole data directory (WAL, checkpoint, WBL, head chunks, memory snapshot, blocks) with one file damaged: it opens or is
//! refused; what it serves can be read; it closes.
//!
//! The first byte picks the file, the second whether the rest replaces it or edits the good one (see `narthex_fuzz::edited`).
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use narthex_metrics::Registry;
use narthex_model::{Histogram, Labels, MatchOp, Matcher, Span};
use narthex_storage::{Appendable, HistogramRef, Queryable, SampleBatch, SelectHints};
use narthex_tsdb::{Db, DbOptions, RuntimeOptions};
use narthex_wal::WalOptions;

const RANGE_MS: i64 = 60_000;

/// Every file of a good directory, by its path in there.
static BASE: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
static DIR: OnceLock<PathBuf> = OnceLock::new();

fn options() -> DbOptions {
    let window = RuntimeOptions { out_of_order_window_ms: RANGE_MS, max_exemplars: 10, ..RuntimeOptions::default() };
    DbOptions {
        wal: WalOptions { segment_size_bytes: 32 * 1024, ..WalOptions::default() },
        min_block_duration_ms: RANGE_MS,
        samples_per_chunk: 8,
        runtime: window,
        memory_snapshot_on_shutdown: true,
        manual_maintenance: true,
        ..DbOptions::default()
    }
}

fn base() -> Vec<(PathBuf, Vec<u8>)> {
    let dir = narthex_fuzz::scratch();
    let db = Db::open(&dir, options(), &Registry::new()).expect("an empty directory opens");
    for step in 0..140 {
        let t_ms = 1_700_000_000_000 / RANGE_MS * RANGE_MS + step * 1000;
        let mut appender = db.appender();
        for n in 0..3 {
            let series = appender.resolve(&Labels::from_pairs([("__name__", format!("f{n}").as_str()), ("job", "x")]));
            appender.append(series.expect("good labels"), t_ms, (step * n) as f64).expect("in order");
        }
        let series = appender.resolve(&Labels::from_pairs([("__name__", "h"), ("job", "x")])).expect("good labels");
        let histogram = Histogram {
            count: step as u64 + 1,
            sum: step as f64,
            zero_count: 1,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![step],
            ..Histogram::default()
        };
        appender.append_histogram(series, t_ms, HistogramRef::Int(&histogram)).expect("in order");
        let series = appender.resolve(&Labels::from_pairs([("__name__", "f0"), ("job", "x")])).expect("good labels");
        if step > 20 {
            appender.append(series, t_ms - 10_500, step as f64).expect("inside the window");
        }
        appender.commit().expect("there is room");
        if step % 35 == 34 {
            db.maintain().expect("maintenance works");
        }
    }
    db.close().expect("it closes");
    let mut files = Vec::new();
    gather(&dir, &dir, &mut files);
    files.sort();
    files
}

fn gather(root: &Path, dir: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).expect("the directory can be listed") {
        let path = entry.expect("the directory can be listed").path();
        if path.is_dir() {
            gather(root, &path, files);
        } else if path.file_name().is_some_and(|name| name != "lock") {
            let bytes = std::fs::read(&path).expect("the file can be read");
            files.push((path.strip_prefix(root).expect("it lies below").to_owned(), bytes));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [pick, how, rest @ ..] = bytes else { return };
    let base = BASE.get_or_init(base);
    let dir = DIR.get_or_init(narthex_fuzz::scratch);
    let pick = usize::from(*pick) % base.len();
    let _ = std::fs::remove_dir_all(dir);
    for (at, (path, good)) in base.iter().enumerate() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("the scratch can be written");
        let content = match (at == pick, how % 2) {
            (false, _) => good.clone(),
            (true, 0) => narthex_fuzz::edited(good, rest),
            (true, _) => rest.to_vec(),
        };
        std::fs::write(path, content).expect("the scratch can be written");
    }
    let Ok(db) = Db::open(dir, options(), &Registry::new()) else { return };
    read(&db);
    let _ = db.maintain();
    read(&db);
    let _ = db.close();
});

fn read(db: &Db) {
    let matcher = Matcher::new(MatchOp::NotEqual, "__name__", "nothing").expect("a good matcher");
    let hints = SelectHints { start_ms: i64::MIN, end_ms: i64::MAX, ..SelectHints::default() };
    let Ok(querier) = db.querier(i64::MIN, i64::MAX) else { return };
    let Ok(set) = querier.select(&hints, &[matcher]) else { return };
    let mut batch = SampleBatch::default();
    for at in 0..set.len() {
        let _ = set.labels(at);
        batch.clear();
        let _ = set.read(at, i64::MIN, i64::MAX, &mut batch);
    }
}
