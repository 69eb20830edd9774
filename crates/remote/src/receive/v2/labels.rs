//! The label set of a new series, or in which words it is refused. Runs once for each new series, not for each sample.

use narthex_model::{Labels, MetricType};

use super::message::{MetadataRefs, Series};
use super::symbols::{BadRefs, Symbols};
use crate::receive::label_set::{RawLabel, Unfit, judge, shown};

/// Most numbers of symbols that a text shows.
const MAX_SHOWN_REFS: usize = 256;
const TYPE_LABEL: &[u8] = b"__type__";
const UNIT_LABEL: &[u8] = b"__unit__";

/// Why a series is left out. The words are those of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSeries {
    #[error("parsing labels for series {refs}: {source}")]
    Labels { refs: String, source: BadRefs },
    #[error(
        "parsing metadata for series {refs}: metadata {field} {number} outside of symbols table (size {size})"
    )]
    Metadata { refs: String, field: &'static str, number: u32, size: usize },
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("TimeSeries must contain at least one sample or histogram for series {labels}")]
    Empty { labels: String },
}

impl BadSeries {
    /// Whether Prometheus counts its samples as rejected for their labels.
    pub(super) fn is_for_labels(&self) -> bool {
        matches!(self, Self::Labels { .. } | Self::Unfit(_))
    }
}

/// Spells and judges the labels of a series that has samples.
pub(super) fn labels(
    symbols: Symbols<'_>,
    series: &Series<'_>,
    with_type_and_unit: bool,
) -> Result<Labels, BadSeries> {
    let mut pairs = spelled(symbols, series, with_type_and_unit)?;
    let labels = judge(&mut pairs)?;
    if series.sample_count() == 0 {
        return Err(BadSeries::Empty { labels: shown(&pairs) });
    }
    Ok(labels)
}

/// The labels of a series as messages show them; `""` when they cannot be spelled.
pub(super) fn shown_labels(symbols: Symbols<'_>, series: &Series<'_>, with_type_and_unit: bool) -> String {
    let Ok(mut pairs) = spelled(symbols, series, with_type_and_unit) else { return String::new() };
    pairs.sort_by_key(|(name, _)| *name);
    shown(&pairs)
}

/// Whether the numbers of a series' metadata stand for texts.
pub(super) fn check_metadata(symbols: Symbols<'_>, series: &Series<'_>) -> Result<(), BadSeries> {
    let MetadataRefs { help, unit, .. } = series.metadata;
    let outside = |number: u32| number as usize >= symbols.len();
    let (field, number) = match (outside(unit), outside(help)) {
        (false, false) => return Ok(()),
        (true, _) => ("unit_ref", unit),
        (false, true) => ("help_ref", help),
    };
    Err(BadSeries::Metadata { refs: shown_refs(series.refs), field, number, size: symbols.len() })
}

fn spelled<'a>(
    symbols: Symbols<'a>,
    series: &Series<'_>,
    with_type_and_unit: bool,
) -> Result<Vec<RawLabel<'a>>, BadSeries> {
    let wrong = |source| BadSeries::Labels { refs: shown_refs(series.refs), source };
    let mut pairs = symbols.labels(series.refs).map_err(wrong)?;
    check_metadata(symbols, series)?;
    let MetadataRefs { kind, unit, .. } = series.metadata;
    let unit = symbols.get(unit).unwrap_or_default();
    if with_type_and_unit && (kind != MetricType::Unknown || !unit.is_empty()) {
        pairs.retain(|(name, _)| *name != TYPE_LABEL && *name != UNIT_LABEL);
        if kind != MetricType::Unknown {
            pairs.push((TYPE_LABEL, kind.as_str().as_bytes()));
        }
        if !unit.is_empty() {
            pairs.push((UNIT_LABEL, unit));
        }
    }
    Ok(pairs)
}

/// `[1 2 3]`, long lists cut.
fn shown_refs(refs: &[u32]) -> String {
    let shown: Vec<String> = refs.iter().take(MAX_SHOWN_REFS).map(u32::to_string).collect();
    let more = if refs.len() > MAX_SHOWN_REFS { " …" } else { "" };
    format!("[{}{more}]", shown.join(" "))
}
