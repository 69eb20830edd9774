//! Why bytes are not a chunk.

/// See the variants. The caller knows the place (file, offset) and adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The chunk says it has more samples than its bytes hold.
    #[error("chunk of {len} bytes ends within sample {sample} of {samples}")]
    Truncated {
        /// The sample that is cut, from 0.
        sample: usize,
        /// What the header says.
        samples: usize,
        /// Bytes of the chunk.
        len: usize,
    },
    /// The bytes end before the samples begin.
    #[error("chunk of {len} bytes ends within its header of {header} bytes")]
    NoHeader {
        /// Bytes of the chunk.
        len: usize,
        /// Bytes that this encoding's header needs.
        header: usize,
    },
    /// The layout of a histogram chunk names a schema that nobody knows.
    #[error("histogram chunk has unknown schema {schema}; expected -4 to 52, or -53 for custom buckets")]
    UnknownSchema {
        /// As found.
        schema: i64,
    },
    /// The layout of a histogram chunk claims more than its bytes can hold: they are corrupt, nothing was allocated for it.
    #[error("histogram chunk claims {claimed} {what}, but {left_bits} bits are left for them")]
    Layout {
        /// Spans, buckets or custom bounds.
        what: &'static str,
        /// How many, as found.
        claimed: u64,
        /// Bits that are left.
        left_bits: u64,
    },
}
