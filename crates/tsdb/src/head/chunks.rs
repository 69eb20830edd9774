//! A series of the head as chunks, for those who pass them on: those in order, then the late ones.
//!
//! What a view does not show is named as hidden and not taken out, so that most chunks stay the bytes that they are.
//! The view keeps what it shows: neither truncation nor the sealing of late samples takes anything away between the two looks.

use std::borrow::Cow;

use narthex_storage::{QueryError, SeriesRef, StoredChunk};

use super::Head;
use super::late::merge::LateCopy;
use super::late::seal::encode;
use super::query::View;
use super::slab::{Slot, generation, place};
use super::source::copy_series;
use crate::compact::source::SourceSeries;
use narthex_chunks::FloatEncoding;

impl Head {
    /// Appends the chunks that may have something to show in a closed range.
    pub(super) fn copy_chunks<'a>(
        &self,
        series: SeriesRef,
        view: &View,
        range: (i64, i64),
        out: &mut Vec<StoredChunk<'a>>,
    ) -> Result<(), QueryError> {
        let late = self.late_copy(series, view, range);
        let in_order = (range.0.max(view.floor_ms), range.1);
        let mut copied = SourceSeries::default();
        copy_series(self, view, in_order, series, i64::MAX, &mut copied)?;
        if view.floor_ms > i64::MIN {
            copied.deleted.push((i64::MIN, view.floor_ms - 1));
        }
        for chunk in &copied.chunks {
            let touches = |gone: &&(i64, i64)| gone.0 <= chunk.max_ms && chunk.min_ms <= gone.1;
            out.push(StoredChunk {
                min_ms: chunk.min_ms,
                max_ms: chunk.max_ms,
                encoding: chunk.encoding as u8,
                bytes: Cow::Owned(copied.chunk(chunk).to_vec()),
                hidden: copied.deleted.iter().filter(touches).copied().collect(),
                source: 0,
            });
        }
        push_late(&late, out).map_err(|error| self.corrupt(series, &error))
    }

    fn late_copy(&self, series: SeriesRef, view: &View, range: (i64, i64)) -> LateCopy {
        let (slot, mut copy) = (series.0 as Slot, LateCopy::default());
        if let Some(page) = self.slab.page(slot)
            && let Some(rows) = page.lock(place(slot), generation(series))
            && let Some(late) = rows.series(place(slot)).late()
        {
            copy.take(late, view.snapshot.seq(), range, self.chunk_files.get());
        }
        copy
    }
}

/// Late samples overlap each other and those in order.
fn push_late(
    late: &LateCopy,
    out: &mut Vec<StoredChunk<'_>>,
) -> Result<(), super::late::merge::LateReadError> {
    let mut times = late.chunk_times();
    late.for_each_chunk(|_, mapped| {
        let (min_ms, max_ms) = times.next().unwrap_or((i64::MIN, i64::MAX));
        let bytes = Cow::Owned(mapped.bytes().to_vec());
        out.push(StoredChunk {
            min_ms,
            max_ms,
            encoding: mapped.encoding as u8,
            bytes,
            hidden: Vec::new(),
            source: 0,
        });
        Ok(())
    })?;
    out.extend(encode(late.list(), FloatEncoding::Xor).into_iter().map(|sealed| StoredChunk {
        min_ms: sealed.min_ms,
        max_ms: sealed.max_ms,
        encoding: sealed.encoding as u8,
        bytes: Cow::Owned(sealed.bytes.into()),
        hidden: Vec::new(),
        source: 0,
    }));
    Ok(())
}
