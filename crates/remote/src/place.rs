//! What a series is called between the log and a request: a number of 32 bits, and the lane that it belongs to.
//!
//! The two highest bits of a number say who knows the labels. A request has its samples by rising number and, under one number, in
//! the order of the log; one label set may have several numbers, but samples under a lower one are always older: that keeps the
//! order within a series, and it is why the kinds stand in this order.
//!
//! 1. The endpoint's own: label sets from the database and from late samples, which it sends before it follows the log again, and
//!    what relabeling made.
//! 2. What the log named before anybody read it, and the head does not have.
//! 3. Series of the head, by slot. Their labels are borrowed; nothing is kept but 8 bytes.
//! 4. Label sets that left the head and came back under another reference, and what never was in the head; the later the higher.

use narthex_storage::SeriesRef;

/// Numbers of a kind.
const EACH: u32 = 1 << 30;

/// Who knows the labels of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The endpoint; its index.
    Endpoint(u32),
    /// The catalog: a label set that was there before the log was read.
    Early(u32),
    /// The head, in this slot.
    Head(u32),
    /// The catalog: one that came later.
    Later(u32),
}

impl Owner {
    /// Who knows the labels of `number`.
    #[must_use]
    pub(crate) fn of(number: u32) -> Self {
        let index = number % EACH;
        match number / EACH {
            0 => Self::Endpoint(index),
            1 => Self::Early(index),
            2 => Self::Head(index),
            _ => Self::Later(index),
        }
    }

    /// The kind of a number: samples of a label set under one of a lower kind are older.
    #[must_use]
    pub(crate) fn kind(number: u32) -> u32 {
        number / EACH
    }

    /// The number. Indexes are below 2^30.
    #[must_use]
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Endpoint(index) => index,
            Self::Early(index) => EACH + index,
            Self::Head(index) => 2 * EACH + index,
            Self::Later(index) => 3 * EACH + index,
        }
    }
}

/// The slot and the generation of a reference that may have a number by its slot.
#[must_use]
pub(crate) fn slot_of(series: SeriesRef) -> Option<(u32, u8)> {
    let slot = series.0 as u32;
    let generation = u8::try_from(series.0 >> 32).ok()?;
    (slot < EACH).then_some((slot, generation))
}

/// A series of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// See the module's words.
    pub(crate) number: u32,
    /// Below [`LANES`](crate::series::LANES).
    pub(crate) lane: u16,
    /// Tells series that have a number one after the other apart.
    pub(crate) version: u8,
}

impl Place {
    /// As 64 bits: less than `u64::MAX`.
    #[must_use]
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.number) | u64::from(self.lane) << 32 | u64::from(self.version) << 48
    }

    /// The reverse of [`Place::bits`]; `None` for `u64::MAX`.
    #[must_use]
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let place = Self { number: bits as u32, lane: (bits >> 32) as u16, version: (bits >> 48) as u8 };
        (bits != u64::MAX).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_their_kind_and_rise_from_kind_to_kind() {
        let kinds = [Owner::Endpoint, Owner::Early, Owner::Head, Owner::Later];
        let owners: Vec<Owner> = kinds.iter().flat_map(|kind| [kind(0), kind(7), kind(EACH - 1)]).collect();
        let numbers: Vec<u32> = owners.iter().map(|owner| owner.number()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b));
        assert_eq!(numbers.iter().map(|number| Owner::of(*number)).collect::<Vec<_>>(), owners);
    }

    #[test]
    fn a_place_comes_back_from_its_bits() {
        let most = Place { number: u32::MAX, lane: 1023, version: 255 };
        for place in [most, Place { number: 0, lane: 0, version: 0 }] {
            assert_eq!(Place::from_bits(place.bits()), Some(place));
        }
        assert_eq!(Place::from_bits(u64::MAX), None);
    }

    #[test]
    fn only_references_of_a_head_have_numbers_by_slot() {
        assert_eq!(slot_of(SeriesRef(3 << 32 | 77)), Some((77, 3)));
        assert_eq!(slot_of(SeriesRef(u64::from(EACH) - 1)), Some((EACH - 1, 0)));
        assert_eq!((slot_of(SeriesRef(u64::from(EACH))), slot_of(SeriesRef(256 << 32))), (None, None));
    }
}
