//! From a piece to a compressed request in 1.0 or 2.0.
//!
//! In 2.0 the exemplars of a series stand beside its samples or histograms, as receivers take none alone; samples and histograms
//! of one series stand apart. Buffers are reused; nothing is allocated per sample but what the request itself is.

use bytes::Bytes;
use narthex_config::WriteMessage;

use super::Piece;
use crate::families::Families;
use crate::lane::OtherEntry;
use crate::slots::Slots;
use crate::source::OtherKind;
use crate::wire::{self, v2};

/// A compressed request; a clone shares it.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    /// What it is.
    pub(crate) message: WriteMessage,
    /// The bytes.
    pub(crate) body: Bytes,
}

/// Encodes and compresses pieces.
pub(crate) struct Encoder {
    message: Vec<u8>,
    packed: Vec<u8>,
    snappy: snap::raw::Encoder,
    v2: v2::Request,
    /// Exemplars and histograms by series.
    order: Vec<Waiting>,
}

/// An exemplar or histogram that is not in the request yet.
#[derive(Clone, Copy)]
struct Waiting {
    slot: u32,
    /// Its place in the piece.
    at: u32,
    is_placed: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        let (message, packed, v2, order) = Default::default();
        Self { message, packed, snappy: snap::raw::Encoder::new(), v2, order }
    }
}

impl Encoder {
    /// A piece as a compressed request. `families` are for 2.0.
    pub(crate) fn encode(
        &mut self,
        piece: &Piece,
        slots: &Slots,
        message: WriteMessage,
        families: &Families,
    ) -> Encoded {
        self.message.clear();
        match message {
            WriteMessage::V1 => self.put_v1(piece, slots),
            WriteMessage::V2 => self.put_v2(piece, slots, families),
        }
        Encoded { message, body: self.compress() }
    }

    fn put_v1(&mut self, piece: &Piece, slots: &Slots) {
        for run in piece.samples.chunk_by(|a, b| a.slot == b.slot) {
            wire::put_series(&mut self.message, slots.labels(run[0].slot), run, |entry| {
                (entry.t_ms, entry.value)
            });
        }
        for entry in &piece.others {
            let field = match entry.other.kind {
                OtherKind::Exemplar => 3,
                OtherKind::Histogram | OtherKind::CustomHistogram => 4,
            };
            wire::put_series_member(&mut self.message, slots.labels(entry.slot), field, &entry.other.encoded);
        }
    }

    fn put_v2(&mut self, piece: &Piece, slots: &Slots, families: &Families) {
        let Self { v2, order, .. } = self;
        v2.clear();
        order.clear();
        let waiting =
            |(at, entry): (usize, &OtherEntry)| Waiting { slot: entry.slot, at: at as u32, is_placed: false };
        order.extend(piece.others.iter().enumerate().map(waiting));
        order.sort_unstable_by_key(|waiting| (waiting.slot, waiting.at));
        for run in piece.samples.chunk_by(|a, b| a.slot == b.slot) {
            let labels = slots.labels(run[0].slot);
            v2.begin(labels);
            run.iter().for_each(|entry| v2.sample(entry.t_ms, entry.value, entry.start_ms));
            if !order.is_empty() {
                let first = order.partition_point(|waiting| waiting.slot < run[0].slot);
                let own = order[first..].iter_mut().take_while(|waiting| waiting.slot == run[0].slot);
                for waiting in own.filter(|waiting| !waiting.is_placed) {
                    let other = &piece.others[waiting.at as usize].other;
                    if other.kind == OtherKind::Exemplar {
                        v2.exemplar(&other.encoded);
                        waiting.is_placed = true;
                    }
                }
            }
            v2.metadata(families.of(labels));
            v2.end();
        }
        for run in order.chunk_by(|a, b| a.slot == b.slot) {
            if run.iter().all(|waiting| waiting.is_placed) {
                continue;
            }
            let labels = slots.labels(run[0].slot);
            v2.begin(labels);
            for waiting in run.iter().filter(|waiting| !waiting.is_placed) {
                let other = &piece.others[waiting.at as usize].other;
                match other.kind {
                    OtherKind::Exemplar => v2.exemplar(&other.encoded),
                    OtherKind::Histogram | OtherKind::CustomHistogram => {
                        v2.histogram(&other.encoded, other.start_ms);
                    }
                }
            }
            v2.metadata(families.of(labels));
            v2.end();
        }
        v2.put(&mut self.message);
    }

    /// Metadata entries as a compressed `WriteRequest` of 1.0.
    pub(crate) fn encode_metadata(&mut self, entries: &[(String, narthex_model::Metadata)]) -> Bytes {
        self.message.clear();
        entries.iter().for_each(|(family, metadata)| wire::put_metadata(&mut self.message, family, metadata));
        self.compress()
    }

    fn compress(&mut self) -> Bytes {
        let most = snap::raw::max_compress_len(self.message.len());
        if self.packed.len() < most {
            self.packed.resize(most, 0);
        }
        let len = self.snappy.compress(&self.message, &mut self.packed);
        let len =
            len.expect("the buffer has room, and a request is smaller than the 4 GiB that snappy takes");
        Bytes::copy_from_slice(&self.packed[..len])
    }
}
