//! From a piece to a compressed request in 1.0 or 2.0.
//!
//! In 2.0 the exemplars of a series stand beside its samples or histograms, as receivers take none alone; samples and histograms
//! of one series stand apart, in the order of their times (`job::rounds`). Buffers are reused; nothing is allocated per sample but what the request itself is.

use bytes::Bytes;
use narthex_config::WriteMessage;
use narthex_model::Labels;
use narthex_storage::LentVisitor;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Piece;
use super::rounds::rounds;
use crate::families::Families;
use crate::lane::OtherEntry;
use crate::packed::Packed;
use crate::place::Owner;
use crate::slots::Slots;
use crate::source::{OtherKind, Source};
use crate::texts::Texts;
use crate::wire::{self, v2};

/// Idle encoders that are kept.
const KEPT: usize = 2;
/// Series whose labels are fetched at once.
const TOGETHER: usize = 64;

/// Who knows the labels of a piece's series.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    /// Those of the endpoint's own numbers.
    pub(crate) slots: &'a Slots,
    /// Those of the others, if there are any.
    pub(crate) source: Option<&'a Source>,
}

impl Names<'_> {
    /// Makes `texts` the labels of these numbers.
    fn fetch(self, numbers: impl Iterator<Item = u32>, texts: &mut Texts) {
        texts.clear();
        let numbers: SmallVec<[u32; TOGETHER]> = numbers.collect();
        let is_own = |number: &u32| matches!(Owner::of(*number), Owner::Endpoint(_));
        for run in numbers.chunk_by(|a, b| is_own(a) == is_own(b)) {
            match self.source {
                Some(source) if !is_own(&run[0]) => source.labels(run, texts),
                _ => run.iter().for_each(|number| texts.push(self.slots.labels(*number))),
            }
        }
    }

    /// Calls `visit` with the labels of all numbers as numbers of the head's texts; `false` when they are not all in the head.
    fn lend(self, numbers: impl Iterator<Item = u32>, visit: &mut LentVisitor<'_>) -> bool {
        let numbers: SmallVec<[u32; TOGETHER]> = numbers.collect();
        let is_of_head = |number: &u32| matches!(Owner::of(*number), Owner::Head(_));
        numbers.iter().all(is_of_head) && self.source.is_some_and(|source| source.lend(&numbers, visit))
    }

    /// The external labels.
    fn external(self) -> Labels {
        self.source.map_or_else(Labels::empty, |source| source.external().clone())
    }

    /// The labels of one number.
    #[must_use]
    pub(crate) fn labels(self, number: u32) -> Vec<u8> {
        let mut texts = Texts::default();
        self.fetch(std::iter::once(number), &mut texts);
        texts.get(0).to_vec()
    }
}

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
    texts: Texts,
    packed: Packed,
    compressed: Vec<u8>,
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

/// Encoders that endpoints share: their buffers are as large as a request, and are needed for a millisecond each.
#[derive(Default)]
pub(crate) struct Encoders(Mutex<Vec<Encoder>>);

impl Encoders {
    /// Calls `work` with an encoder that nobody else has.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Encoder) -> T) -> T {
        let idle = self.0.lock().pop();
        let mut encoder = idle.unwrap_or_default();
        let done = work(&mut encoder);
        let mut idle = self.0.lock();
        if idle.len() < KEPT {
            idle.push(encoder);
        }
        done
    }
}

impl Default for Encoder {
    fn default() -> Self {
        let (message, texts, packed, compressed, v2, order) = Default::default();
        Self { message, texts, packed, compressed, snappy: snap::raw::Encoder::new(), v2, order }
    }
}

impl Encoder {
    /// A piece as a compressed request. `families` are for 2.0.
    pub(crate) fn encode(
        &mut self,
        piece: &Piece,
        names: Names<'_>,
        message: WriteMessage,
        families: &Families,
    ) -> Encoded {
        self.message.clear();
        let rounds = rounds(piece, |number| names.labels(number));
        let in_order = if rounds.is_empty() { std::slice::from_ref(piece) } else { &rounds[..] };
        match message {
            WriteMessage::V1 => {
                if rounds.is_empty() && self.pack_v1(piece, names) {
                    return Encoded { message, body: Bytes::copy_from_slice(self.packed.finish()) };
                }
                in_order.iter().for_each(|piece| self.put_v1(piece, names));
            }
            WriteMessage::V2 => {
                self.v2.clear();
                in_order.iter().for_each(|piece| self.put_v2(piece, names, families));
                self.v2.put(&mut self.message);
            }
        }
        Encoded { message, body: self.compress() }
    }

    /// Packs a piece whose series are all in the head; `false` when one is not.
    fn pack_v1(&mut self, piece: &Piece, names: Names<'_>) -> bool {
        let packed = &mut self.packed;
        let external = names.external();
        packed.clear();
        let mut all = true;
        in_batches(piece.samples.chunk_by(|a, b| a.slot == b.slot), |runs| {
            all = all
                && names.lend(runs.iter().map(|run| run[0].slot), &mut |at, labels, texts| {
                    packed.begin(labels, texts, &external);
                    packed.end_with_samples(runs[at], |entry| (entry.t_ms, entry.value));
                });
        });
        for entries in piece.others.chunks(TOGETHER) {
            all = all
                && names.lend(entries.iter().map(|entry| entry.slot), &mut |at, labels, texts| {
                    packed.begin(labels, texts, &external);
                    packed.end_with_member(field_of(entries[at].other.kind), &entries[at].other.encoded);
                });
        }
        all
    }

    fn put_v1(&mut self, piece: &Piece, names: Names<'_>) {
        let Self { message, texts, .. } = self;
        in_batches(piece.samples.chunk_by(|a, b| a.slot == b.slot), |runs| {
            names.fetch(runs.iter().map(|run| run[0].slot), texts);
            for (at, run) in runs.iter().enumerate() {
                wire::put_series(message, texts.get(at), run, |entry| (entry.t_ms, entry.value));
            }
        });
        for entries in piece.others.chunks(TOGETHER) {
            names.fetch(entries.iter().map(|entry| entry.slot), texts);
            for (at, entry) in entries.iter().enumerate() {
                let field = field_of(entry.other.kind);
                wire::put_series_member(message, texts.get(at), field, &entry.other.encoded);
            }
        }
    }

    fn put_v2(&mut self, piece: &Piece, names: Names<'_>, families: &Families) {
        let Self { texts, v2, order, .. } = self;
        order.clear();
        let waiting =
            |(at, entry): (usize, &OtherEntry)| Waiting { slot: entry.slot, at: at as u32, is_placed: false };
        order.extend(piece.others.iter().enumerate().map(waiting));
        order.sort_unstable_by_key(|waiting| (waiting.slot, waiting.at));
        in_batches(piece.samples.chunk_by(|a, b| a.slot == b.slot), |runs| {
            names.fetch(runs.iter().map(|run| run[0].slot), texts);
            for (at, run) in runs.iter().enumerate() {
                v2.begin(texts.get(at));
                run.iter().for_each(|entry| v2.sample(entry.t_ms, entry.value, entry.start_ms));
                put_exemplars(v2, order, run[0].slot, piece);
                v2.metadata(families.of(texts.get(at)));
                v2.end();
            }
        });
        let runs = order.chunk_by(|a, b| a.slot == b.slot);
        in_batches(runs.filter(|run| run.iter().any(|waiting| !waiting.is_placed)), |runs| {
            names.fetch(runs.iter().map(|run| run[0].slot), texts);
            for (at, run) in runs.iter().enumerate() {
                v2.begin(texts.get(at));
                for waiting in run.iter().filter(|waiting| !waiting.is_placed) {
                    let other = &piece.others[waiting.at as usize].other;
                    match other.kind {
                        OtherKind::Exemplar => v2.exemplar(&other.encoded),
                        OtherKind::Histogram | OtherKind::CustomHistogram => {
                            v2.histogram(&other.encoded, other.start_ms);
                        }
                    }
                }
                v2.metadata(families.of(texts.get(at)));
                v2.end();
            }
        });
    }

    /// Metadata entries as a compressed `WriteRequest` of 1.0.
    pub(crate) fn encode_metadata(&mut self, entries: &[(String, narthex_model::Metadata)]) -> Bytes {
        self.message.clear();
        entries.iter().for_each(|(family, metadata)| wire::put_metadata(&mut self.message, family, metadata));
        self.compress()
    }

    fn compress(&mut self) -> Bytes {
        let most = snap::raw::max_compress_len(self.message.len());
        if self.compressed.len() < most {
            self.compressed.resize(most, 0);
        }
        let len = self.snappy.compress(&self.message, &mut self.compressed);
        let len =
            len.expect("the buffer has room, and a request is smaller than the 4 GiB that snappy takes");
        Bytes::copy_from_slice(&self.compressed[..len])
    }
}

/// The field of a series in 1.0.
fn field_of(kind: OtherKind) -> u8 {
    match kind {
        OtherKind::Exemplar => 3,
        OtherKind::Histogram | OtherKind::CustomHistogram => 4,
    }
}

/// Calls `put` with all items, [`TOGETHER`] at a time.
fn in_batches<T>(mut items: impl Iterator<Item = T>, mut put: impl FnMut(&[T])) {
    loop {
        let batch: SmallVec<[T; TOGETHER]> = items.by_ref().take(TOGETHER).collect();
        if batch.is_empty() {
            return;
        }
        put(&batch);
    }
}

/// Puts the exemplars of a series beside its samples.
fn put_exemplars(v2: &mut v2::Request, order: &mut [Waiting], slot: u32, piece: &Piece) {
    if order.is_empty() {
        return;
    }
    let first = order.partition_point(|waiting| waiting.slot < slot);
    let own = order[first..].iter_mut().take_while(|waiting| waiting.slot == slot);
    for waiting in own.filter(|waiting| !waiting.is_placed) {
        let other = &piece.others[waiting.at as usize].other;
        if other.kind == OtherKind::Exemplar {
            v2.exemplar(&other.encoded);
            waiting.is_placed = true;
        }
    }
}
