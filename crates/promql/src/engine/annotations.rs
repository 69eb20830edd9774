//! Infos and warnings: what a query wants to tell about a result that it did give.
//!
//! Always true: one text is kept once, with the rightmost of its positions, so that the set does not depend on the order in
//! which threads found them. Texts are Prometheus' own, see `conformance/inventories/annotations.tsv`; they get their
//! position when they are rendered against the query.

use std::collections::BTreeMap;

use narthex_model::{format_float_general, quote_go};

use super::kernels::date::format_rfc3339;
use crate::ast::Span;

/// How serious an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The result is right but perhaps not what was meant.
    Info,
    /// The result may be incomplete or useless.
    Warning,
}

/// The operation in which two histograms did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistogramOperation {
    Addition,
    Subtraction,
    Aggregation,
}

impl HistogramOperation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// The infos and warnings of a query.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    notes: BTreeMap<(Severity, String), Note>,
}

#[derive(Clone, Debug)]
struct Note {
    span: Span,
    detail: Detail,
}

#[derive(Clone, Debug)]
enum Detail {
    None,
    /// What a store told; it has no place in the query.
    Stored,
    Repaired(Repair),
    Overlaps(usize),
}

/// What had to be changed to make the buckets of a classic histogram rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Repair {
    /// Earliest and latest evaluation time, ms.
    pub times_ms: (i64, i64),
    /// Lowest and highest upper bound that was changed.
    pub buckets: (f64, f64),
    /// The largest change.
    pub max_diff: f64,
    /// How many histograms were changed.
    ///
    /// COMPAT: not as in Prometheus, which merges this note with itself at each step of a range query: one histogram changed at each
    /// of n steps counts 3·2ⁿ⁻¹−2 there (3298534883326 for 41), and nothing sensible from 64 on.
    pub count: usize,
}

impl Repair {
    fn merge(&mut self, other: &Self) {
        self.times_ms = (self.times_ms.0.min(other.times_ms.0), self.times_ms.1.max(other.times_ms.1));
        self.buckets = (self.buckets.0.min(other.buckets.0), self.buckets.1.max(other.buckets.1));
        self.max_diff = self.max_diff.max(other.max_diff);
        self.count += other.count;
    }
}

impl Annotations {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The texts of one severity as the API shows them, with positions: at most `max` of them (0 for all) and, when some
    /// are left out, a last one that says how many.
    #[must_use]
    pub fn texts(&self, severity: Severity, query: &str, max: usize) -> Vec<String> {
        let all = self.notes.iter().filter(|((s, _), _)| *s == severity);
        let total = all.clone().count();
        let shown = if max == 0 { total } else { max };
        let mut texts: Vec<String> =
            all.take(shown).map(|((_, text), note)| note.render(text, query)).collect();
        if total > shown {
            let word = if severity == Severity::Info { "info" } else { "warning" };
            texts.push(format!("{} more {word} annotations omitted", total - shown));
        }
        texts
    }

    /// Takes over all annotations of `other`.
    pub fn merge(&mut self, other: Self) {
        for (key, note) in other.notes {
            self.insert(key, note);
        }
    }

    fn insert(&mut self, key: (Severity, String), note: Note) {
        match self.notes.entry(key) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(note);
            }
            std::collections::btree_map::Entry::Occupied(mut old) => old.get_mut().merge(note),
        }
    }

    fn add(&mut self, severity: Severity, text: &str, span: Span) {
        let word = if severity == Severity::Info { "info" } else { "warning" };
        self.insert((severity, format!("PromQL {word}: {text}")), Note { span, detail: Detail::None });
    }

    /// A warning of the storage, in its own words.
    pub(crate) fn stored(&mut self, text: String) {
        let span = Span { start: 0, end: 0 };
        self.insert((Severity::Warning, text), Note { span, detail: Detail::Stored });
    }

    fn info(&mut self, text: impl AsRef<str>, span: Span) {
        self.add(Severity::Info, text.as_ref(), span);
    }

    fn warn(&mut self, text: impl AsRef<str>, span: Span) {
        self.add(Severity::Warning, text.as_ref(), span);
    }
}

impl Note {
    fn merge(&mut self, other: Self) {
        self.span = if other.span.start >= self.span.start { other.span } else { self.span };
        match (&mut self.detail, other.detail) {
            (Detail::Repaired(mine), Detail::Repaired(theirs)) => mine.merge(&theirs),
            (Detail::Overlaps(mine), Detail::Overlaps(theirs)) => *mine += theirs,
            _ => {}
        }
    }

    fn render(&self, text: &str, query: &str) -> String {
        let place = self.span.line_column(query);
        match &self.detail {
            Detail::Overlaps(n) if *n > 1 => format!("{text} ({n} occurrences) ({place})"),
            Detail::Stored => text.to_owned(),
            Detail::None | Detail::Overlaps(_) => format!("{text} ({place})"),
            Detail::Repaired(r) => format!(
                "{text}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {} ({place})",
                format_float_general(r.buckets.0),
                format_float_general(r.buckets.1),
                two_digits(r.max_diff),
                r.count,
                format_rfc3339(r.times_ms.0.div_euclid(1000)),
                format_rfc3339(r.times_ms.1.div_euclid(1000)),
            ),
        }
    }
}

/// Go's `%.2g`.
fn two_digits(v: f64) -> String {
    let text = format!("{v:.1e}");
    let Some((digits, exponent)) = text.split_once('e') else { return format_float_general(v) };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..2).contains(&exponent) {
        let decimals = usize::try_from(1 - exponent).unwrap_or(0);
        let fixed = format!("{v:.decimals$}");
        return if fixed.contains('.') {
            fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            fixed
        };
    }
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn for_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", quote_go(name)) }
}

/// The texts, one function each.
impl Annotations {
    pub(crate) fn invalid_quantile(&mut self, q: f64, span: Span) {
        let q = format_float_general(q);
        self.warn(format!("quantile value should be between 0 and 1, got {q}"), span);
    }

    pub(crate) fn invalid_ratio(&mut self, ratio: f64, capped: f64, span: Span) {
        let (ratio, capped) = (format_float_general(ratio), format_float_general(capped));
        self.warn(format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}"), span);
    }

    pub(crate) fn bad_bucket_label(&mut self, metric: &str, value: &str, span: Span) {
        let value = quote_go(value);
        let metric = for_metric(metric);
        self.warn(
            format!("bucket label \"le\" is missing or has a malformed value of {value}{metric}"),
            span,
        );
    }

    pub(crate) fn mixed_floats_histograms(&mut self, metric: &str, span: Span) {
        let metric = quote_go(metric);
        self.warn(format!("encountered a mix of histograms and floats for metric name {metric}"), span);
    }

    pub(crate) fn mixed_in_aggregation(&mut self, span: Span) {
        self.warn("encountered a mix of histograms and floats for aggregation", span);
    }

    pub(crate) fn mixed_classic_native(&mut self, metric: &str, span: Span) {
        let metric = for_metric(metric);
        self.warn(format!("vector contains a mix of classic and native histograms{metric}"), span);
    }

    pub(crate) fn native_not_counter(&mut self, metric: &str, span: Span) {
        self.warn(format!("this native histogram metric is not a counter: {}", quote_go(metric)), span);
    }

    pub(crate) fn native_not_gauge(&mut self, metric: &str, span: Span) {
        self.warn(format!("this native histogram metric is not a gauge: {}", quote_go(metric)), span);
    }

    pub(crate) fn mixed_exponential_custom(&mut self, metric: &str, span: Span) {
        let metric = quote_go(metric);
        self.warn(
            format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric}"
            ),
            span,
        );
    }

    pub(crate) fn incompatible_buckets(&mut self, operator: &str, span: Span) {
        self.warn(format!("incompatible bucket layout encountered for binary operator {operator}"), span);
    }

    pub(crate) fn sort_in_range_query(&mut self, span: Span) {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        self.warn(text, span);
    }

    pub(crate) fn counter_reset_collision(&mut self, operation: HistogramOperation, span: Span) {
        self.warn(format!("conflicting counter resets during histogram {}", operation.as_str()), span);
    }

    pub(crate) fn start_time_overlap(&mut self, metric: &str, span: Span) {
        let metric = quote_go(metric);
        let text = format!(
            "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric {metric}"
        );
        self.insert((Severity::Warning, text), Note { span, detail: Detail::Overlaps(1) });
    }

    pub(crate) fn not_a_counter(&mut self, metric: &str, span: Span) {
        let metric = quote_go(metric);
        self.info(
            format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric}"
            ),
            span,
        );
    }

    pub(crate) fn not_typed_as_counter(&mut self, metric: &str, kind: &str, span: Span) {
        let (metric, kind) = (quote_go(metric), quote_go(kind));
        self.info(
            format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind}: {metric}"
            ),
            span,
        );
    }

    pub(crate) fn repaired_buckets(&mut self, metric: &str, repair: Repair, span: Span) {
        let text = format!(
            "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
            for_metric(metric)
        );
        self.insert((Severity::Info, text), Note { span, detail: Detail::Repaired(repair) });
    }

    pub(crate) fn incompatible_types(&mut self, lhs: &str, operator: &str, rhs: &str, span: Span) {
        let quoted = quote_go(operator);
        self.info(
            format!(
                "incompatible sample types encountered for binary operator {quoted}: {lhs} {operator} {rhs}"
            ),
            span,
        );
    }

    pub(crate) fn histogram_ignored_in(&mut self, aggregation: &str, span: Span) {
        self.info(format!("ignored histogram in {aggregation} aggregation"), span);
    }

    pub(crate) fn histograms_ignored_in_range(&mut self, metric: &str, span: Span) {
        let metric = quote_go(metric);
        self.info(
            format!(
                "ignored histograms in a range containing both floats and histograms for metric name {metric}"
            ),
            span,
        );
    }

    pub(crate) fn nan_makes_quantile_nan(&mut self, metric: &str, span: Span) {
        let metric = for_metric(metric);
        self.info(format!("input to histogram_quantile has NaN observations, result is NaN{metric}"), span);
    }

    pub(crate) fn nan_skews_quantile(&mut self, metric: &str, span: Span) {
        let metric = for_metric(metric);
        self.info(
            format!("input to histogram_quantile has NaN observations, result is skewed higher{metric}"),
            span,
        );
    }

    pub(crate) fn nan_left_out_of_fraction(&mut self, metric: &str, span: Span) {
        let metric = for_metric(metric);
        self.info(
            format!(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions{metric}"
            ),
            span,
        );
    }

    pub(crate) fn custom_buckets_reconciled(&mut self, operation: HistogramOperation, span: Span) {
        self.info(format!("mismatched custom buckets were reconciled during {}", operation.as_str()), span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_once_with_its_rightmost_place() {
        let mut a = Annotations::default();
        a.not_a_counter("x", Span::new(12, 13));
        a.not_a_counter("x", Span::new(5, 6));
        let expected = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"x\" (1:13)";
        assert_eq!(a.texts(Severity::Info, "rate(x[5m]) + rate(x[5m])", 0), [expected]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut a = Annotations::default();
        for name in ["a", "b", "c"] {
            a.native_not_gauge(name, Span::new(0, 1));
        }
        let texts = a.texts(Severity::Warning, "q", 1);
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[1], "2 more warning annotations omitted");
    }

    #[test]
    fn two_digits_follow_go() {
        for (v, text) in [(0.5, "0.5"), (12.0, "12"), (123.0, "1.2e+02"), (0.00001234, "1.2e-05"), (2.0, "2")]
        {
            assert_eq!(two_digits(v), text);
        }
    }
}
