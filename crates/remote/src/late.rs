//! Samples of the log that the database no longer brings, because it was read past their time already, set aside so that the log
//! need not be kept for them: a file `<id>.late` of one endpoint.
//!
//! It exists only while the database serves the endpoint. Chunks are appended and read in their order; an offset counts from the
//! first chunk ever written, whatever was deleted since, so a cursor can name it. Header: magic, offset of the first chunk. A chunk:
//! length, checksum, then snappy: series, each with its labels, floats, and encoded histograms.
//! Always true: what `append` took is read back whole, in order; a torn chunk at the end is cut off when the file is opened.
//! Must not know: lanes, requests.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustc_hash::FxBuildHasher;

use crate::series::Series;
use crate::source::OtherKind;

const MAGIC: &[u8; 8] = b"NXRWLAT1";
const HEAD_BYTES: u64 = 16;
const CHUNK_HEAD_BYTES: u64 = 8;
/// Nothing larger is a chunk.
const MAX_CHUNK_BYTES: u32 = 256 << 20;
/// No offset is larger.
const MAX_OFFSET: u64 = u64::MAX / 2;
/// The file grows up to here.
pub(crate) const LATE_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 512 << 20 };

/// Late samples of one series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LateSeries {
    /// As the log names it, without external labels, not relabeled.
    pub(crate) series: Series,
    /// Time, start time (0: not known), both ms, and value, in the order of the log.
    pub(crate) samples: Vec<(i64, i64, f64)>,
    /// Time and fields of histograms.
    pub(crate) others: Vec<(i64, OtherKind, Box<[u8]>)>,
}

/// Collects what becomes one chunk.
#[derive(Default)]
pub(crate) struct LateChunk {
    at: HashMap<u32, usize, FxBuildHasher>,
    pub(crate) series: Vec<LateSeries>,
}

impl LateChunk {
    /// The place of a series, which has this number; `labels` is asked once for each.
    pub(crate) fn of(
        &mut self,
        number: u32,
        labels: impl FnOnce() -> Option<Series>,
    ) -> Option<&mut LateSeries> {
        let at = match self.at.get(&number) {
            Some(at) => *at,
            None => {
                let (samples, others) = Default::default();
                self.series.push(LateSeries { series: labels()?, samples, others });
                self.at.insert(number, self.series.len() - 1);
                self.series.len() - 1
            }
        };
        Some(&mut self.series[at])
    }

    /// How many samples and histograms.
    pub(crate) fn len(&self) -> usize {
        self.series.iter().map(|series| series.samples.len() + series.others.len()).sum()
    }
}

/// See the module's words.
pub(crate) struct LateFile {
    path: PathBuf,
    file: Option<File>,
    /// Offset of the first chunk in the file.
    base: u64,
    /// Offset behind the last one.
    end: u64,
    is_synced: bool,
}

impl LateFile {
    /// Opens what an earlier run left, if there is something. `at` is where the cursor stands.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn open(path: PathBuf, at: u64) -> io::Result<Self> {
        let mut late = Self { path, file: None, base: at, end: at, is_synced: true };
        let file = match OpenOptions::new().read(true).write(true).open(&late.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(late),
            file => file?,
        };
        let mut head = [0; HEAD_BYTES as usize];
        let read = file.read_exact_at(&mut head, 0);
        let (magic, base) = head.split_at(8);
        let base = u64::from_be_bytes(base.try_into().expect("it is half of 16 bytes"));
        if read.is_err() || magic != MAGIC || base > MAX_OFFSET {
            let bytes = file.metadata()?.len();
            if bytes > HEAD_BYTES {
                tracing::error!(path = %late.path.display(), bytes, "late samples of remote write cannot be read, and are not sent");
            }
            // Otherwise it was begun and nothing was appended.
            std::fs::remove_file(&late.path)?;
            return Ok(late);
        }
        late.base = base;
        late.end = late.base;
        late.file = Some(file);
        while let Some((_, next)) = late.raw_chunk(late.end)? {
            late.end = next;
        }
        if late.end < at {
            // Everything in it was acknowledged.
            late.end = at;
            late.clear()?;
            return Ok(late);
        }
        let len = late.place(late.end);
        let file = late.file.as_ref().expect("set above");
        let cut = file.metadata()?.len() - len;
        if cut > 0 {
            tracing::warn!(path = %late.path.display(), offset = len, bytes = cut, "late samples of remote write were written by half and are cut off");
            file.set_len(len)?;
        }
        Ok(late)
    }

    /// The offset behind the last chunk.
    #[cfg(test)]
    fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of all chunks that are left.
    pub(crate) fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.base)
    }

    /// The offset of the first chunk that is left.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Whether no more is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.base >= LATE_BYTES
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// The disk's; the chunk is not there then.
    pub(crate) fn append(&mut self, chunk: &LateChunk) -> io::Result<()> {
        let bytes = encode(&chunk.series);
        let packed = snap::raw::Encoder::new().compress_vec(&bytes).map_err(io::Error::other)?;
        let mut out = (packed.len() as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&crc32c::crc32c(&packed).to_be_bytes());
        out.extend_from_slice(&packed);
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(true).open(&self.path)?;
            let mut head = MAGIC.to_vec();
            head.extend_from_slice(&self.end.to_be_bytes());
            file.write_all_at(&head, 0)?;
            self.base = self.end;
            self.file = Some(file);
        }
        self.is_synced = false;
        let file = self.file.as_ref().expect("opened above");
        file.write_all_at(&out, self.place(self.end))?;
        self.end += out.len() as u64;
        Ok(())
    }

    /// The chunk at an offset, and the offset behind it; `None` at the end.
    ///
    /// # Errors
    /// The disk's; `InvalidData` when the bytes have changed.
    pub(crate) fn read(&self, at: u64) -> io::Result<Option<(Vec<LateSeries>, u64)>> {
        if at >= self.end {
            return Ok(None);
        }
        let invalid = || {
            let text = format!("{}: no late samples at offset {at}", self.path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let (packed, next) = self.raw_chunk(at)?.ok_or_else(invalid)?;
        // Nothing that was compressed is longer.
        let is_sound = snap::raw::decompress_len(&packed).is_ok_and(|len| len / 32 <= packed.len());
        let bytes = snap::raw::Decoder::new().decompress_vec(if is_sound { &packed } else { &[] });
        let bytes = bytes.map_err(|_| invalid())?;
        Ok(Some((decode(&bytes).ok_or_else(invalid)?, next)))
    }

    /// Makes everything that was appended survive a power cut.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| !self.is_synced) {
            narthex_disk::sync_file(file, &self.path)?;
            self.path.parent().map_or(Ok(()), narthex_disk::sync_dir)?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// Deletes the file; everything in it was acknowledged, or will be read again from the log.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if self.file.take().is_some() {
            std::fs::remove_file(&self.path)?;
            (self.base, self.is_synced) = (self.end, true);
        }
        Ok(())
    }

    fn place(&self, offset: u64) -> u64 {
        HEAD_BYTES + (offset - self.base)
    }

    fn raw_chunk(&self, at: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        let Some(file) = self.file.as_ref().filter(|_| at >= self.base) else { return Ok(None) };
        let place = self.place(at);
        let mut head = [0; CHUNK_HEAD_BYTES as usize];
        if place + CHUNK_HEAD_BYTES > file.metadata()?.len() {
            return Ok(None);
        }
        file.read_exact_at(&mut head, place)?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (len, checksum) = (word(0), word(4));
        if len > MAX_CHUNK_BYTES || place + CHUNK_HEAD_BYTES + u64::from(len) > file.metadata()?.len() {
            return Ok(None);
        }
        let mut packed = vec![0; len as usize];
        file.read_exact_at(&mut packed, place + CHUNK_HEAD_BYTES)?;
        let is_whole = len > 0 && (crc32c::crc32c(&packed) == checksum || cfg!(fuzzing));
        Ok(is_whole.then_some((packed, at + CHUNK_HEAD_BYTES + u64::from(len))))
    }
}

fn encode(all: &[LateSeries]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in all {
        let (labels, floats, others) = (one.series.bytes(), one.samples.len(), one.others.len());
        for len in [labels.len(), floats, others] {
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        out.extend_from_slice(labels);
        for (t_ms, start_ms, value) in &one.samples {
            out.extend_from_slice(&t_ms.to_be_bytes());
            out.extend_from_slice(&start_ms.to_be_bytes());
            out.extend_from_slice(&value.to_bits().to_be_bytes());
        }
        for (t_ms, kind, encoded) in &one.others {
            out.extend_from_slice(&t_ms.to_be_bytes());
            out.push(*kind as u8);
            out.extend_from_slice(&(encoded.len() as u32).to_be_bytes());
            out.extend_from_slice(encoded);
        }
    }
    out
}

fn decode(mut bytes: &[u8]) -> Option<Vec<LateSeries>> {
    let mut all = Vec::new();
    let rest = &mut bytes;
    while !rest.is_empty() {
        let [labels, floats, others] = [take_len(rest)?, take_len(rest)?, take_len(rest)?];
        let series = Series::from_bytes(take(rest, labels)?)?;
        let (mut samples, mut kinds) = (Vec::new(), Vec::new());
        for _ in 0..floats {
            let mut word = || Some(u64::from_be_bytes(take(rest, 8)?.try_into().ok()?));
            samples.push((word()? as i64, word()? as i64, f64::from_bits(word()?)));
        }
        for _ in 0..others {
            let t_ms = i64::from_be_bytes(take(rest, 8)?.try_into().ok()?);
            let kind = OtherKind::from_number(take(rest, 1)?[0])?;
            let len = take_len(rest)?;
            kinds.push((t_ms, kind, take(rest, len)?.into()));
        }
        all.push(LateSeries { series, samples, others: kinds });
    }
    Some(all)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn take_len(rest: &mut &[u8]) -> Option<usize> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use narthex_model::Labels;

    use super::*;

    fn chunk(n: i64) -> LateChunk {
        let mut chunk = LateChunk::default();
        for series in 0..3u32 {
            let labels = Labels::from_pairs([("n", &*series.to_string())]);
            let of = chunk.of(series, || Some(Series::of_labels(&labels)));
            let of = of.unwrap();
            of.samples = vec![(n, 0, 1.5), (n + 1, n, narthex_model::STALE_NAN)];
            of.others = vec![(n, OtherKind::Histogram, [1, 2, series as u8].into())];
        }
        chunk
    }

    #[test]
    fn chunks_come_back_in_order_after_a_restart_and_after_the_file_was_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.late");
        let mut late = LateFile::open(path.clone(), 500).unwrap();
        late.append(&chunk(1)).unwrap();
        late.append(&chunk(2)).unwrap();
        let late = LateFile::open(path.clone(), 500).unwrap();
        assert_eq!(late.base(), 500);
        let (first, next) = late.read(500).unwrap().unwrap();
        let (second, end) = late.read(next).unwrap().unwrap();
        assert!(late.read(end).unwrap().is_none());
        for (got, expected) in [(first, chunk(1)), (second, chunk(2))] {
            assert_eq!(encode(&got), encode(&expected.series));
        }
        let mut late = LateFile::open(path.clone(), end).unwrap();
        late.clear().unwrap();
        assert!(!path.exists());
        late.append(&chunk(3)).unwrap();
        let again = LateFile::open(path, end).unwrap();
        assert_eq!((again.base(), again.end()), (end, late.end()));
    }

    #[test]
    fn a_torn_or_changed_chunk_ends_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.late");
        let mut late = LateFile::open(path.clone(), 0).unwrap();
        late.append(&chunk(1)).unwrap();
        let first_end = late.end();
        late.append(&chunk(2)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let second_at = (HEAD_BYTES + first_end) as usize;
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let end = LateFile::open(path.clone(), 0).unwrap().end();
            assert_eq!(end, if len < second_at { 0 } else { first_end }, "{len}");
        }
        for at in second_at..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(LateFile::open(path.clone(), 0).unwrap().end(), first_end, "{at}");
        }
        // Whatever was cut off, the next chunk follows what is whole.
        let mut late = LateFile::open(path.clone(), 0).unwrap();
        late.append(&chunk(7)).unwrap();
        let (got, _) = late.read(first_end).unwrap().unwrap();
        assert_eq!(encode(&got), encode(&chunk(7).series));
    }
}
