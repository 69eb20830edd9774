//! Reading a histogram chunk, sample by sample.

use std::sync::Arc;

use narthex_model::{CounterResetHint, is_stale};
use narthex_storage::SampleBatch;

use super::counts::{Counts, Internal};
use super::layout::{Fault, Layout};
use super::{HEADER, MOST_SAMPLES_ST, header_of, reduce};
use crate::bits::{BitReader, XorValue};
use crate::error::ChunkError;
use crate::sample::ChunkSample;
use crate::starts::StartReader;

/// A chunk and the newest sample that was read of it.
pub(crate) struct Decoder<'a, C> {
    reader: BitReader<'a>,
    len: usize,
    samples: u32,
    read: u32,
    header: CounterResetHint,
    layout: Layout,
    t_ms: i64,
    delta_ms: i64,
    sum: XorValue,
    counts: C,
    starts: Option<StartReader>,
}

impl<'a, C: Internal> Decoder<'a, C> {
    pub(crate) fn new(chunk: &'a [u8], with_starts: bool) -> Result<Self, ChunkError> {
        let Some(([high, low, third], bits)) = chunk.split_first_chunk::<HEADER>() else {
            return Err(ChunkError::NoHeader { len: chunk.len(), header: HEADER });
        };
        let count = u32::from(u16::from_be_bytes([*high, *low]));
        let (samples, flags) = if with_starts { (count & MOST_SAMPLES_ST, *high) } else { (count, *third) };
        Ok(Self {
            reader: BitReader::new(bits),
            len: chunk.len(),
            samples,
            read: 0,
            header: header_of(flags),
            layout: Layout::default(),
            t_ms: 0,
            delta_ms: 0,
            sum: XorValue::default(),
            counts: C::default(),
            starts: with_starts.then(|| StartReader::new(*third)),
        })
    }

    /// Reads the next sample; `false` when there is none.
    pub(crate) fn next(&mut self) -> Result<bool, ChunkError> {
        if self.read == self.samples {
            return Ok(false);
        }
        let before_ms = self.t_ms;
        let done = if self.read == 0 { self.first() } else { self.later() };
        let done = done.and_then(|()| match &mut self.starts {
            Some(starts) => Ok(starts.read(self.read, (before_ms, self.t_ms), &mut self.reader)?),
            None => Ok(()),
        });
        done.map_err(|fault| match fault {
            Fault::Content(error) => error,
            Fault::End => ChunkError::Truncated {
                sample: self.read as usize,
                samples: self.samples as usize,
                len: self.len,
            },
        })?;
        self.read += 1;
        Ok(true)
    }

    fn first(&mut self) -> Result<(), Fault> {
        self.layout = Layout::read(&mut self.reader, C::LEAST_BUCKET_BITS)?;
        self.t_ms = self.reader.varbit()?;
        self.counts.read_first_totals(&mut self.reader)?;
        self.sum = XorValue::new(f64::from_bits(self.reader.take(64)?));
        Ok(self.counts.read_first_buckets(self.layout.buckets() as usize, &mut self.reader)?)
    }

    fn later(&mut self) -> Result<(), Fault> {
        self.delta_ms = self.delta_ms.wrapping_add(self.reader.varbit()?);
        self.t_ms = self.t_ms.wrapping_add(self.delta_ms);
        self.counts.read_totals(&mut self.reader)?;
        self.sum.read(&mut self.reader)?;
        if self.is_stale() {
            return Ok(());
        }
        Ok(self.counts.read_buckets(&mut self.reader)?)
    }

    pub(crate) fn t_ms(&self) -> i64 {
        self.t_ms
    }

    /// 0 for none.
    pub(crate) fn start_ms(&self) -> i64 {
        self.starts.map_or(0, |starts| starts.start_ms())
    }

    fn is_stale(&self) -> bool {
        is_stale(self.sum.value())
    }

    /// What may be said of a reset before the newest sample. That before a chunk is not told: the chunk before it may be
    /// another one by now.
    fn hint(&self) -> CounterResetHint {
        match self.header {
            CounterResetHint::Gauge => CounterResetHint::Gauge,
            _ if self.read > 1 => CounterResetHint::NotReset,
            _ => CounterResetHint::Unknown,
        }
    }

    /// Sets `out` to the newest sample.
    pub(crate) fn fill(&self, out: &mut C::Histogram) {
        if self.is_stale() {
            return C::default().fill(&Layout::default(), CounterResetHint::Unknown, self.sum.value(), out);
        }
        self.counts.fill(&self.layout, self.hint(), self.sum.value(), out);
    }

    fn to_float(&self) -> narthex_model::FloatHistogram {
        if self.is_stale() {
            return C::default().to_float(&Layout::default(), CounterResetHint::Unknown, self.sum.value());
        }
        let mut histogram = self.counts.to_float(&self.layout, self.hint(), self.sum.value());
        reduce::to_known_schema(&mut histogram);
        histogram
    }
}

/// Appends the histograms of a chunk with `mint_ms <= t <= maxt_ms` to `out`, with float counts.
pub(crate) fn decode_histograms<C: Counts>(
    chunk: &[u8],
    with_starts: bool,
    (mint_ms, maxt_ms): (i64, i64),
    out: &mut SampleBatch,
) -> Result<(), ChunkError> {
    let mut decoder = Decoder::<C>::new(chunk, with_starts)?;
    while decoder.next()? {
        if decoder.t_ms > maxt_ms {
            break;
        }
        if decoder.t_ms >= mint_ms {
            out.push_histogram(decoder.t_ms, decoder.start_ms(), Arc::new(decoder.to_float()));
        }
    }
    Ok(())
}

/// Shows the histograms of a chunk with `mint_ms <= t <= maxt_ms` as they were stored.
pub(crate) fn for_each_histogram<C: Counts>(
    chunk: &[u8],
    with_starts: bool,
    (mint_ms, maxt_ms): (i64, i64),
    take: &mut impl FnMut(ChunkSample<'_>),
) -> Result<(), ChunkError> {
    let mut decoder = Decoder::<C>::new(chunk, with_starts)?;
    let mut histogram = C::Histogram::default();
    while decoder.next()? {
        if decoder.t_ms > maxt_ms {
            break;
        }
        if decoder.t_ms >= mint_ms {
            decoder.fill(&mut histogram);
            take(ChunkSample {
                t_ms: decoder.t_ms,
                start_ms: decoder.start_ms(),
                value: C::show(&histogram),
            });
        }
    }
    Ok(())
}
