//! The message `Exemplar` of protocol 1.0, and how the labels of either protocol become an exemplar.

use narthex_model::{Exemplar, Labels};

use super::label_set::{RawLabel, read_label};
use super::wire::{DecodeError, Reader};

/// An exemplar with longer labels is not stored: OpenMetrics allows 128 characters.
const MAX_BYTES: usize = 128 * 4;

/// Reads value and timestamp (ms) and hands out the labels in their order; texts need not be UTF-8.
pub(super) fn read_exemplar<'a>(
    mut reader: Reader<'a>,
    mut label: impl FnMut(RawLabel<'a>),
) -> Result<(f64, i64), DecodeError> {
    let (mut value, mut t_ms) = (0.0, 0);
    while let Some(key) = reader.key("Exemplar")? {
        match key.field {
            1 => {
                let place = reader.block(key, "Labels")?;
                label(read_label(reader.nested(place))?);
            }
            2 => value = reader.float(key, "Value")?,
            3 => t_ms = reader.number(key, "Timestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    Ok((value, t_ms))
}

/// An exemplar of these labels; `None` when a text is not UTF-8, a name stands there twice, or they are longer than any that are
/// stored. COMPAT: who sent such an exemplar is not told.
pub(super) fn exemplar(mut pairs: Vec<RawLabel<'_>>, value: f64, t_ms: i64) -> Option<Exemplar> {
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_BYTES {
        return None;
    }
    pairs.sort_by_key(|(name, _)| *name);
    if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let texts: Option<Vec<_>> = pairs
        .iter()
        .map(|(name, value)| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?)))
        .collect();
    Some(Exemplar { labels: Labels::from_pairs(texts?), value, t_ms: Some(t_ms) })
}
