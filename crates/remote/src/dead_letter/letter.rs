//! One dead letter, and the line of JSON that keeps it.
//!
//! Always true: what [`line`] writes, [`parse`] reads back bit by bit (the payload of a NaN too), so that a replay sends what was
//! refused. A line of an older version, without a number, is read as well. Must not know: files.

use std::collections::BTreeMap;

use narthex_model::{format_float, parse_go_float};
use serde_json::{Value, json};

use crate::source::OtherKind;
use crate::wire;

/// Something that an endpoint refused for good.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its number in the store of its endpoint: rises with each letter, stays, and is never given again.
    pub id: u64,
    /// When it was refused, ms since the epoch.
    pub refused_ms: i64,
    /// The HTTP status of the answer.
    pub status: u16,
    /// What the endpoint said.
    pub reason: String,
    /// The labels as they were sent.
    pub labels: BTreeMap<String, String>,
    /// When its counter started, ms since the epoch; 0 when that is not known, as in letters of older versions.
    pub start_ms: i64,
    /// What was sent.
    pub content: Content,
}

/// What a letter holds beside labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A float sample.
    Sample {
        /// Milliseconds since the epoch.
        t_ms: i64,
        /// Its value.
        value: f64,
    },
    /// An exemplar or histogram.
    Other {
        /// Which it is.
        kind: OtherKind,
        /// Its timestamp, ms; letters of older versions do not tell.
        t_ms: Option<i64>,
        /// The fields of the message of remote write 1.0.
        encoded: Vec<u8>,
    },
}

impl Content {
    /// `sample`, `exemplar`, `histogram` or `custom_histogram`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sample { .. } => "sample",
            Self::Other { kind, .. } => member(*kind),
        }
    }

    /// Its timestamp, ms.
    #[must_use]
    pub fn t_ms(&self) -> Option<i64> {
        match self {
            Self::Sample { t_ms, .. } => Some(*t_ms),
            Self::Other { t_ms, .. } => *t_ms,
        }
    }
}

/// What was refused, as the endpoint's thread has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused<'a> {
    /// A float sample.
    Sample {
        /// Milliseconds since the epoch.
        t_ms: i64,
        /// Its value.
        value: f64,
        /// When its counter started, ms since the epoch; 0 when that is not known.
        start_ms: i64,
    },
    /// An exemplar or histogram as it was sent.
    Other {
        /// Which it is.
        kind: OtherKind,
        /// Milliseconds since the epoch.
        t_ms: i64,
        /// When its counter started, as for samples.
        start_ms: i64,
        /// The message's fields.
        encoded: &'a [u8],
    },
}

const KINDS: [OtherKind; 3] = [OtherKind::Exemplar, OtherKind::Histogram, OtherKind::CustomHistogram];

/// The member of the line that holds the message's fields.
fn member(kind: OtherKind) -> &'static str {
    match kind {
        OtherKind::Exemplar => "exemplar",
        OtherKind::Histogram => "histogram",
        OtherKind::CustomHistogram => "custom_histogram",
    }
}

/// Why and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    /// Milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What the endpoint said.
    pub(crate) reason: &'a str,
}

/// A letter as a line with its end. `labels` is what [`wire::put_label`] wrote.
pub(crate) fn line(id: u64, labels: &[u8], refused: Refused<'_>, refusal: Refusal<'_>) -> Vec<u8> {
    let labels = wire::labels(labels).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (start_ms, content) = match refused {
        Refused::Sample { t_ms, value, start_ms } => (start_ms, Content::Sample { t_ms, value }),
        Refused::Other { kind, t_ms, start_ms, encoded } => {
            (start_ms, Content::Other { kind, t_ms: Some(t_ms), encoded: encoded.to_vec() })
        }
    };
    let Refusal { at_ms, status, reason } = refusal;
    let reason = reason.to_owned();
    write(&DeadLetter { id, refused_ms: at_ms, status, reason, labels, start_ms, content })
}

/// A letter as a line with its end.
pub(crate) fn write(letter: &DeadLetter) -> Vec<u8> {
    let mut line = json!({
        "id": letter.id, "time_ms": letter.refused_ms, "status": letter.status, "reason": letter.reason,
        "labels": letter.labels,
    });
    match &letter.content {
        Content::Sample { t_ms, value } => {
            line["samples"] = json!([[t_ms, format_float(*value)]]);
            if value.is_nan() {
                // The text of a staleness marker is that of any NaN.
                line["bits"] = format!("{:016x}", value.to_bits()).into();
            }
        }
        Content::Other { kind, t_ms, encoded } => {
            line[member(*kind)] = hex(encoded).into();
            if let Some(t_ms) = t_ms {
                line["timestamp_ms"] = (*t_ms).into();
            }
        }
    }
    if letter.start_ms != 0 {
        line["start_ms"] = letter.start_ms.into();
    }
    let mut bytes = line.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// The letter of a line; its number is `next` unless the line has one that is not lower. `None` when it is none.
pub(crate) fn parse(line: &[u8], next: u64) -> Option<DeadLetter> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let labels = line["labels"].as_object()?.iter();
    let labels: Option<_> =
        labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    Some(DeadLetter {
        id: line["id"].as_u64().filter(|id| *id >= next && *id < u64::MAX).unwrap_or(next),
        refused_ms: line["time_ms"].as_i64()?,
        status: u16::try_from(line["status"].as_u64()?).ok()?,
        reason: line["reason"].as_str()?.to_owned(),
        labels: labels?,
        start_ms: line["start_ms"].as_i64().unwrap_or(0),
        content: content(&line)?,
    })
}

fn content(line: &Value) -> Option<Content> {
    if let Some(samples) = line["samples"].as_array() {
        let [sample] = &samples[..] else { return None };
        let value = match line["bits"].as_str() {
            Some(bits) => f64::from_bits(u64::from_str_radix(bits, 16).ok()?),
            None => parse_go_float(sample[1].as_str()?)?,
        };
        return Some(Content::Sample { t_ms: sample[0].as_i64()?, value });
    }
    let kind = KINDS.into_iter().find(|kind| line[member(*kind)].is_string())?;
    let encoded = unhex(line[member(kind)].as_str()?)?;
    Some(Content::Other { kind, t_ms: line["timestamp_ms"].as_i64(), encoded })
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4 | digit(*low)?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use narthex_model::STALE_NAN;
    use proptest::prelude::*;

    use super::*;

    fn letter(content: Content) -> DeadLetter {
        let labels = [("__name__", "up"), ("job", "ä\"\n")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        DeadLetter {
            id: 7,
            refused_ms: 5,
            status: 400,
            reason: "no\u{1}".into(),
            labels: labels.into(),
            start_ms: -3,
            content,
        }
    }

    #[track_caller]
    fn check_round_trip(content: Content) {
        let letter = letter(content);
        let line = write(&letter);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        // Lines are compared, as NaN does not equal itself.
        assert_eq!(write(&parse(&line, 0).unwrap()), line);
    }

    proptest! {
        #[test]
        fn a_sample_is_kept_to_the_last_bit(t_ms: i64, bits: u64) {
            let value = f64::from_bits(bits);
            check_round_trip(Content::Sample { t_ms, value });
            let read = parse(&write(&letter(Content::Sample { t_ms, value })), 0).unwrap();
            let Content::Sample { value: read, .. } = read.content else { panic!("a sample") };
            prop_assert_eq!(read.to_bits(), bits);
        }

        #[test]
        fn no_line_breaks_the_reader(line: Vec<u8>, cut: usize) {
            drop(parse(&line, 3));
            let whole = write(&letter(Content::Sample { t_ms: 1, value: STALE_NAN }));
            drop(parse(&whole[..cut % whole.len()], 3));
        }
    }

    #[test]
    fn exemplars_and_histograms_keep_their_bytes() {
        for kind in KINDS {
            check_round_trip(Content::Other { kind, t_ms: Some(-4), encoded: vec![0, 255, 16] });
        }
    }

    #[test]
    fn lines_of_the_first_version_are_read_and_numbered_by_their_place() {
        let line =
            br#"{"labels":{"__name__":"up"},"reason":"r","samples":[[17,"NaN"]],"status":400,"time_ms":9}"#;
        let read = parse(line, 12).unwrap();
        assert_eq!((read.id, read.refused_ms, read.content.t_ms(), read.start_ms), (12, 9, Some(17), 0));
        for (text, expected) in [(r#""id":4,"#, 12), (r#""id":40,"#, 40), (r#""id":-1,"#, 12)] {
            let line = String::from_utf8(line.to_vec()).unwrap().replacen('{', &format!("{{{text}"), 1);
            assert_eq!(parse(line.as_bytes(), 12).unwrap().id, expected, "{text}");
        }
    }
}
