//! What one scrape needs and the next can use again: body buffers, the parser's hint, a label builder.
//!
//! Always true: a scrape holds one from the first byte of its body to the commit, so there are as many as bodies on their
//! way; few are kept, and none with more than a bounded buffer.

use narthex_net::client::BodyBuffers;
use narthex_storage::SeriesRef;
use parking_lot::Mutex;

use crate::series_cache::Hint;

/// How many are kept for later.
const KEPT: usize = 8;
/// The largest buffer that is kept.
const KEPT_BYTES: usize = 4 << 20;

/// See the module's words.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) body: BodyBuffers,
    pub(crate) hint: Hint,
    pub(crate) stale: Vec<SeriesRef>,
}

/// Lends them.
#[derive(Debug, Default)]
pub(crate) struct ScratchPool {
    free: Mutex<Vec<Scratch>>,
}

impl ScratchPool {
    pub(crate) fn take(&self) -> Scratch {
        self.free.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut scratch: Scratch) {
        scratch.body.shrink(KEPT_BYTES);
        scratch.stale.clear();
        let mut free = self.free.lock();
        if free.len() < KEPT {
            free.push(scratch);
        }
    }
}
