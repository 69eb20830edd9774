//! What an endpoint reads when the log is no longer kept for it: the database, a slice of time after the other.
//!
//! Always true: a slice holds all samples of its range that the view shows, each series in order; its range is narrowed so that
//! it holds no more than about twice what was asked for, whatever lies in it, but for one moment of all series.
//! Must not know: lanes, requests, the log. Who has blocks and a head says so through [`Backlog`].

use narthex_chunks::{ChunkValue, Encoding, for_each, merge_chunks};
use narthex_model::Labels;
use narthex_storage::{Querier, QueryError, SampleBatch, SelectHints, SeriesSet};

use crate::source::OtherKind;
use crate::wire;

/// The database behind the log.
pub trait Backlog: Send + Sync {
    /// A view of `[mint_ms, maxt_ms]` that has everything that was acknowledged in the log before the call.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn view(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError>;

    /// Times of the oldest and the newest sample, ms; `None` without samples.
    fn span_ms(&self) -> Option<(i64, i64)>;
}

/// The endpoint's number of a series and its lane.
pub(crate) type Place = (u32, u16);

/// A histogram of a slice.
pub(crate) struct SliceHistogram {
    pub(crate) place: Place,
    pub(crate) t_ms: i64,
    /// When its counter started, ms; 0 when that is not known.
    pub(crate) start_ms: i64,
    pub(crate) kind: OtherKind,
    pub(crate) encoded: Vec<u8>,
}

/// What the database has in `[from, end_ms)`.
#[derive(Default)]
pub(crate) struct Slice {
    /// Place, time (ms), start time (0: not known), value; series after series.
    pub(crate) floats: Vec<(Place, i64, i64, f64)>,
    pub(crate) histograms: Vec<SliceHistogram>,
    /// Exclusive; at most what was asked for.
    pub(crate) end_ms: i64,
    /// How many series the range may have.
    pub(crate) series: usize,
    /// What could not be read: how many series, and the first reason.
    pub(crate) unreadable: Option<(u64, String)>,
}

impl Slice {
    fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Gives up the later half of the range, as often as there is too much.
    fn narrow(&mut self, from_ms: i64, newest_ms: i64, most: usize) {
        while self.len() > most {
            let end_ms = self.end_ms.min(newest_ms.saturating_add(1));
            let width_ms = end_ms.saturating_sub(from_ms);
            if width_ms <= 1 {
                return;
            }
            self.end_ms = from_ms + width_ms / 2;
            let end_ms = self.end_ms;
            self.floats.retain(|(_, t_ms, ..)| *t_ms < end_ms);
            self.histograms.retain(|histogram| histogram.t_ms < end_ms);
        }
    }
}

/// What is to be read.
pub(crate) struct Wish {
    /// Inclusive, ms.
    pub(crate) from_ms: i64,
    /// Exclusive, ms; `i64::MAX` for all there is.
    pub(crate) end_ms: i64,
    /// The newest sample of the database, ms.
    pub(crate) newest_ms: i64,
    /// Samples that are enough.
    pub(crate) samples: usize,
    /// Whether histograms are wanted.
    pub(crate) histograms: bool,
}

/// Reads a slice. `place` says where a series goes, or that it is not wanted.
///
/// # Errors
/// The database cannot say which series there are; a series that cannot be read is in the slice's `unreadable`.
pub(crate) fn read_slice(
    view: &dyn Querier,
    wish: &Wish,
    mut place: impl FnMut(&Labels) -> Option<Place>,
) -> Result<Slice, QueryError> {
    let hints = SelectHints {
        start_ms: wish.from_ms,
        end_ms: wish.end_ms.saturating_sub(1),
        ..SelectHints::default()
    };
    let set = view.select(&hints, &[])?;
    let mut slice = Slice { end_ms: wish.end_ms, series: set.len(), ..Slice::default() };
    let mut batch = SampleBatch::default();
    for at in 0..set.len() {
        let last_ms = slice.end_ms.saturating_sub(1);
        batch.clear();
        let read = set.read(at, wish.from_ms, last_ms, &mut batch).map_err(|error| error.to_string());
        let read = read.and_then(|()| {
            if batch.is_empty() {
                return Ok(());
            }
            let Some(place) = place(&set.labels(at)) else { return Ok(()) };
            for (i, (t_ms, value)) in batch.t_ms.iter().zip(&batch.values).enumerate() {
                let start_ms = batch.start_ms.get(i).copied().unwrap_or(0);
                slice.floats.push((place, *t_ms, start_ms, *value));
            }
            if wish.histograms && !batch.histograms.is_empty() {
                read_histograms(&*set, at, (wish.from_ms, last_ms), place, &mut slice.histograms)?;
            }
            Ok(())
        });
        if let Err(reason) = read {
            slice.unreadable.get_or_insert((0, reason)).0 += 1;
        }
        if slice.len() > wish.samples.saturating_mul(2) {
            slice.narrow(wish.from_ms, wish.newest_ms, wish.samples);
        }
    }
    Ok(slice)
}

/// Histograms as they were stored: a batch has them all with float counts.
fn read_histograms(
    set: &dyn SeriesSet,
    at: usize,
    range: (i64, i64),
    place: Place,
    out: &mut Vec<SliceHistogram>,
) -> Result<(), String> {
    let (mut chunks, mut whole) = (Vec::new(), Vec::new());
    set.chunks(at, range.0, range.1, &mut chunks).map_err(|error| error.to_string())?;
    merge_chunks(chunks, range, |chunk| whole.push(chunk)).map_err(|error| error.to_string())?;
    for chunk in whole {
        let encoding = Encoding::try_from(chunk.encoding).map_err(|error| error.to_string())?;
        let read = for_each(encoding, &chunk.bytes, range, |sample| {
            let mut encoded = Vec::new();
            let schema = match sample.value {
                ChunkValue::Float(_) => return,
                ChunkValue::Histogram(histogram) => {
                    wire::put_histogram(&mut encoded, sample.t_ms, histogram);
                    histogram.schema
                }
                ChunkValue::FloatHistogram(histogram) => {
                    wire::put_float_histogram(&mut encoded, sample.t_ms, histogram);
                    histogram.schema
                }
            };
            out.push(SliceHistogram {
                place,
                t_ms: sample.t_ms,
                start_ms: sample.start_ms,
                kind: OtherKind::of_schema(schema),
                encoded,
            });
        });
        read.map_err(|error| error.to_string())?;
    }
    Ok(())
}
