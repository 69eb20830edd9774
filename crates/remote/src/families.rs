//! Type, unit and help by the name of a series, for 2.0, which carries them beside the samples.
//!
//! What the targets show at present, looked at with each round of `metadata_config`. COMPAT: Prometheus knows only what
//! `metadata-wal-records` logs, and sends nothing without that feature.
//! Cost: one look-up a series of a request; up to two when its name is not its family's.

use narthex_model::Metadata;
use rustc_hash::FxHashMap;

use crate::wire;

/// What a family's series add to its name.
const SUFFIXES: [&[u8]; 5] = [b"_bucket", b"_sum", b"_count", b"_total", b"_info"];

/// Families by name.
#[derive(Debug, Default)]
pub(crate) struct Families(FxHashMap<Box<[u8]>, Metadata>);

impl Families {
    /// Those of a list; of two with one name the later.
    #[must_use]
    pub(crate) fn new(families: Vec<(String, Metadata)>) -> Self {
        Self(families.into_iter().map(|(name, metadata)| (name.into_bytes().into(), metadata)).collect())
    }

    /// The family of a series, whose labels are fields as [`wire::put_label`] wrote them.
    #[must_use]
    pub(crate) fn of(&self, labels: &[u8]) -> Option<&Metadata> {
        if self.0.is_empty() {
            return None;
        }
        let (_, name) = wire::raw_labels(labels).find(|(label, _)| *label == b"__name__")?;
        let stem = || SUFFIXES.iter().find_map(|suffix| name.strip_suffix(*suffix));
        self.0.get(name).or_else(|| self.0.get(stem()?))
    }
}

#[cfg(test)]
mod tests {
    use narthex_model::MetricType;

    use super::*;

    #[test]
    fn a_series_has_the_metadata_of_its_family() {
        let of = |kind| Metadata { kind, help: String::new(), unit: String::new() };
        let all = [("a_total", MetricType::Counter), ("a", MetricType::Gauge), ("h", MetricType::Histogram)];
        let families = Families::new(all.map(|(name, kind)| (name.to_owned(), of(kind))).into());
        let kind = |name: &str| {
            let mut labels = Vec::new();
            wire::put_label(&mut labels, "Zone", "h");
            wire::put_label(&mut labels, "__name__", name);
            families.of(&labels).map(|metadata| metadata.kind)
        };
        assert_eq!(kind("a_total"), Some(MetricType::Counter));
        assert_eq!(kind("a_sum"), Some(MetricType::Gauge));
        assert_eq!(kind("h_bucket"), Some(MetricType::Histogram));
        assert_eq!((kind("b"), kind("h_b"), families.of(&[]).is_none()), (None, None, true));
    }
}
