//! Samples in, chunks out: for whoever writes chunks of samples that lie in chunks already (compaction of late or overlapping
//! samples, deletes, backfill).
//!
//! Always true: every sample pushed is in exactly one chunk, of the kind that it came in; chunks follow each other in time.
//! Must not know: where samples come from, block ranges (the caller calls [`ChunkBuilder::finish`] at their ends).

use crate::histogram::{Counts, OpenChunkOf, Pushed};
use crate::{
    ChunkSample, ChunkValue, FloatEncoding, OpenChunk, OpenFloatHistogramChunk, OpenHistogramChunk,
    SealedChunk,
};

/// How chunks are cut.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    /// Most samples in a chunk, at least 1.
    pub samples: u32,
    /// The encoding of floats without start timestamp; with one it is XOR2 always.
    pub floats: FloatEncoding,
}

impl Default for BuildOptions {
    /// 120 samples a chunk, XOR, as Prometheus' compaction.
    fn default() -> Self {
        Self { samples: 120, floats: FloatEncoding::Xor }
    }
}

/// Builds the chunks of one series after the other.
#[derive(Debug, Default)]
pub struct ChunkBuilder {
    options: BuildOptions,
    open: Open,
}

#[derive(Debug, Default)]
enum Open {
    #[default]
    Nothing,
    Floats(OpenChunk),
    Histograms(Box<OpenHistogramChunk>),
    FloatHistograms(Box<OpenFloatHistogramChunk>),
}

impl ChunkBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new(options: BuildOptions) -> Self {
        Self { options, open: Open::Nothing }
    }

    /// Adds a sample later than all others since the last [`Self::finish`]. A chunk that it closes goes to `out`.
    pub fn push(&mut self, sample: ChunkSample<'_>, out: &mut Vec<SealedChunk>) {
        match sample.value {
            ChunkValue::Float(value) => self.push_float((sample.t_ms, sample.start_ms), value, out),
            ChunkValue::Histogram(histogram) => {
                let open = match std::mem::take(&mut self.open) {
                    Open::Histograms(open) => Some(open),
                    other => {
                        self.open = other;
                        self.finish(out);
                        None
                    }
                };
                let times = (sample.t_ms, sample.start_ms);
                self.open = Open::Histograms(push(open, times, histogram, self.options.samples, out));
            }
            ChunkValue::FloatHistogram(histogram) => {
                let open = match std::mem::take(&mut self.open) {
                    Open::FloatHistograms(open) => Some(open),
                    other => {
                        self.open = other;
                        self.finish(out);
                        None
                    }
                };
                let times = (sample.t_ms, sample.start_ms);
                self.open = Open::FloatHistograms(push(open, times, histogram, self.options.samples, out));
            }
        }
    }

    fn push_float(&mut self, (t_ms, start_ms): (i64, i64), value: f64, out: &mut Vec<SealedChunk>) {
        let encoding = if start_ms != 0 { FloatEncoding::Xor2 } else { self.options.floats };
        if let Open::Floats(open) = &mut self.open
            && open.samples() < self.options.samples
            && open.has_room_with_start(t_ms, start_ms)
            && (start_ms == 0 || open.encoding() == FloatEncoding::Xor2)
        {
            return open.push_with_start(t_ms, start_ms, value);
        }
        self.finish(out);
        let mut open = OpenChunk::new(encoding);
        open.push_with_start(t_ms, start_ms, value);
        self.open = Open::Floats(open);
    }

    /// Closes the last chunk. The next sample may be of any series and time.
    pub fn finish(&mut self, out: &mut Vec<SealedChunk>) {
        match std::mem::take(&mut self.open) {
            Open::Nothing => {}
            Open::Floats(mut open) => out.push(open.seal()),
            Open::Histograms(open) => out.push(open.seal()),
            Open::FloatHistograms(open) => out.push(open.seal()),
        }
    }
}

/// Adds a histogram to the chunk of its kind, or to a new one behind it.
fn push<C: Counts>(
    open: Option<Box<OpenChunkOf<C>>>,
    (t_ms, start_ms): (i64, i64),
    histogram: &C::Histogram,
    most: u32,
    out: &mut Vec<SealedChunk>,
) -> Box<OpenChunkOf<C>> {
    let starts = start_ms != 0;
    let header = match open {
        None => OpenChunkOf::<C>::first_header(histogram),
        Some(mut open) => {
            let header = match open.keeps_starts() == starts && open.samples() < most {
                true => match open.push(t_ms, start_ms, histogram) {
                    Pushed::Taken | Pushed::Recoded => return open,
                    Pushed::NewChunk(header) => header,
                },
                false => open.header_after(histogram),
            };
            out.push(open.seal());
            header
        }
    };
    Box::new(OpenChunkOf::begin(header, starts, (t_ms, start_ms), histogram))
}

#[cfg(test)]
mod tests {
    use narthex_model::{FloatHistogram, Histogram};

    use super::*;
    use crate::for_each;

    /// Kind, time and start timestamp of a sample; its value is its time.
    type Facts = (u8, i64, i64);

    fn push(builder: &mut ChunkBuilder, (kind, t_ms, start_ms): Facts, out: &mut Vec<SealedChunk>) {
        let count = t_ms as u64;
        let int = Histogram { count, zero_count: count, ..Histogram::default() };
        let float =
            FloatHistogram { count: t_ms as f64, zero_count: t_ms as f64, ..FloatHistogram::default() };
        let value = match kind {
            0 => ChunkValue::Float(t_ms as f64),
            1 => ChunkValue::Histogram(&int),
            _ => ChunkValue::FloatHistogram(&float),
        };
        builder.push(ChunkSample { t_ms, start_ms, value }, out);
    }

    fn facts(chunk: &SealedChunk) -> Vec<Facts> {
        let mut facts = Vec::new();
        for_each(chunk.encoding, &chunk.bytes, (i64::MIN, i64::MAX), |sample| {
            let (kind, value) = match sample.value {
                ChunkValue::Float(value) => (0, value),
                ChunkValue::Histogram(h) => (1, h.count as f64),
                ChunkValue::FloatHistogram(h) => (2, h.count),
            };
            assert_eq!(value, sample.t_ms as f64);
            facts.push((kind, sample.t_ms, sample.start_ms));
        })
        .unwrap();
        assert_eq!((facts[0].1, facts[facts.len() - 1].1), (chunk.min_ms, chunk.max_ms));
        facts
    }

    #[test]
    fn every_sample_is_in_one_chunk_as_what_it_was() {
        let mut random = fastrand::Rng::with_seed(5);
        for floats in [FloatEncoding::Xor, FloatEncoding::Xor2] {
            let mut builder = ChunkBuilder::new(BuildOptions { samples: 40, floats });
            for _ in 0..50 {
                let (mut kind, mut start_ms, mut chunks) = (0, 0, Vec::new());
                let samples: Vec<Facts> = (1..random.i64(2..400))
                    .map(|t_ms| {
                        kind = if random.u8(..) < 10 { random.u8(..3) } else { kind };
                        start_ms = if random.u8(..) < 10 { random.i64(0..3) } else { start_ms };
                        (kind, t_ms, start_ms)
                    })
                    .collect();
                samples.iter().for_each(|sample| push(&mut builder, *sample, &mut chunks));
                builder.finish(&mut chunks);
                let found: Vec<Facts> = chunks.iter().flat_map(facts).collect();
                assert_eq!(found, samples);
                assert!(chunks.iter().all(|chunk| facts(chunk).len() <= 40));
            }
        }
    }
}
