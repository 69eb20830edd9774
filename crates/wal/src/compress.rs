//! Compression of whole records: none, snappy blocks, or zstd frames, each reusing its buffers.
//!
//! A record that does not shrink is written plain, as Prometheus does; the flag bits of its fragments tell which it was.

/// How records are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy blocks: what Prometheus does unless told otherwise.
    #[default]
    Snappy,
    /// Zstandard frames: smaller, slower.
    Zstd,
}

impl Compression {
    /// The word of the flag `--storage.tsdb.wal-compression-type` and of metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        }
    }
}

/// The level of Go's default zstd encoder is close to 3; 1 costs a third of it and is 3 % larger on samples.
const ZSTD_LEVEL: i32 = 1;
/// No record is larger when unpacked; more is a lie of the header.
const MAX_UNPACKED: usize = 1 << 30;
/// Snappy copies at most 64 bytes for two bytes of input.
const SNAPPY_MAX_RATIO: usize = 32;

/// Compresses record after record.
pub(super) struct Compressor {
    kind: Compression,
    snappy: snap::raw::Encoder,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    packed: Vec<u8>,
}

impl Compressor {
    pub(super) fn new(kind: Compression) -> std::io::Result<Self> {
        let zstd = match kind {
            Compression::Zstd => Some(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
            Compression::None | Compression::Snappy => None,
        };
        Ok(Self { kind, snappy: snap::raw::Encoder::new(), zstd, packed: Vec::new() })
    }

    /// The record as it goes to disk, and what it is.
    pub(super) fn compress<'a>(&'a mut self, record: &'a [u8]) -> (&'a [u8], Compression) {
        let len = match (self.kind, &mut self.zstd) {
            (Compression::Snappy, _) => {
                let most = snap::raw::max_compress_len(record.len());
                grow(&mut self.packed, most);
                self.snappy.compress(record, &mut self.packed).ok()
            }
            (Compression::Zstd, Some(zstd)) => {
                grow(&mut self.packed, zstd::zstd_safe::compress_bound(record.len()));
                zstd.compress_to_buffer(record, &mut self.packed[..]).ok()
            }
            (Compression::None | Compression::Zstd, _) => None,
        };
        match len {
            Some(len) if len < record.len() => (&self.packed[..len], self.kind),
            _ => (record, Compression::None),
        }
    }
}

/// Unpacks record after record.
pub(super) struct Decompressor {
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    unpacked: Vec<u8>,
}

impl Decompressor {
    pub(super) fn new() -> Self {
        Self { snappy: snap::raw::Decoder::new(), zstd: None, unpacked: Vec::new() }
    }

    /// The record as it was before compression, or what is wrong with its bytes.
    pub(super) fn unpack<'a>(&'a mut self, packed: &'a [u8], kind: Compression) -> Result<&'a [u8], String> {
        match kind {
            Compression::None => Ok(packed),
            _ if packed.is_empty() => Ok(packed),
            Compression::Snappy => self.unpack_snappy(packed),
            Compression::Zstd => self.unpack_zstd(packed),
        }
    }

    /// The first byte of the unpacked record, when it can be seen without unpacking: a snappy block begins with its length and a
    /// literal.
    pub(super) fn first_byte(packed: &[u8], kind: Compression) -> Option<u8> {
        match kind {
            Compression::None => packed.first().copied(),
            Compression::Snappy => {
                let tag = packed.iter().position(|byte| *byte < 0x80)? + 1;
                let literal = *packed.get(tag)?;
                let length_bytes = usize::from(literal >> 2).saturating_sub(59);
                packed.get(tag + 1 + length_bytes).copied().filter(|_| literal & 3 == 0)
            }
            Compression::Zstd => None,
        }
    }

    fn unpack_snappy<'a>(&'a mut self, packed: &'a [u8]) -> Result<&'a [u8], String> {
        let len = snap::raw::decompress_len(packed).map_err(|error| error.to_string())?;
        if len > packed.len().saturating_mul(SNAPPY_MAX_RATIO) {
            return Err(format!("snappy: {} bytes cannot unpack to {len}", packed.len()));
        }
        grow(&mut self.unpacked, len);
        let len = self.snappy.decompress(packed, &mut self.unpacked).map_err(|error| error.to_string())?;
        Ok(&self.unpacked[..len])
    }

    fn unpack_zstd<'a>(&'a mut self, packed: &'a [u8]) -> Result<&'a [u8], String> {
        let failed = |error: std::io::Error| format!("zstd: {error}");
        let known = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
        let Some(len) = known.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= MAX_UNPACKED)
        else {
            return self.unpack_long_zstd(packed);
        };
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(failed)?),
        };
        grow(&mut self.unpacked, len);
        let len = zstd.decompress_to_buffer(packed, &mut self.unpacked[..]).map_err(failed)?;
        Ok(&self.unpacked[..len])
    }

    /// For frames that do not say how large they unpack.
    fn unpack_long_zstd<'a>(&'a mut self, packed: &'a [u8]) -> Result<&'a [u8], String> {
        use std::io::Read as _;
        self.unpacked.clear();
        let frames = zstd::stream::read::Decoder::with_buffer(packed).map_err(|error| error.to_string())?;
        let read = frames.take(MAX_UNPACKED as u64 + 1).read_to_end(&mut self.unpacked);
        match read {
            Ok(len) if len > MAX_UNPACKED => Err(format!("zstd: unpacks to more than {MAX_UNPACKED} bytes")),
            Ok(_) => Ok(&self.unpacked),
            Err(error) => Err(format!("zstd: {error}")),
        }
    }
}

/// Makes `buffer` at least `len` long; zeroes only what is new.
fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_is_seen_without_unpacking() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut compressor = Compressor::new(Compression::Snappy).unwrap();
        for len in (1..400).chain([5_000, 70_000, 20_000_000]) {
            let record: Vec<u8> = (0..len).map(|at| if at < len / 3 { rng.u8(..) } else { 7 }).collect();
            let (packed, kind) = compressor.compress(&record);
            assert_eq!(Decompressor::first_byte(packed, kind), Some(record[0]), "{len} bytes");
        }
        assert_eq!(Decompressor::first_byte(&[], Compression::Snappy), None);
        assert_eq!(Decompressor::first_byte(&[0xff; 9], Compression::Snappy), None);
    }
}
