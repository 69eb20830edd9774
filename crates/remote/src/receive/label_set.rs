//! Labels of a series as they came, made into a label set or refused.
//!
//! COMPAT: which sets are refused, that an empty value means "no such label" only after duplicates were looked for, and the words
//! are as in Prometheus' receiver. Runs once for each new series, not for each sample.

use narthex_model::{Labels, METRIC_NAME, is_legacy_label_name, quote_go, quote_go_bytes};

use super::wire::{DecodeError, Reader};

/// Longest text of a label set in a message, bytes.
const MAX_SHOWN: usize = 4096;

/// A label as it came: name and value, in any order among others, of any bytes.
pub(crate) type RawLabel<'a> = (&'a [u8], &'a [u8]);

/// Why labels are not fit to be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// No metric name, or an empty one, an empty label name, text that is not UTF-8.
    #[error("invalid metric name or labels, got {labels}")]
    Invalid { labels: String },
    /// A label stands there twice.
    #[error("invalid labels for series, labels {labels}, duplicated label {name}")]
    Duplicate { labels: String, name: String },
}

/// Reads the label fields among the fields of a series of protocol 1.0.
pub(super) fn read_labels(mut reader: Reader<'_>) -> Result<Result<Labels, Unfit>, DecodeError> {
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
pub(crate) fn read_label(mut reader: Reader<'_>) -> Result<RawLabel<'_>, DecodeError> {
    let (mut name, mut value): RawLabel<'_> = (&[], &[]);
    while let Some(key) = reader.key("Label")? {
        match key.field {
            1 => name = reader.text(key, "Name")?,
            2 => value = reader.text(key, "Value")?,
            _ => reader.skip(key)?,
        }
    }
    Ok((name, value))
}

/// Sorts the labels of a series and makes them a label set.
pub(super) fn judge(pairs: &mut [RawLabel<'_>]) -> Result<Labels, Unfit> {
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        pairs.sort_by_key(|(name, _)| *name);
    }
    let mut texts = Vec::with_capacity(pairs.len());
    for (name, value) in pairs.iter() {
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) if !name.is_empty() => texts.push((name, value)),
            _ => return Err(Unfit::Invalid { labels: shown(pairs) }),
        }
    }
    if !texts.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty()) {
        return Err(Unfit::Invalid { labels: shown(pairs) });
    }
    if let Some(twice) = texts.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Unfit::Duplicate { labels: shown(pairs), name: twice[0].0.to_owned() });
    }
    Ok(Labels::from_sorted(texts.into_iter().filter(|(_, value)| !value.is_empty())))
}

/// Labels as Prometheus shows them, `{a="b", c="d"}`, also those that cannot be a label set; long ones are cut.
pub(super) fn shown(pairs: &[RawLabel<'_>]) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in pairs.iter().enumerate() {
        if out.len() + name.len() + value.len() > MAX_SHOWN {
            out.push('…');
            break;
        }
        out.push_str(if i > 0 { ", " } else { "" });
        match std::str::from_utf8(name) {
            Ok(name) if is_legacy_label_name(name) => out.push_str(name),
            Ok(name) => out.push_str(&quote_go(name)),
            Err(_) => out.push_str(&quote_go_bytes(name)),
        }
        out.push('=');
        out.push_str(&quote_go_bytes(value));
    }
    out.push('}');
    out
}
