//! The stable 64-bit hash of a label set, equal to the one Prometheus computes.
//!
//! `limit_ratio` and scrape offsets select by this hash, so it must give the same numbers as Go's build with the default
//! label layout. Facts: Prometheus `model/labels`, `Labels.Hash` of the string layout hashes the packed bytes; the slice
//! layout hashes `name 0xff value 0xff` per pair. The latter is stable between builds and is what we use.

use crate::Labels;

const SEPARATOR: u8 = 0xff;

impl Labels {
    /// xxHash64 over `name 0xff value 0xff` of each pair in order.
    #[must_use]
    pub fn stable_hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(1024);
        for (name, value) in self {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(SEPARATOR);
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(SEPARATOR);
        }
        twox_hash::XxHash64::oneshot(0, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_set_has_the_hash_of_no_bytes() {
        assert_eq!(Labels::empty().stable_hash(), 0xef46_db37_51d8_e999);
    }
}
