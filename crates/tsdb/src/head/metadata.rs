//! Metadata of series: each distinct type, unit and help once, addressed by a small number.

use std::collections::HashMap;
use std::sync::Arc;

use narthex_model::Metadata;
use parking_lot::Mutex;

/// Numbers are one above the place in the list, so that 0 means "none". Lock: a leaf.
#[derive(Default)]
pub(crate) struct MetadataTable {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    list: Vec<Arc<Metadata>>,
    numbers: HashMap<Arc<Metadata>, u32>,
}

impl MetadataTable {
    /// The number of a value, old or new.
    pub(crate) fn intern(&self, metadata: Metadata) -> u32 {
        let mut inner = self.inner.lock();
        if let Some(number) = inner.numbers.get(&metadata) {
            return *number;
        }
        let metadata = Arc::new(metadata);
        inner.list.push(Arc::clone(&metadata));
        let number = inner.list.len() as u32;
        inner.numbers.insert(metadata, number);
        number
    }

    /// Whether a number stands for this value.
    pub(crate) fn is(&self, number: u32, metadata: &Metadata) -> bool {
        self.get(number).is_some_and(|known| *known == *metadata)
    }

    /// The value of a number; `None` for 0.
    pub(crate) fn get(&self, number: u32) -> Option<Arc<Metadata>> {
        let place = number.checked_sub(1)? as usize;
        self.inner.lock().list.get(place).cloned()
    }
}
