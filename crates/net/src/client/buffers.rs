//! The two buffers that a body passes through, reused from request to request.

/// Bytes as they came and, for a compressed body, inflated.
#[derive(Debug, Default)]
pub struct BodyBuffers {
    pub(super) wire: Vec<u8>,
    pub(super) plain: Vec<u8>,
    pub(super) inflated: bool,
}

impl BodyBuffers {
    /// The body that was read last.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        if self.inflated { &self.plain } else { &self.wire }
    }

    /// Empties both and keeps their memory.
    pub fn clear(&mut self) {
        self.wire.clear();
        self.plain.clear();
        self.inflated = false;
    }

    /// Gives memory back above `most_bytes` a buffer, so that one huge body does not stay paid for.
    pub fn shrink(&mut self, most_bytes: usize) {
        self.clear();
        self.wire.shrink_to(most_bytes);
        self.plain.shrink_to(most_bytes);
    }
}
