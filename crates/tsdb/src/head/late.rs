//! Late samples: floats that came after a newer one of their series, inside the out-of-order window.
//!
//! They lie apart from the chunks, in a list of their own, and are merged in when somebody reads. Always true: the list rises
//! strictly in time, and no late sample has the timestamp of a sample that came in order; who comes second at a timestamp is
//! dropped, as in Prometheus. Each entry carries its commit's number, because here a reader's view is no prefix.
//! Must not know: the logs, locks.
//! PERF: 24 bytes a sample; one at the end of the list costs a push, one before it a move of what lies behind. A series without
//! late samples pays one test of a pointer a read.

use std::cell::RefCell;

use narthex_storage::SampleBatch;

use super::series::{CommitSeq, Series};
use narthex_chunks::decode_xor;

/// A late sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LateSample {
    pub(crate) t_ms: i64,
    pub(crate) value: f64,
    /// The commit that brought it; 0 for replay.
    pub(crate) seq: CommitSeq,
}

/// The late samples of one series.
#[derive(Debug, Default)]
pub(crate) struct LateSamples(Vec<LateSample>);

impl LateSamples {
    /// Adds a sample; `false` when there is one at its timestamp.
    pub(crate) fn insert(&mut self, sample: LateSample) -> bool {
        if self.0.last().is_none_or(|last| last.t_ms < sample.t_ms) {
            self.0.push(sample);
            return true;
        }
        match self.0.binary_search_by_key(&sample.t_ms, |s| s.t_ms) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, sample);
                true
            }
        }
    }

    /// Timestamp of the newest, ms.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        self.0.last().map(|sample| sample.t_ms)
    }

    pub(crate) fn has(&self, t_ms: i64) -> bool {
        self.0.binary_search_by_key(&t_ms, |s| s.t_ms).is_ok()
    }

    /// What a snapshot may see of a closed range, rising.
    pub(crate) fn visible(
        &self,
        seq: CommitSeq,
        (mint_ms, maxt_ms): (i64, i64),
    ) -> impl Iterator<Item = &LateSample> {
        let first = self.0.partition_point(|s| s.t_ms < mint_ms);
        self.0[first..].iter().take_while(move |s| s.t_ms <= maxt_ms).filter(move |s| s.seq <= seq)
    }
}

impl Series {
    /// Whether there is a sample at this very moment, of either kind, in order or late.
    #[cold]
    pub(crate) fn has_sample_at(&self, t_ms: i64) -> bool {
        if self.late().is_some_and(|late| late.has(t_ms))
            || self.histograms().binary_search_by_key(&t_ms, |(t, _)| *t).is_ok()
        {
            return true;
        }
        let sealed = self.sealed();
        let at = sealed.partition_point(|chunk| chunk.max_ms < t_ms);
        if let Some(chunk) = sealed.get(at).filter(|chunk| chunk.min_ms <= t_ms) {
            return chunk_has(&chunk.bytes, t_ms);
        }
        if self.open.samples() == 0 || t_ms < self.open.first_ms() || t_ms > self.open.last_ms() {
            return false;
        }
        let mut bytes = Vec::new();
        self.open.copy_to(&mut bytes);
        chunk_has(&bytes, t_ms)
    }
}

thread_local! {
    static FOUND: RefCell<SampleBatch> = RefCell::default();
}

fn chunk_has(chunk: &[u8], t_ms: i64) -> bool {
    FOUND.with_borrow_mut(|found| {
        found.clear();
        // A chunk that cannot be decoded says so to its readers.
        decode_xor(chunk, t_ms, t_ms, found).is_ok() && !found.is_empty()
    })
}

/// Merges late samples, rising, into the float columns from `from` on. At equal timestamps what is there stays.
#[cold]
pub(crate) fn merge(late: &[LateSample], from: usize, out: &mut SampleBatch) {
    let (mut at, mut next) = (out.t_ms.len(), late.len());
    let doubles = late.iter().filter(|s| out.t_ms[from..].binary_search(&s.t_ms).is_ok()).count();
    let total = at + late.len() - doubles;
    out.t_ms.resize(total, 0);
    out.values.resize(total, 0.0);
    if !out.start_ms.is_empty() {
        out.start_ms.resize(total, 0);
    }
    let mut to = total;
    // From the end, so that nothing is overwritten before it was moved.
    while next > 0 {
        let sample = late[next - 1];
        if at > from && out.t_ms[at - 1] >= sample.t_ms {
            next -= usize::from(out.t_ms[at - 1] == sample.t_ms);
            (at, to) = (at - 1, to - 1);
            out.t_ms[to] = out.t_ms[at];
            out.values[to] = out.values[at];
            if !out.start_ms.is_empty() {
                out.start_ms[to] = out.start_ms[at];
            }
            continue;
        }
        (next, to) = (next - 1, to - 1);
        out.t_ms[to] = sample.t_ms;
        out.values[to] = sample.value;
        if !out.start_ms.is_empty() {
            out.start_ms[to] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn late(t_ms: i64, value: f64, seq: CommitSeq) -> LateSample {
        LateSample { t_ms, value, seq }
    }

    #[test]
    fn the_first_at_a_timestamp_stays_and_the_list_rises() {
        let mut samples = LateSamples::default();
        let inserted = [5, 9, 7, 9, 5, 6].map(|t| samples.insert(late(t, t as f64, t as u64)));
        assert_eq!(inserted, [true, true, true, false, false, true]);
        let seen: Vec<i64> = samples.visible(7, (6, 9)).map(|s| s.t_ms).collect();
        assert_eq!(seen, [6, 7], "9 came with a later commit");
    }

    #[test]
    fn merging_is_that_of_a_map() {
        let mut random = fastrand::Rng::with_seed(21);
        for round in 0..500 {
            let (mut out, mut map) = (SampleBatch::default(), BTreeMap::new());
            out.push(i64::MAX, -1.0);
            for t in 0..30 {
                if random.bool() {
                    out.push(t, 1.0);
                    map.insert(t, 1.0);
                }
            }
            let mut samples = LateSamples::default();
            for _ in 0..random.usize(0..20) {
                samples.insert(late(random.i64(-3..33), 2.0, 0));
            }
            for sample in &samples.0 {
                map.entry(sample.t_ms).or_insert(sample.value);
            }
            merge(&samples.0, 1, &mut out);
            let got: Vec<_> = out.t_ms.iter().copied().zip(out.values.iter().copied()).skip(1).collect();
            assert_eq!(got, map.into_iter().collect::<Vec<_>>(), "round {round}");
        }
    }

    #[test]
    fn a_series_knows_the_moments_of_its_samples() {
        let rule = super::super::CutRule { range_ms: 7_200_000, samples: 120 };
        let mut series = Series::new(0);
        for i in 0..400 {
            series.push(i * 1000, 1.0, rule);
        }
        assert!(series.insert_late(late(1500, 2.0, 1)));
        assert!(!series.insert_late(late(1500, 2.0, 1)) && !series.insert_late(late(2000, 2.0, 1)));
        for i in 0..401 {
            assert_eq!(series.has_sample_at(i * 1000), i < 400, "{i}");
            assert_eq!(series.has_sample_at(i * 1000 + 500), i == 1, "{i}");
        }
    }
}
