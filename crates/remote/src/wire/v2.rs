//! The protobuf message `io.prometheus.write.v2.Request` of remote write 2.0, written by hand.
//!
//! Holds: the table of symbols and the series of one request, in buffers that serve the next one too. What the log's decoder made
//! for 1.0 is used again: labels are looked up in the table, the fields of a histogram are the same, and those of an exemplar but
//! for its labels. Must not know: queues, HTTP, compression.
//! Always true: symbol 0 is the empty string; each text stands in the table once; the table stands before the series.
//! Cost: a hash and a comparison for each name and value of a series, nothing but its bytes for a sample; no allocation once the
//! buffers are grown.
//! Facts: `prompb/io/prometheus/write/v2/types.proto`, the remote write 2.0 specification. Oracle of the tests: prost.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use narthex_model::Metadata;

use super::{
    BYTES, FIXED64, VARINT, metric_type, put_bytes, put_key, put_number, put_varint, raw_labels, varint_len,
};

/// A request while it is made: [`begin`](Self::begin), then members, then [`end`](Self::end) for each series.
#[derive(Default)]
pub(crate) struct Request {
    /// The table as fields of the message.
    symbols: Vec<u8>,
    /// Where in `symbols` each text lies.
    texts: Vec<(u32, u32)>,
    numbers: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// The finished series as fields of the message.
    series: Vec<u8>,
    /// The members of the series at hand.
    members: Vec<u8>,
    /// Numbers of symbols, packed.
    refs: Vec<u8>,
    exemplar: Vec<u8>,
}

impl Request {
    /// Begins a request.
    pub(crate) fn clear(&mut self) {
        self.symbols.clear();
        self.texts.clear();
        self.numbers.clear();
        self.series.clear();
        put_bytes(&mut self.symbols, 4, b"");
        self.texts.push((self.symbols.len() as u32, 0));
    }

    /// Begins a series. `labels` is what [`put_label`](super::put_label) wrote.
    pub(crate) fn begin(&mut self, labels: &[u8]) {
        self.members.clear();
        self.put_refs(labels);
        put_bytes(&mut self.members, 1, &self.refs);
    }

    /// A sample of the series; `start_ms` 0 is none.
    #[inline]
    pub(crate) fn sample(&mut self, t_ms: i64, value: f64, start_ms: i64) {
        let start = if start_ms == 0 { 0 } else { 1 + varint_len(start_ms as u64) };
        let out = &mut self.members;
        put_key(out, 2, BYTES);
        out.push((9 + 1 + varint_len(t_ms as u64) + start) as u8);
        put_key(out, 1, FIXED64);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
        put_key(out, 2, VARINT);
        put_varint(out, t_ms as u64);
        if start_ms != 0 {
            put_number(out, 3, start_ms as u64);
        }
    }

    /// A histogram of the series: what [`put_histogram`](super::put_histogram) or its twin wrote.
    pub(crate) fn histogram(&mut self, fields: &[u8], start_ms: i64) {
        let start = if start_ms == 0 { 0 } else { 2 + varint_len(start_ms as u64) };
        put_key(&mut self.members, 3, BYTES);
        put_varint(&mut self.members, (fields.len() + start) as u64);
        self.members.extend_from_slice(fields);
        if start_ms != 0 {
            put_number(&mut self.members, 17, start_ms as u64);
        }
    }

    /// An exemplar of the series: what [`put_exemplar`](super::put_exemplar) wrote.
    pub(crate) fn exemplar(&mut self, fields: &[u8]) {
        let rest = self.put_refs(fields);
        let mut exemplar = std::mem::take(&mut self.exemplar);
        exemplar.clear();
        put_bytes(&mut exemplar, 1, &self.refs);
        exemplar.extend_from_slice(rest);
        put_bytes(&mut self.members, 4, &exemplar);
        self.exemplar = exemplar;
    }

    /// What the series' family is, if that is known.
    pub(crate) fn metadata(&mut self, metadata: Option<&Metadata>) {
        let Some(metadata) = metadata else { return };
        let (help, unit) = (self.number(metadata.help.as_bytes()), self.number(metadata.unit.as_bytes()));
        let kind = u64::from(metric_type(metadata.kind));
        let field = |number: u64| if number == 0 { 0 } else { 1 + varint_len(number) };
        put_key(&mut self.members, 5, BYTES);
        put_varint(&mut self.members, (field(kind) + field(u64::from(help)) + field(u64::from(unit))) as u64);
        for (at, number) in [(1, kind), (3, u64::from(help)), (4, u64::from(unit))] {
            if number != 0 {
                put_number(&mut self.members, at, number);
            }
        }
    }

    /// Ends the series.
    pub(crate) fn end(&mut self) {
        put_bytes(&mut self.series, 5, &self.members);
    }

    /// Appends the message.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.symbols);
        out.extend_from_slice(&self.series);
    }

    /// Makes `refs` those of the labels that `fields` begins with; what stands behind them.
    fn put_refs<'a>(&mut self, fields: &'a [u8]) -> &'a [u8] {
        let mut refs = std::mem::take(&mut self.refs);
        refs.clear();
        let mut labels = raw_labels(fields);
        for (name, value) in &mut labels {
            put_varint(&mut refs, u64::from(self.number(name)));
            put_varint(&mut refs, u64::from(self.number(value)));
        }
        self.refs = refs;
        labels.rest()
    }

    /// The number of a text, a new one if it has none.
    fn number(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let Self { symbols, texts, numbers, hasher, .. } = self;
        let text_of = |number: u32| {
            let (at, len) = texts[number as usize];
            &symbols[at as usize..][..len as usize]
        };
        let hash = hasher.hash_one(text);
        if let Some(number) = numbers.find(hash, |number| text_of(*number) == text) {
            return *number;
        }
        let number = texts.len() as u32;
        numbers.insert_unique(hash, number, |number| hasher.hash_one(text_of(*number)));
        put_bytes(symbols, 4, text);
        texts.push(((symbols.len() - text.len()) as u32, text.len() as u32));
        number
    }
}

#[cfg(test)]
mod tests;
