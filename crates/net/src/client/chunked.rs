//! Chunked bodies, decoded in place.
//!
//! The bytes of a connection are read onto the end of one buffer; [`ChunkDecoder::advance`] moves the payload of each chunk
//! down over its framing. PERF: one `read` may bring many of the small chunks that Go servers write, and no second buffer
//! is needed; moving 100 KB costs a few microseconds, a `read` for each chunk would cost a hundred.
//! Always true: `decoded <= parsed <= buffer.len()`, and `buffer[start..decoded]` is payload.
//! Facts: RFC 9112, section 7.1. Slow twin: `tests::slow`.

/// The longest size line (with extensions) and trailer line that is read.
const MAX_LINE: usize = 4096;

/// Where in the framing the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    SizeLine,
    Payload(u64),
    EndOfPayload,
    Trailer,
    End,
}

/// Decodes one chunked body that grows at the end of a buffer.
#[derive(Debug)]
pub(super) struct ChunkDecoder {
    at: At,
    decoded: usize,
    parsed: usize,
}

impl ChunkDecoder {
    /// A decoder for a body that begins at `start` of the buffer.
    pub(super) fn new(start: usize) -> Self {
        Self { at: At::SizeLine, decoded: start, parsed: start }
    }

    /// End of the payload so far, an index into the buffer.
    pub(super) fn decoded(&self) -> usize {
        self.decoded
    }

    /// Decodes what has come. `Ok(true)` at the end of the body; then `rest` tells how many bytes follow it.
    pub(super) fn advance(&mut self, buffer: &mut [u8]) -> Result<bool, &'static str> {
        loop {
            match self.at {
                At::SizeLine => match self.line(buffer)? {
                    Some((from, to)) => self.at = after_size(parse_size(&buffer[from..to])?),
                    None => return Ok(false),
                },
                At::Payload(left) => {
                    let here = left.min((buffer.len() - self.parsed) as u64) as usize;
                    buffer.copy_within(self.parsed..self.parsed + here, self.decoded);
                    self.decoded += here;
                    self.parsed += here;
                    if (here as u64) < left {
                        self.at = At::Payload(left - here as u64);
                        return Ok(false);
                    }
                    self.at = At::EndOfPayload;
                }
                At::EndOfPayload => match self.line(buffer)? {
                    Some((from, to)) if from == to => self.at = At::SizeLine,
                    Some(_) => return Err("malformed chunked encoding"),
                    None => return Ok(false),
                },
                At::Trailer => match self.line(buffer)? {
                    Some((from, to)) if from == to => self.at = At::End,
                    Some(_) => {}
                    None => return Ok(false),
                },
                At::End => return Ok(true),
            }
        }
    }

    /// How many bytes of the buffer come after the body; 0 unless the peer sent too much.
    pub(super) fn rest(&self, buffer: &[u8]) -> usize {
        buffer.len() - self.parsed
    }

    /// The next line without its end, as a range; `None` when it has not come whole.
    fn line(&mut self, buffer: &[u8]) -> Result<Option<(usize, usize)>, &'static str> {
        let rest = &buffer[self.parsed..];
        let Some(len) = rest.iter().take(MAX_LINE).position(|b| *b == b'\n') else {
            return if rest.len() >= MAX_LINE { Err("header line too long") } else { Ok(None) };
        };
        let from = self.parsed;
        self.parsed += len + 1;
        let to = if len > 0 && rest[len - 1] == b'\r' { from + len - 1 } else { from + len };
        Ok(Some((from, to)))
    }
}

fn after_size(size: u64) -> At {
    if size == 0 { At::Trailer } else { At::Payload(size) }
}

fn parse_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.split(|b| *b == b';').next().unwrap_or(line).trim_ascii_end();
    if digits.is_empty() {
        return Err("malformed chunked encoding");
    }
    if digits.len() > 15 {
        return Err("http chunk length too large");
    }
    digits.iter().try_fold(0u64, |size, b| {
        let digit = char::from(*b).to_digit(16).ok_or("invalid byte in chunk length")?;
        Ok(size << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `wire` in pieces of the given sizes and returns payload and leftover.
    fn decode(wire: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, usize), &'static str> {
        let mut buffer = b"prefix".to_vec();
        let mut decoder = ChunkDecoder::new(buffer.len());
        let mut sizes = pieces.iter().copied().cycle();
        let mut rest = wire;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
            rest = later;
            buffer.extend_from_slice(now);
            if decoder.advance(&mut buffer)? {
                let left = decoder.rest(&buffer) + rest.len();
                assert!(buffer.starts_with(b"prefix"));
                return Ok((buffer[6..decoder.decoded()].to_vec(), left));
            }
        }
        Err("incomplete")
    }

    /// The plain way: all bytes at once, a copy for each chunk.
    fn slow(wire: &[u8]) -> Result<(Vec<u8>, usize), &'static str> {
        let mut out = Vec::new();
        let mut rest = wire;
        let mut line = || -> Result<&[u8], &'static str> {
            let at = rest.iter().position(|b| *b == b'\n').ok_or("incomplete")?;
            let (line, tail) = rest.split_at(at);
            rest = &tail[1..];
            Ok(line.strip_suffix(b"\r").unwrap_or(line))
        };
        let size = parse_size(line()?)?;
        if size == 0 {
            while !line()?.is_empty() {}
            return Ok((out, rest.len()));
        }
        if (rest.len() as u64) < size {
            return Err("incomplete");
        }
        let (payload, tail) = rest.split_at(size as usize);
        out.extend_from_slice(payload);
        let tail = tail.strip_prefix(b"\r\n").or_else(|| tail.strip_prefix(b"\n")).ok_or("incomplete")?;
        let (more, left) = slow(tail)?;
        out.extend(more);
        Ok((out, left))
    }

    fn encode(chunks: &[Vec<u8>], extension: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for chunk in chunks.iter().filter(|c| !c.is_empty()) {
            wire.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
        wire
    }

    proptest! {
        #[test]
        fn any_chunks_in_any_pieces_give_the_payload(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
            pieces in prop::collection::vec(1usize..90, 1..6),
            extension in "(;[a-z]{1,5})?",
        ) {
            let mut wire = encode(&chunks, &extension);
            wire.extend_from_slice(b"HTTP");
            let expected = (chunks.concat(), 4);
            prop_assert_eq!(slow(&wire), Ok(expected.clone()));
            prop_assert_eq!(decode(&wire, &pieces), Ok(expected));
        }

        #[test]
        fn damaged_framing_never_panics_and_agrees_with_the_slow_twin(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
            at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut wire = encode(&chunks, "");
            let at = at.index(wire.len());
            wire[at] = byte;
            if let Ok(slow) = slow(&wire) {
                prop_assert_eq!(decode(&wire, &[7]), Ok(slow));
            } else {
                prop_assert!(decode(&wire, &[7]).is_err());
            }
        }
    }

    #[test]
    fn wrong_sizes_are_named() {
        assert_eq!(decode(b"zz\r\n", &[9]), Err("invalid byte in chunk length"));
        assert_eq!(decode(b"1234567890abcdef0\r\n", &[99]), Err("http chunk length too large"));
        assert_eq!(decode(b"3\r\nabcd\r\n0\r\n\r\n", &[99]), Err("malformed chunked encoding"));
        assert_eq!(decode(&[b'1'; 5000], &[5000]), Err("header line too long"));
    }
}
