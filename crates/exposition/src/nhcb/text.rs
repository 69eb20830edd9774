//! Classic histograms of the text formats, gathered line by line and given as native ones with custom buckets.
//!
//! Always true: a line that does not belong to the histogram at hand ends it; the native histogram comes before that line.
//! A histogram whose lines contradict each other is left out. Unless classic lines are to be kept, they are not given.
//! COMPAT: exemplars of the lines go to the native histogram, also when the lines are kept. Other than release 3.14, whose native
//! histogram takes the timestamp of whatever line follows, ours has that of its own last line.

use std::borrow::Cow;

use narthex_model::{BUCKET_LABEL, METRIC_NAME, MetricType, parse_go_float};

use super::ClassicParts;
use crate::native::{Native, NativeValue};
use crate::parser::{unescape, walk_raw};
use crate::protobuf::key::{Part, Tail, family_prefix};
use crate::protobuf::write::push_label;
use crate::{Entry, ParseError, Parser, RawExemplar, Series};

/// No line of text begins with this byte, so no key is taken for one.
const MARK: u8 = 0xff;

/// An entry of a body whose classic histograms are converted.
#[derive(Clone, Debug, PartialEq)]
pub enum CustomEntry<'b> {
    /// As the text has it.
    Text(Entry<'b>),
    /// A native histogram, which [`CustomHistograms`] tells more of.
    Histogram,
}

/// See the module's words.
#[derive(Debug)]
pub struct CustomHistograms<'b> {
    parser: Parser<'b>,
    keep_classic: bool,
    with_starts: bool,
    /// Read already, but a histogram comes first.
    pending: Option<Entry<'b>>,
    ended: bool,
    /// The family of the last `# TYPE` line.
    family: &'b str,
    /// The histogram that is being gathered.
    group: Option<Group<'b>>,
    parts: ClassicParts,
    /// The histogram that was given last.
    native: NativeValue,
    given: Given<'b>,
}

/// What a histogram's lines have in common.
#[derive(Debug)]
struct Group<'b> {
    /// Sorted, without bounds.
    labels: Vec<Label<'b>>,
    given: Given<'b>,
}

/// A label without escapes.
type Label<'b> = (Cow<'b, str>, Cow<'b, str>);

#[derive(Debug, Default)]
struct Given<'b> {
    key: Vec<u8>,
    as_hinted: bool,
    t_ms: Option<i64>,
    start_ms: Option<i64>,
    exemplars: Vec<RawExemplar<'b>>,
}

/// One line of a classic histogram.
struct Line<'b> {
    labels: Vec<Label<'b>>,
    number: Number,
}

#[derive(Clone, Copy)]
enum Number {
    Bucket(f64),
    Count,
    Sum,
}

impl<'b> CustomHistograms<'b> {
    /// Converts the classic histograms that `parser` gives. `keep_classic`: their lines are given, too. `with_starts`: look
    /// for the start of each, see [`Parser::start_ms`].
    #[must_use]
    pub fn new(parser: Parser<'b>, keep_classic: bool, with_starts: bool) -> Self {
        Self {
            parser,
            keep_classic,
            with_starts,
            pending: None,
            ended: false,
            family: "",
            group: None,
            parts: ClassicParts::default(),
            native: NativeValue::default(),
            given: Given::default(),
        }
    }

    /// The parser of the text.
    pub fn text(&mut self) -> &mut Parser<'b> {
        &mut self.parser
    }

    /// The next entry; `None` at the end. `hint` as for [`Parser::next_like`].
    ///
    /// # Errors
    /// When the body is malformed.
    pub fn next_like(&mut self, hint: &[u8]) -> Result<Option<CustomEntry<'b>>, ParseError> {
        loop {
            let entry = match self.pending.take() {
                Some(entry) => Some(entry),
                None if self.ended => None,
                None => self.parser.next_like(hint)?,
            };
            self.ended |= entry.is_none();
            let line = self.line_of(entry.as_ref());
            if self.is_over(entry.as_ref(), line.as_ref()) && self.finish_group(hint) {
                self.pending = entry;
                return Ok(Some(CustomEntry::Histogram));
            }
            let Some(entry) = entry else { return Ok(None) };
            match (entry, line) {
                (Entry::Series(series), Some(line)) => {
                    self.gather(&series, line);
                    if self.keep_classic {
                        let series = Series { exemplar: None, ..series };
                        return Ok(Some(CustomEntry::Text(Entry::Series(series))));
                    }
                }
                (entry, _) => {
                    if let Entry::Type { name, .. } = &entry {
                        self.family = name;
                    }
                    return Ok(Some(CustomEntry::Text(entry)));
                }
            }
        }
    }

    /// The line of a classic histogram that an entry is.
    fn line_of(&self, entry: Option<&Entry<'b>>) -> Option<Line<'b>> {
        match entry {
            Some(Entry::Series(series)) if self.parser.kind() == MetricType::Histogram => {
                let (name, labels) = labels_of(series, &self.parser)?;
                classic_line(&name, labels, self.family)
            }
            _ => None,
        }
    }

    /// Whether the histogram at hand ends before this entry. A line of its family with its labels that says nothing about it
    /// does not end it.
    fn is_over(&self, entry: Option<&Entry<'b>>, line: Option<&Line<'b>>) -> bool {
        let Some(group) = &self.group else { return false };
        match (entry, line) {
            (_, Some(line)) => line.labels != group.labels,
            (Some(Entry::Series(series)), None) if self.parser.kind() == MetricType::Histogram => {
                let found = labels_of(series, &self.parser);
                found.is_none_or(|(name, mut labels)| {
                    labels.retain(|(name, _)| name != BUCKET_LABEL);
                    base_name(&name).1 != self.family || labels != group.labels
                })
            }
            _ => true,
        }
    }

    fn gather(&mut self, series: &Series<'b>, line: Line<'b>) {
        if self.group.is_none() {
            let start_ms = if self.with_starts { self.parser.start_ms(series) } else { None };
            let key = key_of(self.family, self.parser.unit(), &line.labels);
            let given = Given { key, start_ms, ..Given::default() };
            self.parts.clear();
            self.group = Some(Group { labels: line.labels, given });
        }
        let Some(group) = &mut self.group else { return };
        group.given.t_ms = series.t_ms;
        group.given.exemplars.extend(series.exemplar);
        match line.number {
            Number::Bucket(bound) => self.parts.add_bucket(bound, series.value),
            Number::Count => self.parts.set_count(series.value),
            Number::Sum => self.parts.set_sum(series.value),
        }
    }

    /// Converts what was gathered. `false` when it makes no histogram.
    fn finish_group(&mut self, hint: &[u8]) -> bool {
        let Some(group) = self.group.take() else { return false };
        self.given = group.given;
        self.given.as_hinted = self.given.key == hint;
        self.parts.convert(&mut self.native).is_ok()
    }

    /// The key of the histogram; [`crate::decode_key`] reads it.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.given.key
    }

    /// Whether that key equals the hint that was given.
    #[must_use]
    pub fn as_hinted(&self) -> bool {
        self.given.as_hinted
    }

    /// The histogram.
    #[must_use]
    pub fn histogram(&self) -> Native<'_> {
        self.native.get()
    }

    /// The histogram, to be made smaller.
    pub fn histogram_mut(&mut self) -> &mut NativeValue {
        &mut self.native
    }

    /// The timestamp of its last line, ms.
    #[must_use]
    pub fn t_ms(&self) -> Option<i64> {
        self.given.t_ms
    }

    /// When its counter began, ms; only when starts were asked for.
    #[must_use]
    pub fn start_ms(&self) -> Option<i64> {
        self.given.start_ms
    }

    /// The exemplars of its lines that have a timestamp.
    pub fn exemplars(&self) -> impl Iterator<Item = &RawExemplar<'b>> {
        self.given.exemplars.iter().filter(|exemplar| exemplar.t_ms.is_some())
    }
}

/// The key of a series without its mark, when it is that of a converted histogram.
pub(crate) fn unmarked(key: &[u8]) -> &[u8] {
    key.strip_prefix(&[MARK]).unwrap_or(key)
}

fn key_of(name: &str, unit: &str, labels: &[Label<'_>]) -> Vec<u8> {
    let mut prefix = Vec::new();
    family_prefix(name.as_bytes(), unit.as_bytes(), &mut prefix);
    let mut key = vec![MARK];
    key.extend_from_slice(&prefix);
    labels.iter().for_each(|(name, value)| push_label(&mut key, name, value));
    key.extend_from_slice(Tail::new(Part::Whole, MetricType::Histogram).bytes());
    key
}

/// Name and labels of a series, sorted; `None` when they are not text.
fn labels_of<'b>(series: &Series<'b>, parser: &Parser<'b>) -> Option<(Cow<'b, str>, Vec<Label<'b>>)> {
    let (mut metric, mut labels, mut fine) = (None, Vec::new(), true);
    walk_raw(series.raw, parser.dialect(), |name, value| {
        let (name, value) =
            (std::str::from_utf8(name.unwrap_or(METRIC_NAME.as_bytes())), std::str::from_utf8(value));
        match (name, value) {
            (Ok(METRIC_NAME), Ok(value)) => metric = Some(unescape(value, true)),
            (Ok(name), Ok(value)) => labels.push((unescape(name, true), unescape(value, true))),
            _ => fine = false,
        }
    });
    labels.sort_unstable();
    metric.filter(|_| fine).map(|metric| (metric, labels))
}

/// What a series says about the classic histogram `family`.
fn classic_line<'b>(name: &str, mut labels: Vec<Label<'b>>, family: &str) -> Option<Line<'b>> {
    let (suffix, base) = base_name(name);
    if base != family {
        return None;
    }
    let number = match suffix {
        "_bucket" => {
            let (_, bound) = labels.iter().find(|(name, _)| name == BUCKET_LABEL)?;
            Number::Bucket(parse_go_float(bound).filter(|bound| !bound.is_nan())?)
        }
        "_count" => Number::Count,
        "_sum" => Number::Sum,
        _ => return None,
    };
    labels.retain(|(name, _)| name != BUCKET_LABEL);
    Some(Line { labels, number })
}

/// The suffix of a classic histogram's series, and what stands before it.
fn base_name(name: &str) -> (&'static str, &str) {
    let known = ["_bucket", "_sum", "_count"].into_iter();
    known.into_iter().find_map(|s| name.strip_suffix(s).map(|base| (s, base))).unwrap_or(("", name))
}

#[cfg(test)]
mod tests;
