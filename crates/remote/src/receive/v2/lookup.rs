//! From the numbers of a series' labels to its reference, without looking at a label.
//!
//! Numbers mean other texts in the next request, so a key is made of the texts' hashes: each text is hashed once a request, then
//! a series costs a hash over 32 bytes for each label. The cache is the one of protocol 1.0; its keys never meet ours but by the
//! chance that its story tells.

use narthex_storage::SeriesRef;

use super::message::{Request, Series};
use super::symbols::Symbols;
use crate::receive::limits::MAX_LABELS;
use crate::receive::series_cache::{Epoch, Key, SeriesCache};

/// How to find the series of a request; reused from request to request.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// Of each symbol.
    hashes: Vec<[u8; 16]>,
    /// The hashes of the texts of one series.
    texts: Vec<u8>,
    /// `None` for series that cannot be spelled.
    keys: Vec<Option<Key>>,
    found: Vec<Option<SeriesRef>>,
}

impl Lookup {
    /// Looks up every series.
    ///
    /// PERF: straight loops, first hashes, then look-ups, so that the cache misses of several look-ups overlap.
    pub(super) fn find(
        &mut self,
        symbols: Symbols<'_>,
        request: &Request,
        cache: &SeriesCache,
        now: Epoch,
        with_type_and_unit: bool,
    ) {
        let Self { hashes, texts, keys, found } = self;
        hashes.clear();
        hashes.extend(symbols.places.iter().map(|place| cache.hash(&symbols.buffer[place.range()])));
        keys.clear();
        keys.extend(request.series().map(|series| {
            texts.clear();
            spell(hashes, &series, with_type_and_unit, texts)?;
            Some(cache.key(texts))
        }));
        found.clear();
        found.extend(keys.iter().map(|key| cache.get((*key)?, now)));
    }

    /// Key and reference of each series, in the order of the request.
    pub(super) fn series(&self) -> impl Iterator<Item = (Option<Key>, Option<SeriesRef>)> {
        self.keys.iter().copied().zip(self.found.iter().copied())
    }

    /// Forgets everything and gives memory back that one large request took.
    pub(super) fn shrink(&mut self, max_elements: usize) {
        self.hashes.clear();
        self.texts.clear();
        self.keys.clear();
        self.found.clear();
        self.hashes.shrink_to(max_elements);
        self.texts.shrink_to(max_elements);
        self.keys.shrink_to(max_elements);
        self.found.shrink_to(max_elements);
    }
}

/// Appends the hashes of all texts that make the series' label set.
#[inline]
fn spell(
    hashes: &[[u8; 16]],
    series: &Series<'_>,
    with_type_and_unit: bool,
    out: &mut Vec<u8>,
) -> Option<()> {
    if !series.refs.len().is_multiple_of(2) || series.refs.len() / 2 > MAX_LABELS {
        return None;
    }
    for number in series.refs {
        out.extend_from_slice(hashes.get(*number as usize)?);
    }
    if with_type_and_unit {
        out.push(series.metadata.kind as u8);
        out.extend_from_slice(hashes.get(series.metadata.unit as usize)?);
    }
    Some(())
}
