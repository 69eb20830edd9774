//! Labels of a series as they came, made into a label set or refused.
//!
//! COMPAT: which sets are refused, and that an empty value means "no such label" only after duplicates were looked for, is as in
//! Prometheus' receiver. Runs once for each new series, not for each sample.

use narthex_model::{Labels, METRIC_NAME};

use super::wire::{DecodeError, Reader};

/// A series' labels, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelSet {
    /// Fit to be stored.
    Valid(Labels),
    /// No metric name, or an empty one, an empty label name, text that is not UTF-8, or a label twice.
    /// Holds what to log.
    Invalid(String),
}

/// Reads the label fields among the fields of a series.
pub(super) fn read_labels(mut reader: Reader<'_>) -> Result<LabelSet, DecodeError> {
    let mut pairs = Vec::with_capacity(16);
    while let Some(key) = reader.key("TimeSeries")? {
        if key.field == 1 {
            let place = reader.block(key, "Labels")?;
            pairs.push(read_label(reader.nested(place))?);
        } else {
            reader.skip(key)?;
        }
    }
    Ok(judge(&mut pairs))
}

/// Reads one `Label`: name and value.
pub(super) fn read_label(mut reader: Reader<'_>) -> Result<(&[u8], &[u8]), DecodeError> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    while let Some(key) = reader.key("Label")? {
        match key.field {
            1 => name = reader.text(key, "Name")?,
            2 => value = reader.text(key, "Value")?,
            _ => reader.skip(key)?,
        }
    }
    Ok((name, value))
}

fn judge(pairs: &mut [(&[u8], &[u8])]) -> LabelSet {
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        pairs.sort_by_key(|(name, _)| *name);
    }
    let mut texts = Vec::with_capacity(pairs.len());
    for (name, value) in pairs.iter() {
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) if !name.is_empty() => texts.push((name, value)),
            _ => return refuse(pairs),
        }
    }
    let named = texts.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty());
    let unique = texts.windows(2).all(|pair| pair[0].0 != pair[1].0);
    if !named || !unique {
        return refuse(pairs);
    }
    LabelSet::Valid(Labels::from_sorted(texts.into_iter().filter(|(_, value)| !value.is_empty())))
}

fn refuse(pairs: &[(&[u8], &[u8])]) -> LabelSet {
    let show = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let shown: Vec<String> = pairs.iter().map(|(n, v)| format!("{}={:?}", show(n), show(v))).collect();
    LabelSet::Invalid(format!("{{{}}}", shown.join(", ")))
}
