//! Checkpoints: log and checkpoint say what the log said, but for what nobody needs; whatever a crash leaves.

use std::collections::{BTreeMap, BTreeSet};

use narthex_model::{Exemplar, Histogram, Labels, Metadata, MetricType};
use narthex_storage::SeriesRef;

use super::*;
use crate::record::*;
use crate::{
    Checkpoint, CheckpointStats, ReplayPlan, delete_checkpoints_before, delete_segments_before,
    list_checkpoints, list_segments, sweep_checkpoints,
};

/// Everything that records say, in a form that can be compared.
#[derive(Debug, Default, PartialEq)]
struct Content {
    series: BTreeMap<u64, String>,
    /// Series, time, start, value bits.
    samples: Vec<(u64, i64, i64, u64)>,
    histograms: Vec<(u64, i64, String)>,
    exemplars: Vec<(u64, i64, String)>,
    tombstones: Vec<(u64, i64, i64)>,
    metadata: BTreeMap<u64, String>,
}

impl Content {
    fn add(&mut self, record: &[u8]) {
        match RecordType::of(record) {
            RecordType::Series => decode_series(record, |series, pairs| {
                self.series.insert(series.0, pairs.to_labels().to_string());
            }),
            RecordType::Samples { .. } => {
                let mut samples = Vec::new();
                let done = decode_samples(record, &mut samples);
                self.samples
                    .extend(samples.iter().map(|s| (s.series.0, s.t_ms, s.start_ms, s.value.to_bits())));
                done
            }
            RecordType::Histograms(_) | RecordType::FloatHistograms(_) => decode_histograms(record, |s| {
                self.histograms.push((s.series.0, s.t_ms, format!("{} {:?}", s.start_ms, s.histogram)));
            })
            .map(drop),
            RecordType::Exemplars => decode_exemplars(record, |e| {
                self.exemplars.push((e.series.0, e.t_ms, format!("{:?}", e.to_exemplar())));
            }),
            RecordType::Tombstones => {
                decode_tombstones(record, |t| self.tombstones.push((t.series.0, t.mint_ms, t.maxt_ms)))
            }
            RecordType::Metadata => decode_metadata(record, |m| {
                self.metadata.insert(m.series.0, format!("{:?} {} {}", m.kind, m.unit, m.help));
            }),
            RecordType::MmapMarkers | RecordType::Unknown => Ok(()),
        }
        .unwrap();
    }

    /// What checkpoint and segments of a log say.
    fn of(dir: &Path) -> Self {
        let mut content = Self::default();
        let plan = ReplayPlan::of(dir).unwrap();
        let mut read = |mut reader: Reader| {
            while let Some(record) = reader.next().unwrap() {
                content.add(record.bytes);
            }
        };
        if let Some((_, checkpoint)) = &plan.checkpoint {
            read(Reader::open_dir(checkpoint).unwrap());
        }
        if let (Some(first), Some(last)) = (plan.segments.first(), plan.segments.last()) {
            read(Reader::open(dir, WalPosition { segment: *first, offset: 0 }, *last).unwrap());
        }
        content
    }

    /// The slow twin: what must be there when `in_checkpoint` went into one and `behind` did not.
    fn thinned(
        mut self,
        mint_ms: i64,
        keep: &dyn Fn(u64) -> bool,
        in_checkpoint: &Content,
        behind: &Content,
    ) -> Self {
        self.series.retain(|series, _| keep(*series) || behind.series.contains_key(series));
        thin(&mut self.samples, in_checkpoint.samples.len(), |s| s.1 >= mint_ms);
        thin(&mut self.histograms, in_checkpoint.histograms.len(), |s| s.1 >= mint_ms);
        thin(&mut self.exemplars, in_checkpoint.exemplars.len(), |s| s.1 >= mint_ms);
        thin(&mut self.tombstones, in_checkpoint.tombstones.len(), |t| t.2 >= mint_ms && keep(t.0));
        self.metadata.retain(|series, _| keep(*series) || behind.metadata.contains_key(series));
        self
    }
}

fn thin<T>(entries: &mut Vec<T>, cut: usize, stays: impl Fn(&T) -> bool) {
    let mut at = 0;
    entries.retain(|entry| {
        at += 1;
        at > cut || stays(entry)
    });
}

fn histogram(n: i64, custom: bool) -> Histogram {
    let spans = vec![narthex_model::Span { offset: 0, length: 2 }];
    let (schema, custom_values) =
        if custom { (narthex_model::CUSTOM_BUCKETS_SCHEMA, vec![1.0, 2.0]) } else { (1, Vec::new()) };
    let count = 2 * n.unsigned_abs() + 1;
    Histogram {
        schema,
        count,
        positive_spans: spans,
        positive_buckets: vec![n.abs(), 1],
        custom_values,
        ..Histogram::default()
    }
}

/// A record of a random kind about series below `series`, at times around `t_ms`.
fn random_record(rng: &mut fastrand::Rng, series: u64, t_ms: i64) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let count = rng.usize(1..6);
    let near = |rng: &mut fastrand::Rng| (SeriesRef(rng.u64(1..=series)), t_ms + rng.i64(-30..30));
    let mut ends = Vec::new();
    match rng.u8(0..8) {
        0..=2 => {
            let start_ms = if rng.bool() { 0 } else { 5 };
            let sample = |rng: &mut fastrand::Rng| {
                let (series, t_ms) = near(rng);
                RefSample { series, t_ms, start_ms, value: rng.f64() }
            };
            let samples: Vec<_> = (0..count).map(|_| sample(rng)).collect();
            encode_samples(&samples, &mut out);
        }
        3 => {
            let histograms: Vec<_> = (0..count).map(|n| histogram(n as i64, rng.bool())).collect();
            let start_ms = if rng.bool() { 0 } else { 5 };
            let samples: Vec<_> = histograms
                .iter()
                .map(|histogram| {
                    let (series, t_ms) = near(rng);
                    HistogramSample { series, t_ms, start_ms, histogram }
                })
                .collect();
            encode_histograms(&samples, &mut out, |end| ends.push(end));
        }
        4 => {
            let exemplars: Vec<_> = (0..count)
                .map(|n| {
                    let (series, t_ms) = near(rng);
                    let labels = Labels::from_pairs([("id", &*n.to_string())]);
                    (series, Exemplar { labels, value: 1.0, t_ms: Some(t_ms) })
                })
                .collect();
            encode_exemplars(&exemplars.iter().map(|(s, e)| (*s, e)).collect::<Vec<_>>(), &mut out);
        }
        5 => {
            let tombstones: Vec<_> = (0..count)
                .map(|_| {
                    let (series, maxt_ms) = near(rng);
                    Tombstone { series, mint_ms: 0, maxt_ms }
                })
                .collect();
            encode_tombstones(&tombstones, &mut out);
        }
        6 => {
            let metadata: Vec<_> = (0..count)
                .map(|n| {
                    let help = format!("help {n}");
                    (near(rng).0, Metadata { kind: MetricType::Gauge, unit: String::new(), help })
                })
                .collect();
            encode_metadata(metadata.iter().map(|(s, m)| (*s, m)), &mut out);
        }
        _ => out = vec![200, 1, 2, 3],
    }
    if ends.is_empty() {
        return vec![out];
    }
    let mut start = 0;
    ends.iter().map(|end| out[std::mem::replace(&mut start, *end)..*end].to_vec()).collect()
}

/// Logs rounds of records at rising times; returns the next time.
fn feed(rng: &mut fastrand::Rng, writer: &mut Writer, rounds: usize, mut t_ms: i64, series: &mut u64) -> i64 {
    for _ in 0..rounds {
        let sets: Vec<_> = (1..=3)
            .map(|n| (SeriesRef(*series + n), Labels::from_pairs([("n", &*(*series + n).to_string())])))
            .collect();
        *series += 3;
        let mut record = Vec::new();
        encode_series(sets.iter().map(|(s, l)| (*s, l)), &mut record);
        log(writer, &[record]);
        for _ in 0..rng.usize(5..40) {
            log(writer, &random_record(rng, *series, t_ms));
        }
        t_ms += 10;
        if rng.u8(0..4) == 0 {
            writer.next_segment().unwrap();
        }
    }
    t_ms
}

fn write(dir: &Path, last: u32, mint_ms: i64, keep: &dyn Fn(u64) -> bool) -> CheckpointStats {
    let keep = |series: SeriesRef| keep(series.0);
    let compression = Compression::Snappy;
    Checkpoint { dir, last, mint_ms, compression, keep: &keep }.write().unwrap()
}

#[test]
fn checkpoint_after_checkpoint_loses_nothing_that_is_needed() {
    let mut dropped = Vec::new();
    for seed in 0..5 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), 2, Compression::Snappy);
        let (mut t_ms, mut series) = (0, 0);
        for round in 0..4 {
            t_ms = feed(&mut rng, &mut writer, 8, t_ms, &mut series);
            writer.next_segment().unwrap();
            let last = writer.next_segment().unwrap() - 2;
            let mint_ms = t_ms - rng.i64(40..110);
            let gone: BTreeSet<u64> = (1..=series).filter(|s| *s < series / 2 && s % 3 == 0).collect();
            let keep = |series: u64| !gone.contains(&series);
            let before = Content::of(dir.path());
            let mut covered = Content::default();
            let plan = ReplayPlan::of(dir.path()).unwrap();
            if let Some((_, older)) = &plan.checkpoint {
                read_all(older).0.iter().for_each(|(_, record)| covered.add(record));
            }
            let first = WalPosition { segment: plan.segments[0], offset: 0 };
            let mut reader = Reader::open(dir.path(), first, last).unwrap();
            while let Some(record) = reader.next().unwrap() {
                covered.add(record.bytes);
            }
            let mut behind = Content::default();
            let from = WalPosition { segment: last + 1, offset: 0 };
            let mut reader = Reader::open(dir.path(), from, writer.position().segment).unwrap();
            while let Some(record) = reader.next().unwrap() {
                behind.add(record.bytes);
            }
            let stats = write(dir.path(), last, mint_ms, &keep);
            dropped.extend([stats.series, stats.samples, stats.exemplars, stats.tombstones, stats.metadata]);
            // At each step a reader finds the same: behind the rename, behind each deletion.
            let expected = before.thinned(mint_ms, &keep, &covered, &behind);
            assert!(Content::of(dir.path()) == expected, "seed {seed} round {round}: written");
            let bytes = delete_segments_before(dir.path(), last + 1).unwrap();
            writer.truncated(Some(bytes));
            assert!(Content::of(dir.path()) == expected, "seed {seed} round {round}: segments are gone");
            delete_checkpoints_before(dir.path(), last).unwrap();
            assert!(
                Content::of(dir.path()) == expected,
                "seed {seed} round {round}: old checkpoints are gone"
            );
            assert_eq!(list_checkpoints(dir.path()).unwrap().len(), 1);
            assert_eq!(list_segments(dir.path()).unwrap()[0], last + 1);
        }
    }
    for kind in 0..5 {
        let of_kind = || dropped.iter().skip(kind).step_by(5);
        assert!(of_kind().any(|kept| kept.dropped > 0) && of_kind().any(|kept| kept.dropped < kept.total));
    }
}

#[test]
fn a_checkpoint_that_is_there_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 2, Compression::None);
    feed(&mut fastrand::Rng::with_seed(1), &mut writer, 5, 0, &mut 0);
    let last = writer.next_segment().unwrap() - 1;
    assert_ne!(write(dir.path(), last, 0, &|_| true), CheckpointStats::default());
    assert_eq!(write(dir.path(), last, 0, &|_| true), CheckpointStats::default());
    assert_eq!(write(dir.path(), last - 1, 0, &|_| true), CheckpointStats::default());
}

#[test]
fn what_a_crash_left_is_swept_and_never_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 2, Compression::None);
    feed(&mut fastrand::Rng::with_seed(2), &mut writer, 5, 0, &mut 0);
    let last = writer.next_segment().unwrap() - 1;
    let before = Content::of(dir.path());
    let half = dir.path().join("checkpoint.00000099.tmp");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("00000000"), b"half").unwrap();
    assert_eq!(Content::of(dir.path()), before);
    write(dir.path(), last, i64::MIN, &|_| true);
    assert!(!half.exists());
    std::fs::create_dir(&half).unwrap();
    assert_eq!(sweep_checkpoints(dir.path()).unwrap(), [half]);
    assert_eq!(sweep_checkpoints(&dir.path().join("absent")).unwrap().len(), 0);
    assert_eq!(Content::of(dir.path()), before);
}

#[test]
fn flipped_bytes_of_the_log_make_an_error_and_leave_the_log_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 2, Compression::Snappy);
    let mut rng = fastrand::Rng::with_seed(3);
    feed(&mut rng, &mut writer, 6, 0, &mut 0);
    let last = writer.next_segment().unwrap() - 1;
    drop(writer);
    let path = crate::segment_path(dir.path(), 0);
    let sane = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for _ in 0..40 {
        let mut bytes = sane.clone();
        let at = rng.usize(..bytes.len());
        bytes[at] ^= 1 << rng.u8(0..8);
        if rng.u8(0..4) == 0 {
            bytes.truncate(at);
        }
        std::fs::write(&path, &bytes).unwrap();
        let checkpoint =
            Checkpoint { dir: dir.path(), last, mint_ms: 0, compression: Compression::None, keep: &|_| true };
        match checkpoint.write() {
            Ok(_) => {
                let (_, path) = list_checkpoints(dir.path()).unwrap().pop().unwrap();
                assert!(read_all(&path).1.is_none(), "what was written can be read");
                std::fs::remove_dir_all(path).unwrap();
            }
            Err(error) => {
                assert!(error.is_corruption(), "{error}");
                refused += 1;
            }
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let left = std::fs::read_dir(dir.path()).unwrap();
        assert!(!left.into_iter().any(|e| e.unwrap().file_name().to_string_lossy().ends_with(".tmp")));
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn flipped_bytes_of_a_checkpoint_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 2, Compression::None);
    let mut rng = fastrand::Rng::with_seed(4);
    feed(&mut rng, &mut writer, 6, 0, &mut 0);
    let last = writer.next_segment().unwrap() - 1;
    write(dir.path(), last, i64::MIN, &|_| true);
    let (_, checkpoint) = list_checkpoints(dir.path()).unwrap().pop().unwrap();
    let path = crate::segment_path(&checkpoint, 0);
    let sane = std::fs::read(&path).unwrap();
    let (whole, _) = read_all(&checkpoint);
    for _ in 0..60 {
        let mut bytes = sane.clone();
        match rng.bool() {
            true => bytes[rng.usize(..sane.len())] ^= 1 << rng.u8(0..8),
            false => bytes.truncate(rng.usize(..sane.len())),
        }
        std::fs::write(&path, &bytes).unwrap();
        let (read, error) = read_all(&checkpoint);
        // A bit of the type byte that nothing reads, or a cut between two records, may pass; what is read is what was written.
        assert!(read.iter().map(|(_, r)| r).eq(whole.iter().map(|(_, r)| r).take(read.len())), "{error:?}");
    }
}
