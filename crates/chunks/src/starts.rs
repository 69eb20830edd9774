//! Start timestamps within a chunk: when the counter of each sample began.
//!
//! A header byte says whether sample 0 has one and from which sample on they are written at all; most chunks of a counter
//! that does not restart need no more than the first. Each is kept as distance to the timestamp of the sample before.
//! Always true: where sample 0 has one, they are written from sample 127 on, as the header's seven bits name no later one.
//! COMPAT: Prometheus writes them from there on even when there was none at all; we begin a new chunk when the first one
//! comes that late ([`StartWriter::takes`]), and readers see the same.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`, "Start timestamp encoding".

use crate::bits::{BitReader, End, PutBits};

const FIRST_KNOWN: u8 = 0x80;
/// The last sample that the header can name.
const LATEST_CHANGE: u32 = 127;

/// The writing half.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartWriter {
    last_ms: i64,
    distance_ms: i64,
    header: u8,
}

impl StartWriter {
    /// A writer that goes on: the header so far, start timestamp and distance of the newest sample.
    pub(crate) fn resume(header: u8, last_ms: i64, distance_ms: i64) -> Self {
        Self { last_ms, distance_ms, header }
    }

    /// The byte for the chunk's header.
    pub(crate) fn header(&self) -> u8 {
        self.header
    }

    /// The start timestamp of the newest sample, ms; 0 for none.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Whether sample number `at` may have this start timestamp.
    pub(crate) fn takes(&self, at: u32, start_ms: i64) -> bool {
        self.header != 0 || start_ms == 0 || at <= LATEST_CHANGE
    }

    /// Appends the start timestamp of sample number `at` (from 0) at `t_ms`; `before_ms` is the timestamp of the sample before.
    pub(crate) fn write(
        &mut self,
        at: u32,
        (before_ms, t_ms): (i64, i64),
        start_ms: i64,
        out: &mut impl PutBits,
    ) {
        if at == 0 {
            if start_ms != 0 {
                self.header = FIRST_KNOWN;
                out.put_varint(t_ms.wrapping_sub(start_ms));
            }
        } else if self.header & !FIRST_KNOWN != 0 {
            let distance_ms = before_ms.wrapping_sub(start_ms);
            out.put_varbit(distance_ms.wrapping_sub(self.distance_ms));
            self.distance_ms = distance_ms;
        } else if start_ms != self.last_ms || at == LATEST_CHANGE && self.header != 0 {
            self.header |= at as u8;
            self.distance_ms = before_ms.wrapping_sub(start_ms);
            out.put_varbit(self.distance_ms);
        }
        self.last_ms = start_ms;
    }
}

/// The reading half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartReader {
    start_ms: i64,
    distance_ms: i64,
    first_known: bool,
    /// The first sample behind sample 0 that has one; `u32::MAX` for none.
    changed_on: u32,
}

impl StartReader {
    pub(crate) fn new(header: u8) -> Self {
        let changed_on = u32::from(header & !FIRST_KNOWN);
        Self {
            start_ms: 0,
            distance_ms: 0,
            first_known: header & FIRST_KNOWN != 0,
            changed_on: if changed_on == 0 { u32::MAX } else { changed_on },
        }
    }

    /// The start timestamp of the newest sample, ms; 0 for none.
    pub(crate) fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// Reads what belongs to sample number `at` (from 0) at `t_ms`; `before_ms` is the timestamp of the sample before.
    #[inline]
    pub(crate) fn read(
        &mut self,
        at: u32,
        (before_ms, t_ms): (i64, i64),
        reader: &mut BitReader<'_>,
    ) -> Result<(), End> {
        if at == 0 {
            if self.first_known {
                self.start_ms = t_ms.wrapping_sub(reader.varint()?);
            }
        } else if at >= self.changed_on {
            let change = reader.varbit()?;
            self.distance_ms =
                if at == self.changed_on { change } else { self.distance_ms.wrapping_add(change) };
            self.start_ms = before_ms.wrapping_sub(self.distance_ms);
        }
        Ok(())
    }
}
