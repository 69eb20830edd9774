//! The message `Exemplar` of a request.

use narthex_model::{Exemplar, Labels};

use super::label_set::read_label;
use super::wire::{DecodeError, Reader};

/// Reads value and timestamp (ms) and hands out the labels in their order; texts need not be UTF-8.
pub(super) fn read_exemplar<'a>(
    mut reader: Reader<'a>,
    mut label: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<(f64, i64), DecodeError> {
    let (mut value, mut t_ms) = (0.0, 0);
    while let Some(key) = reader.key("Exemplar")? {
        match key.field {
            1 => {
                let place = reader.block(key, "Labels")?;
                let (name, text) = read_label(reader.nested(place))?;
                label(name, text);
            }
            2 => value = reader.float(key, "Value")?,
            3 => t_ms = reader.number(key, "Timestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    Ok((value, t_ms))
}

/// The exemplar in a message; `None` when a label's text is not UTF-8.
pub(super) fn exemplar(reader: Reader<'_>) -> Result<Option<Exemplar>, DecodeError> {
    let mut pairs = Vec::new();
    let mut readable = true;
    let (value, t_ms) =
        read_exemplar(reader, |name, text| match (std::str::from_utf8(name), std::str::from_utf8(text)) {
            (Ok(name), Ok(text)) => pairs.push((name, text)),
            _ => readable = false,
        })?;
    Ok(readable.then(|| Exemplar { labels: Labels::from_pairs(pairs), value, t_ms: Some(t_ms) }))
}
