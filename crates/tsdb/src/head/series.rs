//! One series in memory: its open chunk, its sealed chunks, and which of its samples a reader may see.
//!
//! Always true: but for late ones (see `late`), samples rise strictly in time, and so do the commits that brought them; therefore what a reader at snapshot
//! `s` may see is a prefix of the samples, told by one timestamp. Each series keeps only the newest commit's number and first
//! timestamp; older ones are kept beside the page, and only while a reader needs them (see `page`).
//! Must not know: labels as text, the WAL, locks.
//! Where chunks are cut follows Prometheus (`cut`): around `samples_per_chunk` samples, never above 1,024 bytes.

mod cold;
mod cut;
#[cfg(test)]
mod tests;

use narthex_model::is_stale;

pub(crate) use self::cold::FileChunk;
use self::cold::{Cold, drop_first};
pub(crate) use self::cut::{CutRule, spread_cut};
use super::histograms::{OpenHistograms, StoredHistogram};
use super::late::{LateSample, LateSamples};
use narthex_chunks::{OpenChunk, SealedChunk};

/// The number of a commit; rises in the order of the WAL.
pub(crate) type CommitSeq = u64;

/// What one series holds in its page. 96 bytes: a million of them count.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) open: OpenChunk,
    /// The open chunk takes no sample at or after this, ms.
    next_cut_ms: i64,
    /// The newest commit that added a sample.
    pub(crate) mark: Mark,
    /// What most young series do not have.
    cold: Option<Box<Cold>>,
    /// Where its packed labels begin in the page's arena.
    pub(crate) labels_at: u32,
    /// Number of its metadata plus 1; 0 for none.
    pub(crate) metadata: u32,
}

/// A commit and the timestamp of the first sample that it added to a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) seq: CommitSeq,
    pub(crate) first_ms: i64,
}

impl Series {
    pub(crate) fn new(labels_at: u32) -> Self {
        Self {
            open: OpenChunk::default(),
            next_cut_ms: i64::MIN,
            mark: Mark { seq: 0, first_ms: i64::MIN },
            cold: None,
            labels_at,
            metadata: 0,
        }
    }

    /// The same series in another page.
    pub(crate) fn with_labels_at(self, labels_at: u32) -> Self {
        Self { labels_at, ..self }
    }

    /// Timestamp of the newest sample of either kind that came in order, ms; `i64::MIN` for none.
    pub(crate) fn last_ms(&self) -> i64 {
        let open = if self.open.samples() > 0 { self.open.last_ms() } else { i64::MIN };
        let Some(cold) = &self.cold else { return open };
        let in_file = cold.in_files.last().map_or(i64::MIN, |chunk| chunk.max_ms);
        let sealed = cold.sealed.last().map_or(in_file, |chunk| chunk.max_ms);
        let histogram = cold.histograms.as_ref().map_or(i64::MIN, |open| open.last_ms());
        open.max(sealed).max(histogram)
    }

    /// The same, with late samples.
    pub(crate) fn newest_ms(&self) -> i64 {
        let late = self.late().and_then(LateSamples::last_ms);
        self.last_ms().max(late.unwrap_or(i64::MIN))
    }

    /// The open chunk of histograms; it is there when the newest sample is a histogram.
    #[inline]
    pub(crate) fn histograms(&self) -> Option<&OpenHistograms> {
        self.cold.as_ref()?.histograms.as_deref()
    }

    /// Whether the newest sample in order is a staleness marker.
    pub(crate) fn ends_stale(&self) -> bool {
        match self.histograms() {
            Some(histograms) => histograms.is_stale(),
            None => self.open.samples() > 0 && is_stale(f64::from_bits(self.open.last_value_bits())),
        }
    }

    /// Adds a float sample later than all others, with its start timestamp, ms, 0 for none. Returns whether a chunk was begun.
    #[inline]
    pub(crate) fn push(&mut self, t_ms: i64, start_ms: i64, value: f64, rule: CutRule) -> bool {
        let samples = self.open.samples();
        if samples == rule.samples / 4 && samples > 0 {
            let times = (self.open.first_ms(), self.open.last_ms());
            self.next_cut_ms = spread_cut(times, self.next_cut_ms, 4.0);
        }
        let stays = t_ms < self.next_cut_ms
            && samples < rule.samples * 2
            && self.open.has_room_with_start(t_ms, start_ms)
            && (start_ms == 0 || self.open.encoding() == rule.floats);
        let begins = samples == 0 || !stays;
        if begins {
            self.begin_chunk(t_ms, rule);
        }
        self.open.push_with_start(t_ms, start_ms, value);
        begins
    }

    #[cold]
    fn begin_chunk(&mut self, t_ms: i64, rule: CutRule) {
        self.seal();
        self.open = OpenChunk::new(rule.floats);
        self.next_cut_ms = rule.range_end(t_ms);
    }

    /// Closes the open chunk, of whichever kind.
    fn seal(&mut self) {
        if self.open.samples() > 0 {
            let sealed = self.open.seal();
            self.cold.get_or_insert_default().add_sealed(sealed);
        } else if let Some(cold) = &mut self.cold
            && let Some(open) = cold.histograms.take()
        {
            cold.add_sealed(open.seal());
        }
    }

    /// The open chunk of whichever kind as it is, to keep it elsewhere.
    pub(crate) fn copy_open(&self) -> Option<SealedChunk> {
        if self.open.samples() == 0 {
            return self.histograms().map(OpenHistograms::seal);
        }
        let mut bytes = Vec::with_capacity(self.open.byte_len());
        self.open.copy_to(&mut bytes);
        Some(SealedChunk {
            min_ms: self.open.first_ms(),
            max_ms: self.open.last_ms(),
            encoding: self.open.encoding().into(),
            bytes: bytes.into_boxed_slice(),
        })
    }

    /// Adds a chunk later than all other samples. It takes no more samples.
    pub(crate) fn restore(&mut self, chunk: SealedChunk) {
        self.seal();
        self.cold.get_or_insert_default().add_sealed(chunk);
    }

    /// Adds a histogram later than all other samples, with its start timestamp, ms, 0 for none. Returns whether a chunk was
    /// begun.
    pub(crate) fn push_histogram(
        &mut self,
        t_ms: i64,
        start_ms: i64,
        histogram: &StoredHistogram,
        rule: CutRule,
    ) -> bool {
        if self.open.samples() > 0 {
            self.seal();
        }
        let cold = self.cold.get_or_insert_default();
        let times = (t_ms, start_ms);
        match &mut cold.histograms {
            Some(open) => {
                let sealed = open.push(times, histogram, rule);
                let begins = sealed.is_some();
                sealed.into_iter().for_each(|sealed| cold.add_sealed(sealed));
                begins
            }
            none => {
                *none = Some(Box::new(OpenHistograms::begin(times, histogram, rule)));
                true
            }
        }
    }

    /// Adds a late sample; `false` when there is one at its timestamp.
    #[cold]
    pub(crate) fn insert_late(&mut self, sample: LateSample) -> bool {
        !self.has_sample_at(sample.t_ms)
            && self.cold.get_or_insert_default().late.get_or_insert_default().insert(sample)
    }

    /// The oldest of the head chunk files that it needs.
    pub(crate) fn oldest_chunk_file(&self) -> Option<u32> {
        let in_order = self.in_files().iter().map(|chunk| chunk.chunk.file()).min();
        in_order.into_iter().chain(self.late().and_then(LateSamples::oldest_file)).min()
    }

    /// Changes the late samples; none there stay none.
    #[cold]
    pub(crate) fn with_late(&mut self, change: impl FnOnce(&mut LateSamples)) {
        let cold = self.cold.get_or_insert_default();
        let late = cold.late.get_or_insert_default();
        change(late);
        if late.is_empty() {
            cold.late = None;
        }
    }

    /// Late samples, if there are any.
    #[inline]
    pub(crate) fn late(&self) -> Option<&LateSamples> {
        self.cold.as_ref()?.late.as_deref()
    }

    /// Hides the samples of a closed interval, ms, and drops the chunks when no sample in order is left. Returns how many.
    pub(crate) fn delete(&mut self, mint_ms: i64, maxt_ms: i64) -> u64 {
        let deleted = &mut self.cold.get_or_insert_default().deleted;
        deleted.push((mint_ms, maxt_ms));
        deleted.sort_unstable();
        deleted.dedup_by(|next, first| {
            let touches = next.0 <= first.1.saturating_add(1);
            if touches {
                first.1 = first.1.max(next.1);
            }
            touches
        });
        let covers = |range: &(i64, i64)| range.0 <= self.first_ms() && self.last_ms() <= range.1;
        match self.deleted().iter().any(covers) {
            true => self.drop_before(self.last_ms().saturating_add(1)),
            false => 0,
        }
    }

    /// Deleted intervals, closed, rising, apart from each other, ms.
    pub(crate) fn deleted(&self) -> &[(i64, i64)] {
        self.cold.as_ref().map_or(&[], |cold| &cold.deleted)
    }

    /// Chunks in files, oldest first; all before the sealed ones.
    pub(crate) fn in_files(&self) -> &[FileChunk] {
        self.cold.as_ref().map_or(&[], |cold| &cold.in_files)
    }

    /// Gives a new series its chunks that lie in files, up to the first that is not later than the one before. Returns how many.
    pub(crate) fn attach(&mut self, mut chunks: Vec<FileChunk>) -> u64 {
        let mut last_ms = i64::MIN;
        let rises = |chunk: &&FileChunk| {
            let rises = last_ms < chunk.min_ms && chunk.min_ms <= chunk.max_ms;
            last_ms = chunk.max_ms;
            rises
        };
        let count = chunks.iter().take_while(rises).count();
        if count > 0 {
            chunks.truncate(count);
            chunks.shrink_to_fit();
            self.cold.get_or_insert_default().in_files = chunks;
        }
        count as u64
    }

    /// Puts chunks in files in the place of the first sealed ones, if it is those; they may have been deleted meanwhile.
    pub(crate) fn settle(&mut self, chunks: &[FileChunk]) {
        let Some(cold) = &mut self.cold else { return };
        let same =
            |(new, old): (&FileChunk, &SealedChunk)| (new.min_ms, new.max_ms) == (old.min_ms, old.max_ms);
        if cold.sealed.len() < chunks.len() || !chunks.iter().zip(&cold.sealed).all(same) {
            return;
        }
        cold.in_files.reserve_exact(chunks.len());
        cold.in_files.extend_from_slice(chunks);
        drop_first(&mut cold.sealed, chunks.len());
    }

    /// Sealed chunks, oldest first.
    pub(crate) fn sealed(&self) -> &[SealedChunk] {
        self.cold.as_ref().map_or(&[], |cold| &cold.sealed)
    }

    /// Takes out the chunks that end before `mint_ms`. Returns how many.
    pub(crate) fn drop_before(&mut self, mint_ms: i64) -> u64 {
        let mut dropped = 0;
        if self.open.samples() > 0 && self.open.last_ms() < mint_ms {
            self.open = OpenChunk::default();
            dropped += 1;
        }
        let Some(cold) = &mut self.cold else { return dropped };
        dropped += cold.drop_before(mint_ms);
        if cold.is_empty() {
            self.cold = None;
        }
        dropped
    }

    /// Whether there is no sample.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.samples() == 0 && self.cold.as_ref().is_none_or(|cold| !cold.has_samples())
    }

    /// Whether a sample that came in order may lie in a closed range.
    ///
    /// PERF: where the oldest one lies is looked up only if the newest is not in the range, as it is for queries at the present
    /// time: it is in memory of its own.
    #[inline]
    pub(crate) fn overlaps(&self, mint_ms: i64, maxt_ms: i64) -> bool {
        let last_ms = self.last_ms();
        last_ms >= mint_ms && last_ms != i64::MIN && (last_ms <= maxt_ms || self.first_ms() <= maxt_ms)
    }

    /// Timestamp of the oldest sample that came in order, ms; `i64::MAX` for none.
    pub(crate) fn first_ms(&self) -> i64 {
        let in_file = self.in_files().first().map(|chunk| chunk.min_ms);
        match (in_file.or(self.sealed().first().map(|chunk| chunk.min_ms)), self.histograms()) {
            (Some(min_ms), _) => min_ms,
            (None, Some(open)) => open.first_ms(),
            (None, None) if self.open.samples() > 0 => self.open.first_ms(),
            (None, None) => i64::MAX,
        }
    }
}
