//! A pass over a body whose lines are not those of the last one: new, gone or in another order.
//!
//! Holds, for this pass only: all lines whole, old ones first, a hash map from bytes to line, which old lines were seen, and
//! the order of this body. It costs a hash and a look-up a line; the next body is compared line by line again.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

use super::front_coded::{FrontCoded, Walk};
use super::{Place, Slot};

/// Marks a line of `order` that already stood in this body.
const AGAIN: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct Changed {
    /// The bytes of all lines, one behind the other; line `i` ends at `ends[i]`. Line `i` belongs to slot `i`.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: RandomState,
    seen: Vec<bool>,
    /// The lines of this body in their order.
    order: Vec<u32>,
    /// The old line that probably comes next.
    expected: usize,
    /// How many lines are old.
    old: usize,
}

impl Changed {
    /// A pass that saw the first `at` old lines in their places.
    pub(super) fn after(at: usize, lines: &FrontCoded, slots: &[Slot]) -> Self {
        let mut this = Self::unbelieved(0);
        let mut walk = Walk::default();
        while walk.advance(lines) {
            let line = this.ends.len();
            this.bytes.extend_from_slice(walk.line());
            this.ends.push(this.bytes.len());
            // Of lines with the same bytes the first one answers.
            if !slots[line].is_again() {
                this.insert(line);
            }
        }
        this.old = this.ends.len();
        this.seen = vec![false; this.old];
        this.seen[..at].fill(true);
        this.order =
            (0..at).map(|line| number(line) | if slots[line].is_again() { AGAIN } else { 0 }).collect();
        this.expected = at;
        this
    }

    /// A pass that believes none of `old` lines: they are only there to be missed.
    pub(super) fn unbelieved(old: usize) -> Self {
        Self {
            bytes: Vec::new(),
            ends: vec![0; old],
            index: HashTable::new(),
            hasher: RandomState::default(),
            seen: vec![false; old],
            order: Vec::new(),
            expected: usize::MAX,
            old,
        }
    }

    /// The bytes of the line that probably comes next, or none.
    pub(super) fn expected(&self) -> &[u8] {
        if self.expected < self.old { self.line(self.expected) } else { &[] }
    }

    pub(super) fn place(&mut self, raw: &[u8], slots: &[Slot]) -> Place {
        let as_expected = self.expected < self.old
            && !self.seen[self.expected]
            && !slots[self.expected].is_again()
            && self.line(self.expected) == raw;
        let found = if as_expected { Some(self.expected) } else { self.look_up(raw) };
        let Some(line) = found else { return Place::New };
        if line >= self.old || self.seen[line] {
            self.order.push(number(line) | AGAIN);
            self.expected = self.expected.saturating_add(1);
            return Place::Again(line);
        }
        self.seen[line] = true;
        self.order.push(number(line));
        self.expected = line + 1;
        Place::Known(line)
    }

    /// Adds a new line, which belongs to the next slot.
    pub(super) fn add(&mut self, raw: &[u8]) {
        let line = self.ends.len();
        self.bytes.extend_from_slice(raw);
        self.ends.push(self.bytes.len());
        self.order.push(number(line));
        self.insert(line);
    }

    /// The slots of old lines that did not come.
    pub(super) fn unseen(&self, slots: &[Slot]) -> Vec<Slot> {
        let gone = slots.iter().zip(&self.seen).filter(|(_, seen)| !**seen);
        gone.map(|(slot, _)| *slot).collect()
    }

    /// The lines and slots of this body, in its order.
    pub(super) fn into_order(self, slots: &[Slot]) -> (FrontCoded, Vec<Slot>) {
        let mut lines = FrontCoded::default();
        let mut ordered = Vec::with_capacity(self.order.len());
        let mut before: &[u8] = &[];
        for entry in &self.order {
            let (line, again) = ((entry & !AGAIN) as usize, entry & AGAIN != 0);
            let raw = self.line(line);
            lines.push(before, raw);
            before = raw;
            ordered.push(if again { slots[line].again() } else { slots[line] });
        }
        lines.shrink();
        (lines, ordered)
    }

    fn line(&self, line: usize) -> &[u8] {
        let start = if line == 0 { 0 } else { self.ends[line - 1] };
        &self.bytes[start..self.ends[line]]
    }

    fn look_up(&self, raw: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(raw);
        self.index.find(hash, |line| self.line(*line as usize) == raw).map(|line| *line as usize)
    }

    fn insert(&mut self, line: usize) {
        let Self { bytes, ends, index, hasher, .. } = self;
        let raw = |line: usize| &bytes[if line == 0 { 0 } else { ends[line - 1] }..ends[line]];
        let hash = hasher.hash_one(raw(line));
        index.insert_unique(hash, number(line), |line| hasher.hash_one(raw(*line as usize)));
    }
}

/// Bodies are far below two thousand million lines: a line has two bytes at least, and a body fits in memory.
fn number(line: usize) -> u32 {
    u32::try_from(line).ok().filter(|n| n & AGAIN == 0).expect("a body has fewer than 2^31 lines")
}
