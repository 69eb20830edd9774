//! Reads the labels of a series or an exemplar out of its raw bytes, when somebody asks for them.

use std::borrow::Cow;

use narthex_model::{
    BUCKET_LABEL, LabelsBuilder, METRIC_NAME, MetricType, QUANTILE_LABEL, parse_go_float, push_float_general,
};

use crate::parser::{Dialect, unescape, walk_exemplar, walk_raw};
use crate::quote::quote_bytes;

/// Why the labels of a well-formed line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Two labels have one name. The text is that of Prometheus for a sample it refuses.
    #[error("label name {} is not unique: invalid sample", quote_bytes(.0.as_bytes()))]
    Duplicate(String),
    /// A quoted name is not UTF-8.
    #[error("invalid metric name or label names: {}", quote_bytes(.0))]
    NotUtf8(Vec<u8>),
    /// A label of a protobuf body is not usable; the whole text.
    #[error("{0}")]
    Protobuf(String),
}

/// Sets the labels of a series, `__name__` among them, on `builder`. `raw` comes from a parser of this `dialect`; `kind` is
/// [`crate::Parser::kind`] at the time: bounds of classic buckets and quantiles of summaries are written in one way, `1.0`.
///
/// # Errors
/// When two labels have one name, or a name is not UTF-8. The builder then holds a part of them.
pub fn decode_labels(
    raw: &[u8],
    dialect: Dialect,
    kind: MetricType,
    builder: &mut LabelsBuilder,
) -> Result<(), LabelError> {
    let mut result = Ok(());
    let mut emptied: Vec<Cow<'_, str>> = Vec::new();
    walk_raw(raw, dialect, |name, value| {
        if result.is_ok() {
            result = set(name, value, kind, builder, &mut emptied);
        }
    });
    result
}

fn set<'b>(
    name: Option<&'b [u8]>,
    value: &'b [u8],
    kind: MetricType,
    builder: &mut LabelsBuilder,
    emptied: &mut Vec<Cow<'b, str>>,
) -> Result<(), LabelError> {
    let value = text(value)?;
    let name = name.map_or(Ok(Cow::Borrowed(METRIC_NAME)), text)?;
    // An empty value deletes the label, also one that is written twice.
    if value.is_empty() {
        builder.remove(&name);
        emptied.push(name);
        return Ok(());
    }
    if builder.get(&name).is_some() {
        return Err(LabelError::Duplicate(name.into_owned()));
    }
    if !emptied.contains(&name) {
        builder.set(&name, &normal_float(kind, &name, value));
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, LabelError> {
    let text = std::str::from_utf8(bytes).map_err(|_| LabelError::NotUtf8(bytes.to_vec()))?;
    Ok(unescape(text, true))
}

/// The bound of a classic bucket or a summary's quantile in OpenMetrics' spelling; any other value as it is.
fn normal_float<'v>(kind: MetricType, name: &str, value: Cow<'v, str>) -> Cow<'v, str> {
    let is_float = match kind {
        MetricType::Summary => name == QUANTILE_LABEL,
        MetricType::Histogram => name == BUCKET_LABEL,
        _ => false,
    };
    let number = if is_float { parse_go_float(&value) } else { None };
    match number {
        // A number that does not fit is no number to Go.
        Some(number) if number.is_finite() || value.contains(['i', 'I', 'n', 'N']) => {
            Cow::Owned(open_metrics_float(number))
        }
        _ => value,
    }
}

/// Sets the labels `__type__` and `__unit__` (feature `type-and-unit-labels`) over those of the target, where they are known.
pub fn set_type_and_unit(builder: &mut LabelsBuilder, kind: MetricType, unit: &str) {
    if kind != MetricType::Unknown {
        builder.set("__type__", kind.as_str());
    }
    if !unit.is_empty() {
        builder.set("__unit__", unit);
    }
}

/// `1.0`, `0.5`, `1e+06`, `+Inf`: the shortest digits with a point or an exponent.
#[must_use]
pub fn open_metrics_float(value: f64) -> String {
    let mut out = String::new();
    push_float_general(&mut out, value);
    if value.is_finite() && !out.contains(['.', 'e']) {
        out.push_str(".0");
    }
    out
}

/// Sets the labels of an exemplar on `builder`. `raw` is [`crate::RawExemplar::raw`].
///
/// COMPAT: escapes in exemplars stay as they are, as in Prometheus.
///
/// # Errors
/// When a name is not UTF-8.
pub fn decode_exemplar(raw: &[u8], builder: &mut LabelsBuilder) -> Result<(), LabelError> {
    let mut result = Ok(());
    walk_exemplar(raw, |name, value| match (std::str::from_utf8(name), std::str::from_utf8(value)) {
        (Ok(name), Ok(value)) => drop(builder.set(name, value)),
        (Err(_), _) => result = Err(LabelError::NotUtf8(name.to_vec())),
        (_, Err(_)) => result = Err(LabelError::NotUtf8(value.to_vec())),
    });
    result
}

/// The metric name of a series as it stands in its raw bytes, still escaped.
pub(crate) fn metric_name(raw: &[u8], dialect: Dialect) -> Option<&[u8]> {
    let mut found = None;
    walk_raw(raw, dialect, |name, value| {
        if name.is_none() {
            found = Some(value);
        }
    });
    found
}

/// What a series and its `_created` line have in common: the labels but for bucket bounds and quantiles.
pub(crate) struct Identity<'b> {
    name: &'b [u8],
    labels: Vec<(&'b [u8], &'b [u8])>,
    kind: MetricType,
}

impl<'b> Identity<'b> {
    /// The identity of an OpenMetrics series; `None` when it has no name.
    pub(crate) fn of(raw: &'b [u8], kind: MetricType) -> Option<Self> {
        let mut identity = Self { name: b"", labels: Vec::new(), kind };
        walk_raw(raw, Dialect::OpenMetrics, |name, value| match name {
            None => identity.name = value,
            Some(name) if identity.is_part(name) => {}
            Some(name) => identity.labels.push((name, value)),
        });
        (!identity.name.is_empty()).then_some(identity)
    }

    fn is_part(&self, label: &[u8]) -> bool {
        (self.kind == MetricType::Summary && label == QUANTILE_LABEL.as_bytes())
            || (self.kind == MetricType::Histogram && label == BUCKET_LABEL.as_bytes())
    }

    /// Whether the `_created` line of `family` with these raw bytes speaks of this series.
    pub(crate) fn is_created_by(&self, family: &[u8], raw: &[u8]) -> bool {
        let suffixes: &[&[u8]] = &[b"", b"_total", b"_bucket", b"_sum", b"_count"];
        let same_family = suffixes.iter().any(|suffix| self.name.strip_suffix(*suffix) == Some(family));
        let mut others = self.labels.iter();
        let mut same = same_family;
        walk_raw(raw, Dialect::OpenMetrics, |name, value| {
            if let Some(name) = name.filter(|name| !self.is_part(name)) {
                same &= others.next() == Some(&(name, value));
            }
        });
        same && others.next().is_none()
    }
}
