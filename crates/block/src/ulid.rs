//! The name of a block: 48 bits of time and 80 of chance, written as 26 characters that sort like the number.
//!
//! Must not know: the clock, any source of chance; both come in through parameters.
//! Facts: the ULID specification; Prometheus takes a directory for a block when its name is one.

use std::fmt;
use std::str::FromStr;

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of the text form.
const TEXT_LEN: usize = 26;
const CHANCE_BITS: u32 = 80;

/// A block's unique name. Orders by time, then by chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

/// Why a text is no ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UlidError {
    /// Not 26 characters.
    #[error("ulid: bad data size when unmarshaling: expected 26 characters, found {0}")]
    Length(usize),
    /// A character that is no digit of base 32 in Crockford's sense.
    #[error("ulid: bad data characters when unmarshaling")]
    Character,
    /// More than 128 bits.
    #[error("ulid: overflow when unmarshaling")]
    Overflow,
}

impl Ulid {
    /// A name from a time in milliseconds since the epoch (48 bits count) and chance (80 bits count).
    #[must_use]
    pub fn new(time_ms: u64, chance: u128) -> Self {
        Self(u128::from(time_ms) << CHANCE_BITS | chance & ((1 << CHANCE_BITS) - 1))
    }

    /// When the name was given, milliseconds since the epoch.
    #[must_use]
    pub fn time_ms(self) -> u64 {
        (self.0 >> CHANCE_BITS) as u64
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; TEXT_LEN];
        for (at, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(self.0 >> (5 * at)) as usize & 31];
        }
        f.pad(std::str::from_utf8(&text).expect("the digits are ASCII"))
    }
}

impl FromStr for Ulid {
    type Err = UlidError;

    /// Takes lower case too.
    fn from_str(text: &str) -> Result<Self, UlidError> {
        if text.len() != TEXT_LEN {
            return Err(UlidError::Length(text.len()));
        }
        let mut value = 0u128;
        for character in text.bytes() {
            let digit = DIGITS.iter().position(|digit| *digit == character.to_ascii_uppercase());
            value = value << 5 | digit.ok_or(UlidError::Character)? as u128;
        }
        // 26 digits hold 130 bits: the first one must leave the top two free.
        if text.as_bytes()[0] > b'7' { Err(UlidError::Overflow) } else { Ok(Self(value)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, why: UlidError) {
        assert_eq!(text.parse::<Ulid>(), Err(why), "{text}");
    }

    #[test]
    fn text_and_number_are_the_same_name() {
        let known: Ulid = "01M81XQHGBMWMK9TJ5WAJ46DJ7".parse().expect("a name from a real block");
        assert_eq!(known.to_string(), "01M81XQHGBMWMK9TJ5WAJ46DJ7");
        assert_eq!(known, Ulid::new(known.time_ms(), known.0));
        assert_eq!("01m81xqhgbmwmk9tj5waj46dj7".parse(), Ok(known));
        assert_eq!(Ulid::new(0, 0).to_string(), "0".repeat(26));
        assert_eq!(Ulid::new((1 << 48) - 1, u128::MAX).to_string(), format!("7{}", "Z".repeat(25)));
    }

    #[test]
    fn later_names_sort_behind_as_numbers_and_as_texts() {
        let (early, late) = (Ulid::new(5, u128::MAX), Ulid::new(6, 0));
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn other_texts_are_refused() {
        check_refused("chunks_head", UlidError::Length(11));
        check_refused("01M81XQHGBMWMK9TJ5WAJ46DJU", UlidError::Character);
        check_refused("81M81XQHGBMWMK9TJ5WAJ46DJ7", UlidError::Overflow);
        check_refused(&"é".repeat(13), UlidError::Character);
    }
}
