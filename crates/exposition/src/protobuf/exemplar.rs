//! The message `Exemplar`: read when it stands there, its labels only when somebody asks for them.

use narthex_model::LabelsBuilder;

use super::key::label_pair;
use super::metric::timestamp_ms;
use super::wire::{Reader, Wrong};

/// An exemplar whose labels are still in the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawExemplar<'b> {
    bytes: &'b [u8],
    pub(super) value: f64,
    pub(super) t_ms: Option<i64>,
}

impl<'b> RawExemplar<'b> {
    pub(super) fn parse(bytes: &'b [u8]) -> Result<Self, Wrong> {
        let mut reader = Reader::new(bytes);
        let mut exemplar = Self { bytes, value: 0.0, t_ms: None };
        while let Some(tag) = reader.tag("Exemplar")? {
            match tag.field {
                1 => drop(label_pair(reader.bytes(tag, "Label")?)?),
                2 => exemplar.value = reader.double(tag, "Value")?,
                3 => exemplar.t_ms = Some(timestamp_ms(reader.bytes(tag, "Timestamp")?)?),
                _ => reader.skip(tag)?,
            }
        }
        Ok(exemplar)
    }

    /// Sets the labels on `builder`; `false` when they are not UTF-8.
    pub(super) fn labels(&self, builder: &mut LabelsBuilder) -> bool {
        let mut reader = Reader::new(self.bytes);
        while let Ok(Some(tag)) = reader.tag("Exemplar") {
            if tag.field != 1 {
                if reader.skip(tag).is_err() {
                    return false;
                }
                continue;
            }
            let Ok((name, value)) = reader.bytes(tag, "Label").and_then(label_pair) else { return false };
            match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                (Ok(name), Ok(value)) => drop(builder.set(name, value)),
                _ => return false,
            }
        }
        true
    }
}
