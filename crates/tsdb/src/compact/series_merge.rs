//! One series from several sources: chunks that stand alone pass as bytes, others are decoded, merged and written again.
//!
//! Always true: the chunks that come out rise in time, do not overlap, have all samples of the sources in range but the deleted
//! ones, and each timestamp once; which of several samples at one timestamp it is: see `narthex_storage::merge`.
//! PERF: a chunk that neither overlaps another nor is cut by a delete or by the range costs a comparison, not a decoding.
//! Memory: the decoded samples of the chunks of one series that overlap each other.

use narthex_block::ChunkPiece;
use narthex_chunks::histogram::forget_reset;
use narthex_chunks::{ChunkBuilder, ChunkError, SealedChunk, WantedSamples};
use narthex_storage::merge::{TimeHeap, give_in_order};

use super::source::SourceSeries;

/// Merges series, one after the other, and keeps its memory.
pub(crate) struct SeriesMerger {
    /// The range of the block, ms; the end is open.
    range_ms: (i64, i64),
    builder: ChunkBuilder,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    /// Chunks that were written again.
    sealed: Vec<SealedChunk>,
    heap: TimeHeap,
}

/// A chunk of a source.
#[derive(Clone, Copy)]
struct Input {
    min_ms: i64,
    max_ms: i64,
    source: usize,
    at: usize,
    /// Whether some of its samples are deleted or out of range.
    cut: bool,
}

/// A chunk of the result.
enum Output {
    /// As it was.
    Passed(Input),
    /// The number of a sealed chunk.
    Written(usize),
}

impl SeriesMerger {
    /// For a block over `[mint_ms, maxt_ms)`.
    pub(crate) fn new(range_ms: (i64, i64), builder: ChunkBuilder) -> Self {
        let (inputs, outputs, sealed) = Default::default();
        Self { range_ms, builder, inputs, outputs, sealed, heap: TimeHeap::default() }
    }

    /// The merged chunks of series with equal labels; none when all is deleted or out of range.
    ///
    /// # Errors
    /// A chunk cannot be decoded.
    pub(crate) fn merge<'a>(
        &'a mut self,
        sources: &'a [&'a SourceSeries],
    ) -> Result<Vec<ChunkPiece<'a>>, ChunkError> {
        self.outputs.clear();
        self.sealed.clear();
        self.collect(sources);
        let mut at = 0;
        while at < self.inputs.len() {
            let end = self.end_of_group(at);
            let first = self.inputs[at];
            self.drop_doubles(at, end, sources);
            match &self.inputs[at + 1..end] {
                rest if !first.cut && rest.iter().all(|input| input.source == usize::MAX) => {
                    self.pass(first, sources);
                }
                _ => self.write_again(at, end, sources)?,
            }
            at = end;
        }
        let this = &*self;
        Ok(this.outputs.iter().map(|output| this.piece(output, sources)).collect())
    }

    /// All chunks that have something to give, by time.
    fn collect(&mut self, sources: &[&SourceSeries]) {
        self.inputs.clear();
        let (first_ms, last_ms) = (self.range_ms.0, self.range_ms.1.saturating_sub(1));
        for (source, series) in sources.iter().enumerate() {
            for (at, chunk) in series.chunks.iter().enumerate() {
                let (min_ms, max_ms) = (chunk.min_ms, chunk.max_ms);
                let touched = |(from, to): &(i64, i64)| *from <= max_ms && min_ms <= *to;
                let covered = |(from, to): &(i64, i64)| *from <= min_ms && max_ms <= *to;
                if max_ms < first_ms || min_ms > last_ms || series.deleted.iter().any(covered) {
                    continue;
                }
                let cut = min_ms < first_ms || max_ms > last_ms || series.deleted.iter().any(touched);
                self.inputs.push(Input { min_ms, max_ms, source, at, cut });
            }
        }
        self.inputs.sort_by_key(|input| (input.min_ms, input.max_ms, input.source));
    }

    /// Where the chunks end that overlap the one at `at` or each other.
    fn end_of_group(&self, at: usize) -> usize {
        let mut max_ms = self.inputs[at].max_ms;
        let mut end = at + 1;
        while let Some(next) = self.inputs.get(end).filter(|next| next.min_ms <= max_ms) {
            max_ms = max_ms.max(next.max_ms);
            end += 1;
        }
        end
    }

    /// Marks (with a source that does not exist) chunks that are byte for byte the one before them.
    fn drop_doubles(&mut self, at: usize, end: usize, sources: &[&SourceSeries]) {
        let mut kept = self.inputs[at];
        for input in &mut self.inputs[at + 1..end] {
            let same_time = (input.min_ms, input.max_ms) == (kept.min_ms, kept.max_ms);
            if same_time && !input.cut && !kept.cut && bytes(input, sources) == bytes(&kept, sources) {
                input.source = usize::MAX;
            } else {
                kept = *input;
            }
        }
    }

    /// Takes a chunk as it is. When something else is before it now than in its source, what it says of a counter reset before it
    /// may be wrong and is forgotten.
    fn pass(&mut self, input: Input, sources: &[&SourceSeries]) {
        let follows = match self.outputs.last() {
            Some(Output::Passed(before)) => (before.source, before.at + 1) == (input.source, input.at),
            Some(Output::Written(_)) => false,
            None => true,
        };
        let (encoding, bytes) = bytes(&input, sources);
        match if follows { None } else { forget_reset(encoding, bytes) } {
            None => self.outputs.push(Output::Passed(input)),
            Some(bytes) => {
                self.outputs.push(Output::Written(self.sealed.len()));
                let (min_ms, max_ms) = (input.min_ms, input.max_ms);
                self.sealed.push(SealedChunk { min_ms, max_ms, encoding, bytes });
            }
        }
    }

    fn write_again(&mut self, at: usize, end: usize, sources: &[&SourceSeries]) -> Result<(), ChunkError> {
        let range_ms = (self.range_ms.0, self.range_ms.1.saturating_sub(1));
        let kept = self.inputs[at..end].iter().filter(|input| input.source != usize::MAX);
        let read = |input: &Input| {
            let (encoding, bytes) = bytes(input, sources);
            WantedSamples::read(encoding, bytes, range_ms, &sources[input.source].deleted)
        };
        let columns: Result<Vec<WantedSamples>, ChunkError> = kept.map(read).collect();
        let begin = self.sealed.len();
        let (builder, sealed) = (&mut self.builder, &mut self.sealed);
        give_in_order(&mut columns?, &mut self.heap, |column, follows| {
            column.give(follows, |sample| builder.push(sample, sealed));
        });
        builder.finish(sealed);
        self.outputs.extend((begin..self.sealed.len()).map(Output::Written));
        Ok(())
    }

    fn piece<'a>(&'a self, output: &Output, sources: &[&'a SourceSeries]) -> ChunkPiece<'a> {
        match output {
            Output::Written(number) => ChunkPiece::from(&self.sealed[*number]),
            Output::Passed(input) => {
                let series = sources[input.source];
                let chunk = &series.chunks[input.at];
                let (min_ms, max_ms, encoding) = (chunk.min_ms, chunk.max_ms, chunk.encoding);
                ChunkPiece { min_ms, max_ms, encoding, bytes: series.chunk(chunk) }
            }
        }
    }
}

fn bytes<'a>(input: &Input, sources: &[&'a SourceSeries]) -> (narthex_chunks::Encoding, &'a [u8]) {
    let series = sources[input.source];
    (series.chunks[input.at].encoding, series.chunk(&series.chunks[input.at]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use narthex_chunks::{ChunkSample, ChunkValue, decode, for_each};
    use narthex_model::{CounterResetHint, Histogram, Span};
    use narthex_storage::SampleBatch;
    use proptest::prelude::*;

    use super::*;

    /// What a sample of a test is: a float, or a histogram with so many observations, a counter's or a gauge's.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Plain {
        Float(f64),
        Counter(u32),
        Gauge(u32),
    }

    fn histogram(count: u32, hint: CounterResetHint) -> Histogram {
        Histogram {
            counter_reset_hint: hint,
            count: u64::from(count),
            sum: f64::from(count),
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![i64::from(count)],
            ..Histogram::default()
        }
    }

    fn sample(t_ms: i64, plain: Plain, take: &mut impl FnMut(ChunkSample<'_>)) {
        let histogram = match plain {
            Plain::Float(value) => {
                return take(ChunkSample { t_ms, start_ms: 0, value: ChunkValue::Float(value) });
            }
            Plain::Counter(count) => histogram(count, CounterResetHint::Unknown),
            Plain::Gauge(count) => histogram(count, CounterResetHint::Gauge),
        };
        take(ChunkSample { t_ms, start_ms: 0, value: ChunkValue::Histogram(&histogram) });
    }

    /// A source with the samples in chunks of at most `size`.
    fn source(samples: &BTreeMap<i64, Plain>, size: u32, deleted: &[(i64, i64)]) -> SourceSeries {
        let options = narthex_chunks::BuildOptions { samples: size, ..Default::default() };
        let (mut builder, mut chunks) = (ChunkBuilder::new(options), Vec::new());
        samples.iter().for_each(|(t, plain)| sample(*t, *plain, &mut |s| builder.push(s, &mut chunks)));
        builder.finish(&mut chunks);
        let mut series = SourceSeries::default();
        for chunk in &chunks {
            series.push((chunk.min_ms, chunk.max_ms), chunk.encoding, &chunk.bytes);
        }
        series.deleted.extend_from_slice(deleted);
        series
    }

    /// All samples of chunks that follow each other.
    fn read(chunks: &[ChunkPiece<'_>]) -> Vec<(i64, Plain)> {
        let mut samples = Vec::new();
        for chunk in chunks {
            let before = samples.len();
            for_each(chunk.encoding, chunk.bytes, (i64::MIN, i64::MAX), |sample| {
                let plain = match sample.value {
                    ChunkValue::Float(value) => Plain::Float(value),
                    ChunkValue::FloatHistogram(_) => panic!("none was written"),
                    ChunkValue::Histogram(h) if h.counter_reset_hint == CounterResetHint::Gauge => {
                        Plain::Gauge(h.count as u32)
                    }
                    ChunkValue::Histogram(h) => Plain::Counter(h.count as u32),
                };
                samples.push((sample.t_ms, plain));
            })
            .unwrap();
            assert_eq!((samples[before].0, samples[samples.len() - 1].0), (chunk.min_ms, chunk.max_ms));
        }
        assert!(samples.windows(2).all(|pair| pair[0].0 < pair[1].0), "{samples:?}");
        samples
    }

    /// Where a histogram's hint says that there was no reset there was none; and the other way round.
    fn check_hints(chunks: &[ChunkPiece<'_>]) {
        let mut batch = SampleBatch::default();
        for chunk in chunks {
            decode(chunk.encoding, chunk.bytes, i64::MIN, i64::MAX, &mut batch).unwrap();
        }
        let all: Vec<(i64, f64, CounterResetHint)> = {
            let histograms = batch.histogram_t_ms.iter().zip(&batch.histograms);
            let floats = batch.t_ms.iter().map(|t| (*t, 0.0, CounterResetHint::Gauge));
            let mut all: Vec<_> =
                histograms.map(|(t, h)| (*t, h.count, h.counter_reset_hint)).chain(floats).collect();
            all.sort_by_key(|(t, ..)| *t);
            all
        };
        for pair in all.windows(2).filter(|pair| pair[0].2 != CounterResetHint::Gauge) {
            match pair[1].2 {
                CounterResetHint::NotReset => assert!(pair[1].1 >= pair[0].1, "{pair:?}"),
                CounterResetHint::Reset => assert!(pair[1].1 < pair[0].1, "{pair:?}"),
                CounterResetHint::Unknown | CounterResetHint::Gauge => {}
            }
        }
    }

    fn plain() -> impl Strategy<Value = Plain> {
        (0..6u8, 0..9u32).prop_map(|(kind, count)| match kind {
            0 => Plain::Gauge(count),
            1..=3 => Plain::Counter(count),
            _ => Plain::Float(f64::from(count)),
        })
    }

    type Source = (BTreeMap<i64, Plain>, u32, Vec<(i64, i64)>);

    fn any_source() -> impl Strategy<Value = Source> {
        let samples =
            (0..60i64).prop_flat_map(|base| prop::collection::btree_map(base..base + 40, plain(), 0..30));
        let deleted = prop::collection::vec((0..100i64, 0..15i64), 0..3);
        let deleted =
            deleted.prop_map(|list| list.into_iter().map(|(from, len)| (from, from + len)).collect());
        (samples, 1..12u32, deleted)
    }

    proptest! {
        #[test]
        fn a_merged_series_is_the_union_of_its_sources(
            sources in prop::collection::vec(any_source(), 1..5),
            (min_ms, length) in (-5..50i64, 1..120i64),
        ) {
            let max_ms = min_ms + length;
            let mut want: BTreeMap<i64, Vec<Plain>> = BTreeMap::new();
            for (samples, _, deleted) in &sources {
                let kept = samples.range(min_ms..max_ms).filter(|(t, _)| {
                    !deleted.iter().any(|(from, to)| (*from..=*to).contains(*t))
                });
                kept.for_each(|(t, plain)| want.entry(*t).or_default().push(*plain));
            }
            let series: Vec<_> = sources.iter().map(|(s, size, d)| source(s, *size, d)).collect();
            let series: Vec<&SourceSeries> = series.iter().collect();
            let mut merger = SeriesMerger::new((min_ms, max_ms), ChunkBuilder::default());
            let chunks = merger.merge(&series).unwrap();
            let got = read(&chunks);
            prop_assert_eq!(got.iter().map(|(t, _)| *t).collect::<Vec<_>>(), want.keys().copied().collect::<Vec<_>>());
            for (t, plain) in got {
                prop_assert!(want[&t].contains(&plain), "{:?} at {}: {:?}", plain, t, want[&t]);
            }
            check_hints(&chunks);
        }
    }

    #[test]
    fn chunks_that_stand_alone_keep_their_bytes() {
        let float =
            |range: std::ops::Range<i64>| range.map(|t| (t, Plain::Float(1.5))).collect::<BTreeMap<_, _>>();
        let (a, b) = (source(&float(0..40), 10, &[]), source(&float(40..60), 10, &[(45, 46)]));
        let series = [&a, &a, &b];
        let mut merger = SeriesMerger::new((0, 100), ChunkBuilder::default());
        let chunks = merger.merge(&series).unwrap();
        let passed = |bytes: &[u8]| a.bytes.as_ptr_range().contains(&bytes.as_ptr());
        assert!(
            chunks[..4].iter().all(|chunk| passed(chunk.bytes)),
            "the second source is a double of the first"
        );
        assert_eq!(chunks.len(), 6);
        assert_eq!(read(&chunks).len(), 58);
        assert!(
            b.bytes.as_ptr_range().contains(&chunks[5].bytes.as_ptr()),
            "only what is cut is written again"
        );
    }
}
