//! Exemplars: reference and timestamp as differences to the first one, the value, the exemplar's own labels.

use narthex_model::Exemplar;
use narthex_storage::SeriesRef;

use super::labels::put_labels;
use super::{DecodeError, LabelPairs, RecordType};
use crate::bytes::{Fault, Input, put_be64, put_f64, put_varint};

/// An exemplar of a numbered series, its labels still in the record.
#[derive(Clone, Copy, Debug)]
pub struct RefExemplar<'a> {
    /// The series' number.
    pub series: SeriesRef,
    /// Milliseconds since the epoch.
    pub t_ms: i64,
    /// The value that was observed.
    pub value: f64,
    /// The exemplar's own labels.
    pub labels: LabelPairs<'a>,
}

impl RefExemplar<'_> {
    /// The exemplar with labels of its own.
    #[must_use]
    pub fn to_exemplar(&self) -> Exemplar {
        Exemplar { labels: self.labels.to_labels(), value: self.value, t_ms: Some(self.t_ms) }
    }
}

/// Appends one exemplars record; nothing for an empty slice. An exemplar without a timestamp is written with 0.
pub fn encode_exemplars(exemplars: &[(SeriesRef, &Exemplar)], out: &mut Vec<u8>) {
    if !exemplars.is_empty() {
        out.push(RecordType::Exemplars.byte());
        put_exemplars(exemplars, out);
    }
}

/// What follows the type byte, here and in snapshots.
pub(super) fn put_exemplars(exemplars: &[(SeriesRef, &Exemplar)], out: &mut Vec<u8>) {
    let Some((first_series, first)) = exemplars.first() else { return };
    let first_t_ms = first.t_ms.unwrap_or(0);
    put_be64(out, first_series.0);
    put_be64(out, first_t_ms as u64);
    for (series, exemplar) in exemplars {
        put_varint(out, series.0.wrapping_sub(first_series.0) as i64);
        put_varint(out, exemplar.t_ms.unwrap_or(0).wrapping_sub(first_t_ms));
        put_f64(out, exemplar.value);
        put_labels(out, &exemplar.labels);
    }
}

/// Hands each exemplar of a record to `visit`.
///
/// # Errors
/// A malformed record; exemplars before the fault were handed out.
pub fn decode_exemplars(record: &[u8], mut visit: impl FnMut(RefExemplar<'_>)) -> Result<(), DecodeError> {
    if RecordType::of(record) != RecordType::Exemplars {
        return Err(DecodeError::wrong_type(record));
    }
    let mut input = Input::new(record);
    input.skip_seen(1);
    walk_exemplars(&mut input, &mut visit).map_err(|fault| DecodeError::new(record, fault))
}

pub(super) fn walk_exemplars<'a>(
    input: &mut Input<'a>,
    visit: &mut impl FnMut(RefExemplar<'a>),
) -> Result<(), Fault> {
    if input.is_empty() {
        return Ok(());
    }
    let first_series = input.be64()?;
    let first_t_ms = input.be64()? as i64;
    while !input.is_empty() {
        visit(RefExemplar {
            series: SeriesRef(first_series.wrapping_add(input.varint()? as u64)),
            t_ms: first_t_ms.wrapping_add(input.varint()?),
            value: input.f64()?,
            labels: LabelPairs::take(input)?,
        });
    }
    Ok(())
}
