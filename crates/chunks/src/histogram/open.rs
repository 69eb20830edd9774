//! The open chunk: takes histograms as they come, as long as they fit.
//!
//! Always true: [`OpenChunkOf::copy_to`] gives a complete, readable chunk after every push.
//! COMPAT: what fits, and what the header of the next chunk then says, is Prometheus' (`tsdb/docs/format/chunks.md`;
//! observed with the chunks of 3.5.3), because heads written by either are read by the other.

use narthex_model::{CounterResetHint, Span, is_stale};

use super::align::{Alignment, indexes, same_filled, spans_of, spread};
use super::counts::{Counts, Internal, Place, Side, View};
use super::decode::Decoder;
use super::fit::Fit;
use super::layout::Layout;
use super::{HEADER, MOST_SAMPLES_ST, header_bits};
use crate::SealedChunk;
use crate::bits::{BitWriter, PutBits, XorValue};
use crate::starts::StartWriter;

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It is in the chunk.
    Taken,
    /// It is in the chunk, all of whose samples were written anew, with more buckets.
    Recoded,
    /// It does not fit: begin a new chunk with this header. The old one is unchanged.
    NewChunk(CounterResetHint),
}

/// A growing chunk of histograms; never empty.
#[derive(Clone, Debug)]
pub struct OpenChunkOf<C: Counts> {
    pub(super) header: CounterResetHint,
    samples: u16,
    first_ms: i64,
    last_ms: i64,
    delta_ms: i64,
    pub(super) layout: Layout,
    pub(super) sum: XorValue,
    pub(super) counts: C,
    /// `None`: an encoding without start timestamps.
    starts: Option<StartWriter>,
    bits: BitWriter,
}

impl<C: Counts> OpenChunkOf<C> {
    /// A chunk with its first sample. `header`: [`Self::header_after`], what a push returned, or, for a series' first chunk,
    /// [`first_header`](Self::first_header). `with_starts` chooses the encoding that keeps start timestamps.
    #[must_use]
    pub fn begin(
        header: CounterResetHint,
        with_starts: bool,
        (t_ms, start_ms): (i64, i64),
        histogram: &C::Histogram,
    ) -> Self {
        let view = C::view(histogram).without_content_if_stale();
        let mut chunk = Self::empty(header, Layout::of(&view), with_starts.then(StartWriter::default));
        chunk.write_first(t_ms, start_ms, &view, sides(&view));
        chunk
    }

    fn empty(header: CounterResetHint, layout: Layout, starts: Option<StartWriter>) -> Self {
        Self {
            header,
            samples: 0,
            first_ms: 0,
            last_ms: 0,
            delta_ms: 0,
            layout,
            sum: XorValue::default(),
            counts: C::default(),
            starts,
            bits: BitWriter::default(),
        }
    }

    /// The header of a chunk that follows none.
    #[must_use]
    pub fn first_header(histogram: &C::Histogram) -> CounterResetHint {
        match C::view(histogram).hint {
            hint @ (CounterResetHint::Gauge | CounterResetHint::Reset) => hint,
            CounterResetHint::Unknown | CounterResetHint::NotReset => CounterResetHint::Unknown,
        }
    }

    /// The header of a chunk that follows this one for another reason than a refused push.
    #[must_use]
    pub fn header_after(&self, histogram: &C::Histogram) -> CounterResetHint {
        let view = C::view(histogram);
        match view.hint {
            hint @ (CounterResetHint::Gauge | CounterResetHint::Reset) => hint,
            CounterResetHint::Unknown | CounterResetHint::NotReset => match self.fit_counter(&view) {
                Ok(_) => CounterResetHint::NotReset,
                Err(misfit) => C::header_after(misfit, Place::Next),
            },
        }
    }

    /// Adds a sample; `t_ms` must be above [`Self::last_ms`], and its spans must have as many buckets as there are. `start_ms` is dropped by an encoding that does not keep it.
    pub fn push(&mut self, t_ms: i64, start_ms: i64, histogram: &C::Histogram) -> Pushed {
        let view = C::view(histogram);
        let gauge = view.hint == CounterResetHint::Gauge;
        let fit = match if gauge { self.fit_gauge(&view) } else { self.fit_counter(&view) } {
            Ok(fit) => fit,
            Err(_) if gauge => return Pushed::NewChunk(CounterResetHint::Gauge),
            Err(misfit) => return Pushed::NewChunk(C::header_after(misfit, Place::Refused)),
        };
        if self.is_full(start_ms) {
            return Pushed::NewChunk(if gauge { view.hint } else { CounterResetHint::NotReset });
        }
        let view = view.without_content_if_stale();
        if !fit.chunk_grows() && !fit.sample_grows() {
            self.write_next(t_ms, start_ms, &view, sides(&view));
            return Pushed::Taken;
        }
        self.push_aligned(t_ms, start_ms, &view, &fit, gauge)
    }

    #[cold]
    fn push_aligned(
        &mut self,
        t_ms: i64,
        start_ms: i64,
        view: &View<'_, C>,
        fit: &Fit,
        gauge: bool,
    ) -> Pushed {
        if fit.chunk_grows() {
            // COMPAT: spans as the sample has them where it lacks nothing, in their shortest form elsewhere.
            let shortest = |side: &Alignment| side.sample_grows || gauge && fit.sample_grows();
            let spans = |alignment: &Alignment, own: &[Span]| match shortest(alignment) {
                true if !alignment.union.is_empty() => spans_of(&alignment.union),
                true => spans_of(&indexes(own).collect::<Vec<_>>()),
                false => own.to_vec(),
            };
            let positive = spans(&fit.positive, view.positive.spans);
            let negative = spans(&fit.negative, view.negative.spans);
            self.recode(fit, positive.into(), negative.into());
        }
        let positive = grown::<C>(&fit.positive, fit.positive.sample_grows, view.positive);
        let negative = grown::<C>(&fit.negative, fit.negative.sample_grows, view.negative);
        self.write_next(t_ms, start_ms, view, positive.iter().chain(negative.iter()).copied());
        if fit.chunk_grows() { Pushed::Recoded } else { Pushed::Taken }
    }

    fn is_full(&self, start_ms: i64) -> bool {
        let samples = u32::from(self.samples);
        match &self.starts {
            Some(starts) => samples >= MOST_SAMPLES_ST || !starts.takes(samples, start_ms),
            None => samples >= u16::MAX.into(),
        }
    }

    /// Writes all samples anew with the spans given.
    fn recode(&mut self, fit: &Fit, positive: Box<[Span]>, negative: Box<[Span]>) {
        let mut bytes = Vec::with_capacity(self.byte_len());
        self.copy_to(&mut bytes);
        let layout = Layout { positive, negative, ..self.layout.clone() };
        let mut grown_chunk = Self::empty(self.header, layout, self.starts.map(|_| StartWriter::default()));
        let mut decoder = Decoder::<C>::new(&bytes, self.starts.is_some()).expect("we wrote a header");
        let mut histogram = C::Histogram::default();
        while decoder.next().expect("we wrote these samples") {
            decoder.fill(&mut histogram);
            let view = C::view(&histogram);
            let positive = grown::<C>(&fit.positive, fit.positive.chunk_grows, view.positive);
            let negative = grown::<C>(&fit.negative, fit.negative.chunk_grows, view.negative);
            let buckets = positive.iter().chain(negative.iter()).copied();
            let (t_ms, start_ms) = (decoder.t_ms(), decoder.start_ms());
            match grown_chunk.samples {
                0 => grown_chunk.write_first(t_ms, start_ms, &view, buckets),
                _ => grown_chunk.write_next(t_ms, start_ms, &view, buckets),
            }
        }
        *self = grown_chunk;
    }

    fn write_first(
        &mut self,
        t_ms: i64,
        start_ms: i64,
        view: &View<'_, C>,
        buckets: impl Iterator<Item = C::Bucket>,
    ) {
        let out = &mut self.bits;
        self.layout.write(out);
        out.put_varbit(t_ms);
        self.counts.write_first_totals(view, out);
        self.sum = XorValue::new(view.sum);
        out.put(self.sum.bits, 64);
        self.counts.write_first_buckets(buckets, self.layout.buckets() as usize, out);
        self.first_ms = t_ms;
        // The first sample has no distance to one before.
        self.last_ms = t_ms;
        self.finish_sample(t_ms, start_ms);
    }

    fn write_next(
        &mut self,
        t_ms: i64,
        start_ms: i64,
        view: &View<'_, C>,
        buckets: impl Iterator<Item = C::Bucket>,
    ) {
        let delta_ms = t_ms.wrapping_sub(self.last_ms);
        let out = &mut self.bits;
        out.put_varbit(delta_ms.wrapping_sub(std::mem::replace(&mut self.delta_ms, delta_ms)));
        self.counts.write_totals(view, out);
        self.sum.write(view.sum, out);
        if !view.is_stale() {
            self.counts.write_buckets(buckets, out);
        }
        self.finish_sample(t_ms, start_ms);
    }

    fn finish_sample(&mut self, t_ms: i64, start_ms: i64) {
        if let Some(starts) = &mut self.starts {
            starts.write(self.samples.into(), (self.last_ms, t_ms), start_ms, &mut self.bits);
        }
        self.last_ms = t_ms;
        self.samples += 1;
    }

    /// How many samples it holds, at least 1.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.samples.into()
    }

    /// Timestamp of the oldest sample, ms.
    #[must_use]
    pub fn first_ms(&self) -> i64 {
        self.first_ms
    }

    /// Timestamp of the newest sample, ms.
    #[must_use]
    pub fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Whether the newest sample is a stale marker.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        is_stale(self.sum.value())
    }

    /// How many buckets each sample has, of both signs.
    #[must_use]
    pub fn buckets(&self) -> u64 {
        self.layout.buckets()
    }

    /// The start timestamp of the newest sample, ms; 0 for none.
    #[must_use]
    pub fn last_start_ms(&self) -> i64 {
        self.starts.map_or(0, |starts| starts.last_ms())
    }

    /// Whether its encoding keeps start timestamps.
    #[must_use]
    pub fn keeps_starts(&self) -> bool {
        self.starts.is_some()
    }

    /// What the chunk's header says of a reset before it.
    #[must_use]
    pub fn header(&self) -> CounterResetHint {
        self.header
    }

    /// Bytes so far, the header's included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        HEADER + self.bits.byte_len()
    }

    /// Bytes of memory, the struct's own included.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.layout.memory() + self.counts.memory() + self.bits.memory()
    }

    /// How its bytes are to be read.
    #[must_use]
    pub fn encoding(&self) -> crate::Encoding {
        C::ENCODINGS[usize::from(self.starts.is_some())]
    }

    /// Whether the newest sample is this one: to the bit, but for what hints say and for buckets without a count.
    #[must_use]
    pub fn last_is(&self, histogram: &C::Histogram) -> bool {
        let view = C::view(histogram);
        if view.is_stale() || self.is_stale() {
            return view.is_stale() && self.is_stale();
        }
        view.sum.to_bits() == self.sum.bits
            && C::same_totals(view.count, self.counts.count())
            && C::same_totals(view.zero_count, self.counts.zero_count())
            && self.fit_schema(&view).is_ok()
            && *self.layout.custom_values == *view.custom_values
            && self.same_buckets(&view)
    }

    fn same_buckets(&self, view: &View<'_, C>) -> bool {
        let positive = self.layout.positive_buckets();
        let own = self.counts.buckets();
        same_filled::<C>(&self.layout.positive, own.clone().take(positive), view.positive)
            && same_filled::<C>(&self.layout.negative, own.skip(positive), view.negative)
    }

    /// Appends the whole chunk to `out`.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        let flags = header_bits(self.header);
        let [high, low] = self.samples.to_be_bytes();
        match &self.starts {
            None => out.extend_from_slice(&[high, low, flags]),
            Some(starts) => out.extend_from_slice(&[flags | high, low, starts.header()]),
        }
        self.bits.copy_to(out);
    }

    /// Closes the chunk into exact bytes.
    #[must_use]
    pub fn seal(&self) -> SealedChunk {
        let mut bytes = Vec::with_capacity(self.byte_len());
        self.copy_to(&mut bytes);
        SealedChunk {
            min_ms: self.first_ms,
            max_ms: self.last_ms,
            encoding: self.encoding(),
            bytes: bytes.into_boxed_slice(),
        }
    }
}

/// All buckets of a histogram.
fn sides<'a, C: Internal>(view: &View<'a, C>) -> impl Iterator<Item = C::Bucket> + use<'a, C> {
    view.positive.buckets.iter().chain(view.negative.buckets).copied()
}

/// The buckets of a side, on the union when they grow.
fn grown<'a, C: Internal>(
    alignment: &Alignment,
    grows: bool,
    side: Side<'a, C::Bucket>,
) -> std::borrow::Cow<'a, [C::Bucket]> {
    match grows {
        true => spread::<C>(side, &alignment.union).into(),
        false => side.buckets.into(),
    }
}
