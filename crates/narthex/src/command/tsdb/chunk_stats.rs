//! How full the chunks of a block are, as histograms of text: the second half of `tsdb analyze --extended`.

use narthex_block::ChunkPiece;
use narthex_chunks::{ChunkError, ChunkValue, Encoding, for_each, sample_count};

/// Numbers of all chunks. Eight bytes a chunk and number.
#[derive(Debug, Default)]
pub(super) struct ChunkStats {
    chunks: u64,
    float_samples: Vec<u64>,
    float_bytes: Vec<u64>,
    histogram_samples: Vec<u64>,
    histogram_bytes: Vec<u64>,
    histogram_buckets: Vec<u64>,
}

impl ChunkStats {
    /// Counts one chunk.
    pub(super) fn add(&mut self, chunk: &ChunkPiece<'_>) -> Result<(), ChunkError> {
        let samples = sample_count(chunk.encoding, chunk.bytes).map_or(0, u64::from);
        let bytes = chunk.bytes.len() as u64;
        self.chunks += 1;
        if matches!(chunk.encoding, Encoding::Xor | Encoding::Xor2) {
            self.float_samples.push(samples);
            self.float_bytes.push(bytes);
            return Ok(());
        }
        let mut buckets = 0;
        for_each(chunk.encoding, chunk.bytes, (i64::MIN, i64::MAX), |sample| {
            buckets += match sample.value {
                ChunkValue::Float(_) => 0,
                ChunkValue::Histogram(h) => h.positive_buckets.len() + h.negative_buckets.len(),
                ChunkValue::FloatHistogram(h) => h.positive_buckets.len() + h.negative_buckets.len(),
            };
        })?;
        self.histogram_samples.push(samples);
        self.histogram_bytes.push(bytes);
        self.histogram_buckets.push(buckets as u64);
        Ok(())
    }

    /// The text.
    pub(super) fn report(&mut self) -> String {
        let total = self.chunks;
        let mut text = "\nCompaction analysis:\n\n".to_owned();
        for (title, numbers) in [
            ("samples per float chunk", &mut self.float_samples),
            ("bytes per float chunk", &mut self.float_bytes),
            ("samples per histogram chunk", &mut self.histogram_samples),
            ("bytes per histogram chunk", &mut self.histogram_bytes),
            ("buckets per histogram chunk", &mut self.histogram_buckets),
        ] {
            push_histogram(&mut text, title, numbers, total);
        }
        text
    }
}

/// Bars of `#`, one for each percent of `total` chunks.
fn push_histogram(text: &mut String, title: &str, numbers: &mut [u64], total: u64) {
    numbers.sort_unstable();
    let (Some(&least), Some(&most)) = (numbers.first(), numbers.last()) else {
        text.push_str(&format!("{title}: N/A\n\n"));
        return;
    };
    let (start, end, step) = scale(least, most);
    let mut counts = vec![0u64; ((end - start) / step + 1) as usize];
    for number in numbers.iter() {
        counts[((number - start) / step) as usize] += 1;
    }
    let average = numbers.iter().sum::<u64>() / numbers.len() as u64;
    text.push_str(&format!("{title} (min/avg/max): {least}/{average}/{most}\n"));
    let digits = |n: u64| n.to_string().len();
    let widest = digits(counts.iter().copied().max().unwrap_or(0));
    let (left, right) = (digits(end), digits(end + step));
    for (at, count) in counts.iter().enumerate() {
        let low = at as u64 * step + start;
        let bar = "#".repeat((100 * count / total) as usize);
        text.push_str(&format!("[{:left$}, {:right$}]: {count:widest$} {bar}\n", low + 1, low + step));
    }
    text.push('\n');
}

/// First and last edge, and the width of a bar: a power of ten from 10 on, about ten bars.
fn scale(least: u64, most: u64) -> (u64, u64, u64) {
    let wanted = (most - least) / 10;
    let mut step = 10;
    while step < wanted && step <= 10_000 {
        step *= 10;
    }
    (least - least % step, most - most % step + step, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_powers_of_ten_wide_and_one_mark_a_percent_long() {
        let mut text = String::new();
        push_histogram(&mut text, "samples", &mut [12, 25, 25], 50);
        assert_eq!(
            text,
            "samples (min/avg/max): 12/20/25\n[11, 20]: 1 ##\n[21, 30]: 2 ####\n[31, 40]: 0 \n\n"
        );
        text.clear();
        push_histogram(&mut text, "samples", &mut [], 50);
        assert_eq!(text, "samples: N/A\n\n");
    }
}
