//! Gzip bodies, inflated into a reused buffer and never past a limit.
//!
//! Always true: at most `limit` bytes are kept, whatever the compressed bytes claim. Several gzip members in a row are one
//! body, as for Go. The error texts are Go's.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use super::error::BodyError;

/// Inflates all of `wire` onto the end of `plain`. Fails with `TooLarge` once `limit` bytes or more come out.
pub(super) fn inflate(wire: &[u8], plain: &mut Vec<u8>, limit: u64) -> Result<(), BodyError> {
    if wire.is_empty() {
        return Err(BodyError::Inflate("EOF"));
    }
    if !wire.starts_with(&[0x1f, 0x8b]) {
        return Err(BodyError::Inflate("gzip: invalid header"));
    }
    let before = plain.len();
    // Text of targets shrinks to a tenth or so; a fair first guess saves the doublings.
    plain.reserve(wire.len().saturating_mul(6).min(usize::try_from(limit).unwrap_or(usize::MAX)));
    let outcome = MultiGzDecoder::new(wire).take(limit).read_to_end(plain);
    outcome.map_err(|e| BodyError::Inflate(reason(&e)))?;
    if (plain.len() - before) as u64 >= limit { Err(BodyError::TooLarge) } else { Ok(()) }
}

fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF",
        io::ErrorKind::InvalidInput if error.to_string().contains("checksum") => "gzip: invalid checksum",
        io::ErrorKind::InvalidInput if error.to_string().contains("header") => "gzip: invalid header",
        _ => "flate: corrupt input",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[track_caller]
    fn check(wire: &[u8], limit: u64, expected: Result<&[u8], &str>) {
        let mut plain = Vec::new();
        let outcome = inflate(wire, &mut plain, limit).map_err(|e| e.to_string());
        assert_eq!(outcome.map(|()| &*plain), expected.map_err(str::to_owned));
    }

    #[test]
    fn members_in_a_row_are_one_body() {
        let mut wire = gzip(b"up 1\n");
        wire.extend(gzip(b"down 0\n"));
        check(&wire, u64::MAX, Ok(b"up 1\ndown 0\n"));
    }

    #[test]
    fn damage_is_told_in_go_words() {
        let wire = gzip(&b"up 1\n".repeat(100));
        check(&wire[..wire.len() - 9], u64::MAX, Err("unexpected EOF"));
        check(b"up 1\n", u64::MAX, Err("gzip: invalid header"));
        let mut flipped = wire.clone();
        *flipped.iter_mut().rev().nth(6).unwrap() ^= 1;
        check(&flipped, u64::MAX, Err("gzip: invalid checksum"));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let wire = gzip(&vec![b'a'; 10_000_000]);
        let mut plain = Vec::new();
        assert!(matches!(inflate(&wire, &mut plain, 1000), Err(BodyError::TooLarge)));
        assert!(plain.len() <= 1000);
        check(&gzip(b"12345"), 5, Err("body size limit exceeded"));
        check(&gzip(b"12345"), 6, Ok(b"12345"));
    }

    #[test]
    fn cut_and_flipped_bytes_never_panic() {
        let wire = gzip(&(0..2000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        for at in 0..wire.len() {
            let mut plain = Vec::new();
            let _ = inflate(&wire[..at], &mut plain, 100_000);
            let mut flipped = wire.clone();
            flipped[at] ^= 0x55;
            let _ = inflate(&flipped, &mut plain, 100_000);
        }
    }
}
