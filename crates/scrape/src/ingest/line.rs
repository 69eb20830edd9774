//! A series of a body, whichever format it has: what the batch wants to know of it.
//!
//! Always true: `place` is asked first; `add` only after `place` said that the line is new.
//! PERF: the trait is resolved at compile time, each format has its own copy of the hot path.

use std::cmp::Ordering;

use narthex_exposition::{
    CustomHistograms, Dialect, LabelError, Native, NativeValue, Parser, ProtoParser, RawExemplar, Series,
    ShrinkError, decode_exemplar, decode_key, decode_labels, empty_labels_of_key, set_type_and_unit,
};
use narthex_model::{Exemplar, LabelsBuilder, MetricType};
use narthex_storage::HistogramRef;

use crate::series_cache::{Pass, Place, Slot};

/// What is appended.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Float(f64),
    Histogram(HistogramRef<'a>),
}

/// How large a native histogram may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistogramLimits {
    /// 0: any.
    pub(crate) buckets: usize,
    /// The finest schema.
    pub(crate) schema: i32,
}

impl HistogramLimits {
    fn apply(self, value: &mut NativeValue) -> Result<(), ShrinkError> {
        if self.schema < 8 {
            value.limit_schema(self.schema)?;
        }
        if self.buckets > 0 { value.limit_buckets(self.buckets) } else { Ok(()) }
    }
}

/// See the module's words.
pub(crate) trait Line {
    fn place(&mut self, pass: &mut Pass<'_>) -> Place;
    fn add(&mut self, pass: &mut Pass<'_>, slot: Slot) -> usize;
    /// Its own timestamp, ms.
    fn t_ms(&self) -> Option<i64>;
    /// When its counter began, ms. May cost a look ahead.
    fn start_ms(&mut self) -> Option<i64>;
    fn value(&self) -> Value<'_>;
    /// Makes a histogram as small as it must be.
    #[inline]
    fn shrink(&mut self, _: HistogramLimits) -> Result<(), ShrinkError> {
        Ok(())
    }
    /// Where its labels are read from.
    fn labels(&mut self) -> LabelSource<'_>;
    fn may_have_exemplars(&self) -> bool;
    /// Its exemplars; those without a timestamp get `t_ms`.
    fn exemplars(&self, t_ms: i64) -> Vec<Exemplar>;
}

/// Bytes that hold the labels of a series.
#[derive(Clone, Copy)]
pub(crate) enum LabelSource<'b> {
    /// A line of text; `unit` is that of its family, and `type_and_unit` tells whether both become labels.
    Text { raw: &'b [u8], dialect: Dialect, kind: MetricType, unit: &'b str, type_and_unit: bool },
    /// A key of the protobuf form or of a converted histogram.
    Key { key: &'b [u8], type_and_unit: bool },
}

impl<'b> LabelSource<'b> {
    /// Sets the labels on `builder`.
    pub(crate) fn decode(self, builder: &mut LabelsBuilder) -> Result<(), LabelError> {
        match self {
            Self::Text { raw, dialect, kind, unit, type_and_unit } => {
                decode_labels(raw, dialect, kind, builder)?;
                if type_and_unit {
                    set_type_and_unit(builder, kind, unit);
                }
                Ok(())
            }
            Self::Key { key, type_and_unit } => decode_key(key, type_and_unit, builder),
        }
    }

    /// The names of labels that are written with an empty value.
    pub(crate) fn emptied(self) -> Vec<&'b [u8]> {
        match self {
            Self::Text { raw, .. } => crate::new_series::empty_label_names(raw),
            Self::Key { key, .. } => empty_labels_of_key(key),
        }
    }
}

/// A line of text.
pub(crate) struct TextLine<'p, 'b> {
    pub(crate) series: &'p Series<'b>,
    pub(crate) parser: &'p mut Parser<'b>,
    pub(crate) type_and_unit: bool,
}

impl Line for TextLine<'_, '_> {
    #[inline]
    fn place(&mut self, pass: &mut Pass<'_>) -> Place {
        pass.place(self.series.raw, self.series.as_hinted)
    }

    fn add(&mut self, pass: &mut Pass<'_>, slot: Slot) -> usize {
        pass.add(self.series.raw, slot)
    }

    #[inline]
    fn t_ms(&self) -> Option<i64> {
        self.series.t_ms
    }

    fn start_ms(&mut self) -> Option<i64> {
        self.parser.start_ms(self.series)
    }

    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Float(self.series.value)
    }

    fn labels(&mut self) -> LabelSource<'_> {
        LabelSource::Text {
            raw: self.series.raw,
            dialect: self.parser.dialect(),
            kind: self.parser.kind(),
            unit: self.parser.unit(),
            type_and_unit: self.type_and_unit,
        }
    }

    #[inline]
    fn may_have_exemplars(&self) -> bool {
        self.series.exemplar.is_some()
    }

    fn exemplars(&self, t_ms: i64) -> Vec<Exemplar> {
        sorted(self.series.exemplar.iter().filter_map(|raw| text_exemplar(raw, t_ms)).collect())
    }
}

fn text_exemplar(raw: &RawExemplar<'_>, t_ms: i64) -> Option<Exemplar> {
    let mut builder = LabelsBuilder::new();
    decode_exemplar(raw.raw, &mut builder).ok()?;
    Some(Exemplar { labels: builder.labels(), value: raw.value, t_ms: Some(raw.t_ms.unwrap_or(t_ms)) })
}

/// By time, then value, then labels: the order in which a store takes them best.
fn sorted(mut exemplars: Vec<Exemplar>) -> Vec<Exemplar> {
    exemplars.sort_by(|a, b| {
        let value = a.value.partial_cmp(&b.value).unwrap_or(Ordering::Equal);
        a.t_ms.cmp(&b.t_ms).then(value).then_with(|| a.labels.cmp(&b.labels))
    });
    exemplars
}

/// A histogram made of lines of text.
pub(crate) struct CustomLine<'p, 'b> {
    pub(crate) histograms: &'p mut CustomHistograms<'b>,
    pub(crate) type_and_unit: bool,
}

impl Line for CustomLine<'_, '_> {
    fn place(&mut self, pass: &mut Pass<'_>) -> Place {
        pass.place(self.histograms.key(), self.histograms.as_hinted())
    }

    fn add(&mut self, pass: &mut Pass<'_>, slot: Slot) -> usize {
        pass.add(self.histograms.key(), slot)
    }

    fn t_ms(&self) -> Option<i64> {
        self.histograms.t_ms()
    }

    fn start_ms(&mut self) -> Option<i64> {
        self.histograms.start_ms()
    }

    fn value(&self) -> Value<'_> {
        native(self.histograms.histogram())
    }

    fn shrink(&mut self, limits: HistogramLimits) -> Result<(), ShrinkError> {
        limits.apply(self.histograms.histogram_mut())
    }

    fn labels(&mut self) -> LabelSource<'_> {
        LabelSource::Key { key: self.histograms.key(), type_and_unit: self.type_and_unit }
    }

    fn may_have_exemplars(&self) -> bool {
        true
    }

    fn exemplars(&self, t_ms: i64) -> Vec<Exemplar> {
        sorted(self.histograms.exemplars().filter_map(|raw| text_exemplar(raw, t_ms)).collect())
    }
}

fn native(histogram: Native<'_>) -> Value<'_> {
    Value::Histogram(match histogram {
        Native::Int(h) => HistogramRef::Int(h),
        Native::Float(h) => HistogramRef::Float(h),
    })
}

/// A series of the protobuf form.
pub(crate) struct ProtoLine<'p, 'b> {
    pub(crate) parser: &'p mut ProtoParser<'b>,
    /// Lent; holds the key when somebody asked for it.
    pub(crate) key: &'p mut Vec<u8>,
    pub(crate) histogram: bool,
    pub(crate) type_and_unit: bool,
}

impl ProtoLine<'_, '_> {
    fn key(&mut self) -> &[u8] {
        if self.key.is_empty() {
            self.parser.push_key(self.key);
        }
        self.key
    }
}

impl Line for ProtoLine<'_, '_> {
    #[inline]
    fn place(&mut self, pass: &mut Pass<'_>) -> Place {
        self.key.clear();
        let as_hinted = self.parser.as_hinted();
        if as_hinted && let Some(place) = pass.place_expected() {
            return place;
        }
        pass.place(self.key(), as_hinted)
    }

    fn add(&mut self, pass: &mut Pass<'_>, slot: Slot) -> usize {
        pass.add(self.key(), slot)
    }

    #[inline]
    fn t_ms(&self) -> Option<i64> {
        self.parser.t_ms()
    }

    fn start_ms(&mut self) -> Option<i64> {
        self.parser.start_ms()
    }

    #[inline]
    fn value(&self) -> Value<'_> {
        if self.histogram { native(self.parser.histogram()) } else { Value::Float(self.parser.value()) }
    }

    fn shrink(&mut self, limits: HistogramLimits) -> Result<(), ShrinkError> {
        if self.histogram { limits.apply(self.parser.histogram_mut()) } else { Ok(()) }
    }

    fn labels(&mut self) -> LabelSource<'_> {
        let type_and_unit = self.type_and_unit;
        LabelSource::Key { key: self.key(), type_and_unit }
    }

    #[inline]
    fn may_have_exemplars(&self) -> bool {
        self.parser.may_have_exemplars()
    }

    fn exemplars(&self, t_ms: i64) -> Vec<Exemplar> {
        let (mut builder, mut found) = (LabelsBuilder::new(), Vec::new());
        self.parser.exemplars(&mut builder, |exemplar, labels| {
            let t_ms = Some(exemplar.t_ms.unwrap_or(t_ms));
            found.push(Exemplar { labels: labels.labels(), value: exemplar.value, t_ms });
        });
        sorted(found)
    }
}
