//! Remote write 2.0: requests whose texts stand in a table of symbols, and of which parts may be refused.
//!
//! A request's way: `message` (checked whole, laid out in columns) → `lookup` (hashes of symbols → key of a series → reference) →
//! `batch` (into one appender; `labels` spells the label sets of new series, `tally` counts and keeps the reasons of refusals).
//! Always true: a request that is not a message of the protocol is refused whole; of any other the parts that the storage refuses
//! for good are left out and named in the answer; when the storage fails, nothing of the request is stored.
//! Facts: the remote write 2.0 specification; `prompb/io/prometheus/write/v2/types.proto`; the texts are those of Prometheus' receiver.
//! What differs from it: a table that does not begin with `""` is refused (unset helps and units would get its first text); with
//! stored start timestamps those of the request are stored; exemplars of a known series need no sample beside them, as Prometheus
//! itself sends them so, while its receiver refuses them; see `limits` for what is too much.

mod batch;
mod labels;
mod lookup;
mod message;
mod symbols;
mod tally;

#[cfg(test)]
pub(crate) mod tests;

use narthex_storage::Appendable;

use super::series_cache::{Epoch, SeriesCache};
use super::{ReceiveOptions, WriteError};
use batch::Batch;
use lookup::Lookup;
use message::Request;
pub(super) use tally::Tally;
pub use tally::Written;

/// Memory that requests use one after the other.
#[derive(Default)]
pub(super) struct Scratch {
    request: Request,
    lookup: Lookup,
}

impl Scratch {
    /// Forgets everything and gives memory back that one large request took.
    pub(super) fn shrink(&mut self, max_elements: usize) {
        self.request.shrink(max_elements);
        self.lookup.shrink(max_elements);
    }
}

/// What a request is taken with.
pub(super) struct Context<'a> {
    pub(super) storage: &'a dyn Appendable,
    pub(super) cache: &'a SeriesCache,
    pub(super) options: &'a ReceiveOptions,
    pub(super) now: Epoch,
    /// Samples after this are refused, ms.
    pub(super) max_ms: i64,
}

/// Stores what it can of a request. After an error nothing of it is stored.
pub(super) fn take(buffer: &[u8], scratch: &mut Scratch, context: &Context<'_>) -> Result<Tally, WriteError> {
    let Scratch { request, lookup } = scratch;
    request.read(buffer)?;
    let symbols = request.symbols(buffer);
    if symbols.get(0).is_some_and(|first| !first.is_empty()) {
        return Err(WriteError::FirstSymbol);
    }
    let with_type_and_unit = context.options.type_and_unit_labels;
    lookup.find(symbols, request, context.cache, context.now, with_type_and_unit);
    let mut appender = context.storage.appender();
    match (Batch { symbols, request, context }).append(lookup, &mut *appender) {
        Ok(tally) => {
            appender.commit()?;
            Ok(tally)
        }
        Err(error) => {
            appender.rollback();
            Err(error)
        }
    }
}
