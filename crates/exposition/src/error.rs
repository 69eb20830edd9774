//! Why a body cannot be parsed.

/// A malformed body. The text is Prometheus'; the place is told apart from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ParseError {
    text: String,
    line: usize,
    offset: usize,
}

impl ParseError {
    /// An error about the byte at `offset` of `body`.
    pub(crate) fn new(text: String, body: &[u8], offset: usize) -> Self {
        let offset = offset.min(body.len());
        let line = 1 + body[..offset].iter().filter(|b| **b == b'\n').count();
        Self { text, line, offset }
    }

    /// The line, from 1 on.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The byte, from 0 on; at most the length of the body.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}
