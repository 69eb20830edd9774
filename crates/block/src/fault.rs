//! What can be wrong with bytes of a block: the reason in Prometheus' words first, then place, expected and found.

/// Why bytes are not what they should be. Offsets count from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are not those that were written.
    #[error("invalid checksum: {len} bytes from byte {offset} on have {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Where the covered bytes begin.
        offset: u64,
        /// How many they are.
        len: u64,
        /// What the file says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
    /// Something reaches beyond the end of what holds it.
    #[error("invalid size: {needed} bytes expected at byte {offset}, {left} left")]
    Size {
        /// Where it begins.
        offset: u64,
        /// How long it says it is.
        needed: u64,
        /// How many bytes there are.
        left: u64,
    },
    /// A number that does not end, or is larger than its type.
    #[error("invalid uvarint at byte {offset}")]
    Varint {
        /// Where it begins.
        offset: u64,
    },
    /// A series names a symbol that is not there.
    #[error("unknown symbol offset {symbol}")]
    Symbol {
        /// The reference.
        symbol: u64,
    },
    /// A label name of the postings table is no symbol.
    #[error("unknown symbol: label name of the postings table entry at byte {offset}")]
    Name {
        /// The entry.
        offset: u64,
    },
    /// An entry of the postings table is not about a pair.
    #[error("unexpected number of keys for postings offset table {found}: expected 2 at byte {offset}")]
    Keys {
        /// Where the entry begins.
        offset: u64,
        /// What it says.
        found: u64,
    },
    /// A list is not as long as it says.
    #[error(
        "unexpected postings length, should be {expected} bytes for {entries} postings, got {found} bytes, at byte {offset}"
    )]
    Postings {
        /// Where the list begins.
        offset: u64,
        /// How many entries it says it has.
        entries: u64,
        /// The bytes these need.
        expected: u64,
        /// The bytes there are.
        found: u64,
    },
    /// A list of postings does not rise.
    #[error("postings out of order: series {series} behind {last}")]
    Order {
        /// The series.
        series: u32,
        /// The one before it.
        last: u32,
    },
    /// The lists of a label's values cannot be true together.
    #[error("postings overlap: lists of {entries} entries in an index of {bytes} bytes")]
    Overlap {
        /// How long the lists are together.
        entries: u64,
        /// How long the index is.
        bytes: u64,
    },
}
