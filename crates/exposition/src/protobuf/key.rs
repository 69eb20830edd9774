//! The key of a series: its labels' bytes as the body had them, with what a family adds, in one piece that a cache can compare.
//!
//! Layout: length of the family's name, name, length of its unit, unit; then the label fields of the metric as they stood in
//! the body; then, for buckets and quantiles, the bits of the bound; last a byte for which part of the metric this is and of
//! which type. Everything that series of one metric share comes first, so that neighbours front-code well.
//! Always true: a key can be read back into labels alone; equal keys mean equal labels.

use narthex_model::{BUCKET_LABEL, LabelsBuilder, METRIC_NAME, MetricType, QUANTILE_LABEL};

use super::wire::{Reader, Wrong};
use crate::nhcb::text::unmarked;
use crate::{LabelError, open_metrics_float};

/// Sets the labels of a series, `__name__` among them, on `builder`. `key` comes from [`crate::ProtoParser::push_key`] or from
/// [`crate::CustomHistograms`]; type and unit become labels, too, when `type_and_unit`.
///
/// # Errors
/// When two labels have one name, or a name or value is not UTF-8. The builder then holds a part of them.
pub fn decode_key(key: &[u8], type_and_unit: bool, builder: &mut LabelsBuilder) -> Result<(), LabelError> {
    match Key::parse(unmarked(key)) {
        Some(key) => key.decode(builder, type_and_unit),
        None => Err(LabelError::Protobuf("not a key".to_owned())),
    }
}

/// The names of labels that are written with an empty value, which says that they are not there.
#[must_use]
pub fn empty_labels_of_key(key: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    if let Some(key) = Key::parse(unmarked(key)) {
        // A malformed label ends the list; decoding the key tells of it.
        let _ = key.walk(|name, value| {
            if value.is_empty() {
                names.push(name);
            }
        });
    }
    names
}

/// Which series of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    /// The metric itself: a number, or a native histogram.
    Whole,
    Count,
    Sum,
    /// A classic bucket with its upper bound.
    Bucket(f64),
    /// A quantile of a summary.
    Quantile(f64),
}

const TYPES: [MetricType; 6] = [
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Summary,
    MetricType::Unknown,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
];

/// The place in `TYPES`; what protobuf has no word for counts as unknown.
#[inline]
fn type_code(kind: MetricType) -> u8 {
    match kind {
        MetricType::Counter => 0,
        MetricType::Gauge => 1,
        MetricType::Summary => 2,
        MetricType::Histogram => 4,
        MetricType::GaugeHistogram => 5,
        MetricType::Unknown | MetricType::Info | MetricType::StateSet => 3,
    }
}

/// The end of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    bytes: [u8; 9],
    /// Where the tail begins: 8 without a bound, else 0.
    start: u8,
}

impl Tail {
    #[inline]
    pub(crate) fn new(part: Part, kind: MetricType) -> Self {
        let (code, bound) = match part {
            Part::Whole => (0, None),
            Part::Count => (1, None),
            Part::Sum => (2, None),
            Part::Bucket(bound) => (3, Some(bound)),
            Part::Quantile(quantile) => (4, Some(quantile)),
        };
        let mut bytes = [0; 9];
        if let Some(bound) = bound {
            bytes[..8].copy_from_slice(&bound.to_bits().to_be_bytes());
        }
        bytes[8] = code | type_code(kind) << 4;
        Self { bytes, start: if bound.is_some() { 0 } else { 8 } }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// Lays out what the series of a family share.
pub(crate) fn family_prefix(name: &[u8], unit: &[u8], out: &mut Vec<u8>) {
    out.clear();
    push_text(out, name);
    push_text(out, unit);
}

fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    super::write::push_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// The label fields that a key of a family with this prefix holds; `None` when it is of another family.
#[inline]
pub(crate) fn labels_of_hint<'h>(hint: &'h [u8], prefix: &[u8]) -> Option<&'h [u8]> {
    let rest = hint.strip_prefix(prefix)?;
    rest.get(..rest.len().checked_sub(tail_len(*rest.last()?))?)
}

#[inline]
fn tail_len(last: u8) -> usize {
    if last & 0xf >= 3 { 9 } else { 1 }
}

/// A key taken apart.
pub(crate) struct Key<'k> {
    name: &'k [u8],
    unit: &'k [u8],
    labels: &'k [u8],
    part: Part,
    kind: MetricType,
}

impl<'k> Key<'k> {
    pub(crate) fn parse(key: &'k [u8]) -> Option<Self> {
        let (last, rest) = key.split_last()?;
        let (rest, bound) = match tail_len(*last) {
            9 => {
                let (rest, bits) = rest.split_last_chunk::<8>()?;
                (rest, f64::from_bits(u64::from_be_bytes(*bits)))
            }
            _ => (rest, 0.0),
        };
        let part = match last & 0xf {
            0 => Part::Whole,
            1 => Part::Count,
            2 => Part::Sum,
            3 => Part::Bucket(bound),
            4 => Part::Quantile(bound),
            _ => return None,
        };
        let kind = *TYPES.get(usize::from(last >> 4))?;
        let mut reader = Reader::new(rest);
        let name = take_text(&mut reader)?;
        let unit = take_text(&mut reader)?;
        Some(Self { name, unit, labels: reader.rest(), part, kind })
    }

    /// Calls `each` with the labels of the metric alone, in the body's order.
    pub(super) fn walk(&self, mut each: impl FnMut(&'k [u8], &'k [u8])) -> Result<(), Wrong> {
        let mut reader = Reader::new(self.labels);
        while let Some(tag) = reader.tag("Metric")? {
            let (name, value) = label_pair(reader.bytes(tag, "Label")?)?;
            each(name, value);
        }
        Ok(())
    }

    /// Sets all labels on `builder`, type and unit among them when `type_and_unit`.
    pub(crate) fn decode(&self, builder: &mut LabelsBuilder, type_and_unit: bool) -> Result<(), LabelError> {
        let suffix = match self.part {
            Part::Whole | Part::Quantile(_) => "",
            Part::Count => "_count",
            Part::Sum => "_sum",
            Part::Bucket(_) => "_bucket",
        };
        let name = format!("{}{suffix}", utf8(self.name)?);
        builder.set(METRIC_NAME, &name);
        let mut result = Ok(());
        let unit = utf8(self.unit)?;
        let walked = self.walk(|name, value| {
            // COMPAT: with type and unit as labels, a metric's own label for its name gives way without an error.
            if result.is_ok() && !(type_and_unit && name == METRIC_NAME.as_bytes()) {
                result = set_label(builder, name, value);
            }
        });
        walked.map_err(|wrong| LabelError::Protobuf(wrong.to_string()))?;
        result?;
        if type_and_unit {
            crate::labels::set_type_and_unit(builder, self.kind, unit);
        }
        match self.part {
            Part::Bucket(bound) => set_unique(builder, BUCKET_LABEL, &open_metrics_float(bound)),
            Part::Quantile(quantile) => set_unique(builder, QUANTILE_LABEL, &open_metrics_float(quantile)),
            Part::Whole | Part::Count | Part::Sum => Ok(()),
        }
    }
}

fn take_text<'k>(reader: &mut Reader<'k>) -> Option<&'k [u8]> {
    let length = usize::try_from(reader.varint().ok()?).ok()?;
    let text = reader.rest().get(..length)?;
    reader.seek(reader.at() + length);
    Some(text)
}

/// Name and value of a label; either may lack, which is the empty text.
pub(super) fn label_pair(message: &[u8]) -> Result<(&[u8], &[u8]), Wrong> {
    let mut reader = Reader::new(message);
    let (mut name, mut value): (&[u8], &[u8]) = (b"", b"");
    while let Some(tag) = reader.tag("LabelPair")? {
        match tag.field {
            1 => name = reader.bytes(tag, "Name")?,
            2 => value = reader.bytes(tag, "Value")?,
            _ => reader.skip(tag)?,
        }
    }
    Ok((name, value))
}

fn set_label(builder: &mut LabelsBuilder, name: &[u8], value: &[u8]) -> Result<(), LabelError> {
    let lossy = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| LabelError::Protobuf(format!("invalid label name: {}", lossy(name))))?;
    let value = std::str::from_utf8(value)
        .map_err(|_| LabelError::Protobuf(format!("invalid label value: {}", lossy(value))))?;
    // An empty value is no label.
    if value.is_empty() { Ok(()) } else { set_unique(builder, name, value) }
}

fn set_unique(builder: &mut LabelsBuilder, name: &str, value: &str) -> Result<(), LabelError> {
    if builder.get(name).is_some() {
        return Err(LabelError::Duplicate(name.to_owned()));
    }
    builder.set(name, value);
    Ok(())
}

fn utf8(bytes: &[u8]) -> Result<&str, LabelError> {
    std::str::from_utf8(bytes).map_err(|_| LabelError::NotUtf8(bytes.to_vec()))
}
