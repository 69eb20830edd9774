//! Logs that real Prometheus wrote: every record decodes, and counts are those of a slow reading by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use narthex_model::Labels;
use narthex_storage::SeriesRef;

use super::*;
use crate::record::*;
use crate::{PAGE_SIZE, ReplayPlan, list_segments, repair, segment_path};

/// The directory of the conformance material, or `None` after a loud line.
fn shared(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = std::env::var_os("NARTHEX_SHARED").map_or(beside, PathBuf::from);
    if dir.join("conformance/tsdb").is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "{test} must run in CI and needs {}", dir.display());
    eprintln!("SKIPPED: {test} needs the conformance material at {}", dir.display());
    None
}

fn unpack(archive: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bytes = zstd::stream::decode_all(std::fs::File::open(archive).unwrap()).unwrap();
    let tar = dir.path().join("archive.tar");
    std::fs::write(&tar, bytes).unwrap();
    let done = Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(dir.path()).status().unwrap();
    assert!(done.success());
    dir
}

/// Entries of each record type.
type Counts = BTreeMap<&'static str, usize>;

fn count(record: &[u8], counts: &mut Counts) -> Result<(), DecodeError> {
    let mut add = |name, n| *counts.entry(name).or_default() += n;
    match RecordType::of(record) {
        RecordType::Series => decode_series(record, |_, pairs| {
            assert!(pairs.is_canonical());
            add("series", 1);
        })?,
        RecordType::Samples { .. } => {
            let mut samples = Vec::new();
            decode_samples(record, &mut samples)?;
            add("samples", samples.len());
        }
        RecordType::Tombstones => decode_tombstones(record, |_| add("tombstones", 1))?,
        RecordType::Exemplars => decode_exemplars(record, |_| add("exemplars", 1))?,
        RecordType::MmapMarkers => decode_mmap_markers(record, |_| add("markers", 1))?,
        RecordType::Metadata => decode_metadata(record, |_| add("metadata", 1))?,
        RecordType::Histograms(_) | RecordType::FloatHistograms(_) => {
            let skipped = decode_histograms(record, |s| match s.histogram {
                AnyHistogram::Int(_) => add("histograms", 1),
                AnyHistogram::Float(_) => add("float histograms", 1),
            })?;
            assert_eq!(skipped, 0);
        }
        RecordType::Unknown => add("unknown", 1),
    }
    Ok(())
}

fn count_dir(dir: &Path) -> (Counts, usize) {
    let (records, error) = read_all(dir);
    assert!(error.is_none(), "{error:?}");
    let mut counts = Counts::new();
    for (at, record) in &records {
        count(record, &mut counts).unwrap_or_else(|error| panic!("{}: {at}: {error}", dir.display()));
    }
    (counts, records.len())
}

/// The slow twin: walks fragments by hand, counts records by their last fragment.
fn plain_record_count(dir: &Path) -> usize {
    let mut records = 0;
    for segment in list_segments(dir).unwrap() {
        for page in std::fs::read(segment_path(dir, segment)).unwrap().chunks(PAGE_SIZE) {
            let mut rest = page;
            while rest.len() >= 7 && rest[0] & 7 != 0 {
                records += usize::from(matches!(rest[0] & 7, 1 | 4));
                rest = &rest[7 + usize::from(rest[1]) * 256 + usize::from(rest[2])..];
            }
        }
    }
    records
}

#[test]
fn a_log_of_prometheus_decodes_completely() {
    let Some(shared) = shared("a_log_of_prometheus_decodes_completely") else { return };
    for name in ["prom-3.5.3-a", "prom-3.5.3-a-snapshot"] {
        let dir = unpack(&shared.join(format!("conformance/tsdb/{name}.tar.zst")));
        let wal = dir.path().join("data/wal");
        let plan = ReplayPlan::of(&wal).unwrap();
        let (index, checkpoint) = plan.checkpoint.expect("the fixture has a checkpoint");
        assert_eq!(plan.segments.first(), Some(&(index + 1)));
        for part in [&checkpoint, &wal, &dir.path().join("data/wbl")] {
            let (counts, records) = count_dir(part);
            eprintln!("{name} {}: {records} records, {counts:?}", part.display());
            assert_eq!(records, plain_record_count(part), "{}", part.display());
            assert!(records > 0 && !counts.contains_key("unknown"));
        }
        let (counts, _) = count_dir(&wal);
        for kind in ["series", "samples", "histograms", "float histograms", "exemplars", "metadata"] {
            assert!(counts.contains_key(kind), "the fixture's log has {kind}: {counts:?}");
        }
    }
}

/// Counts series and samples over checkpoint and log after repair, as `cases.json` of the fixture damages them.
#[track_caller]
fn check_damaged(shared: &Path, damage: impl Fn(&Path, &ReplayPlan), more_than: usize, less_than: usize) {
    let dir = unpack(&shared.join("conformance/tsdb/corrupt/base.tar.zst"));
    let wal = std::iter::once(dir.path().join("data/wal"))
        .chain([dir.path().join("wal")])
        .find(|path| path.is_dir())
        .expect("the fixture has a log");
    let plan = ReplayPlan::of(&wal).unwrap();
    let whole = count_dir(&wal).0["samples"];
    damage(&wal, &plan);
    if let (_, Some(error)) = read_all(&wal) {
        repair(error).unwrap();
    }
    let kept = count_dir(&wal).0.get("samples").copied().unwrap_or(0);
    assert!(kept * 100 >= whole * more_than && kept * 100 <= whole * less_than, "{kept} of {whole}");
}

#[test]
fn damaged_logs_of_prometheus_are_repaired() {
    let Some(shared) = shared("damaged_logs_of_prometheus_are_repaired") else { return };
    let edit = |wal: &Path, segment: u32, change: &dyn Fn(&mut Vec<u8>)| {
        let path = segment_path(wal, segment);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    };
    let first = |plan: &ReplayPlan| plan.segments[0];
    let last = |plan: &ReplayPlan| *plan.segments.last().unwrap();
    check_damaged(&shared, |_, _| {}, 100, 100);
    check_damaged(
        &shared,
        |wal, plan| edit(wal, last(plan), &|b| b.extend([0xde, 0xad, 0xbe, 0xef])),
        100,
        100,
    );
    check_damaged(
        &shared,
        |wal, plan| edit(wal, last(plan), &|b| b.extend([7, 0, 1, 0, 0, 0, 0, 0xff])),
        100,
        100,
    );
    check_damaged(&shared, |wal, plan| edit(wal, last(plan), &|b| b.truncate(0)), 1, 99);
    check_damaged(&shared, |wal, plan| edit(wal, last(plan), &|b| b[20] ^= 0xff), 1, 99);
    check_damaged(&shared, |wal, plan| edit(wal, first(plan), &|b| b[40] ^= 0xff), 0, 1);
}

/// A peer's program, or `None` after a loud line.
fn peer(test: &str, name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cached = home.join(".cache/prometheus-peers/root/usr/bin");
    let path = std::env::var_os("PEERS_BIN").map_or(cached, PathBuf::from).join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{test} must run in CI and needs {}", path.display());
    eprintln!("SKIPPED: {test} needs the real {name} at {}", path.display());
    None
}

#[test]
fn the_real_promtool_reads_a_log_of_ours() {
    let Some(promtool) = peer("the_real_promtool_reads_a_log_of_ours", "promtool") else { return };
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        let mut writer = writer(&dir.path().join("wal"), 64, compression);
        for series in 1..=50u64 {
            let labels = Labels::from_pairs([("__name__", "up"), ("i", &format!("{series:02}"))]);
            let mut record = Vec::new();
            encode_series([(SeriesRef(series), &labels)], &mut record);
            let samples: Vec<_> = (0..200).map(|i| sample(series, i)).collect();
            let mut floats = Vec::new();
            encode_samples(&samples, &mut floats);
            writer.log(&[&record, &floats]).unwrap();
            expected.extend(samples.iter().map(|s| format!("{labels} {} {}", s.value, s.t_ms)));
        }
        drop(writer);
        let dump = Command::new(&promtool).args(["tsdb", "dump"]).arg(dir.path()).output().unwrap();
        let dumped = String::from_utf8(dump.stdout).unwrap();
        let mut dumped: Vec<_> = dumped.lines().collect();
        dumped.sort_unstable();
        expected.sort_unstable();
        assert_eq!(dumped, expected, "{}", String::from_utf8_lossy(&dump.stderr));
    }
}

fn sample(series: u64, i: i64) -> RefSample {
    let t_ms = 1_795_310_700_000 + i * 1_000;
    RefSample { series: SeriesRef(series), t_ms, start_ms: 0, value: (series as i64 * i) as f64 / 4.0 }
}
