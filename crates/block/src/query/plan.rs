//! The plan of a selector: which matcher goes first, and whether it looks at postings or at the candidates' own labels.
//!
//! Equalities come first, the rarest of them before the others; then sets of literals; then other conditions that need the
//! label; last those that series without the label satisfy too, which only take away. A list of postings that is long beside the
//! candidates is not read at all: the condition is then checked on the labels of each candidate, which are read anyway.
//! Always true: the result is exactly the series that satisfy every matcher; no matcher at all selects every series.

use narthex_model::{MatchOp, Matcher};
use rustc_hash::FxHashMap;

use crate::fault::Fault;
use crate::index::{ChunkRefs, Index, LabelName, List, Value, intersect, union, without};
use crate::{Block, ReadError};

/// How many entries of a list cost as much as a look at one candidate's labels: verifying and searching 4 bytes takes about 0.5
/// ns, reading an entry about 50.
const LONG: u64 = 64;
/// The same for entries of several lists, which have to be sorted into one: some 10 ns each.
const MANY: u64 = 4;

/// The series that may satisfy a selector, and what is still to be checked on the labels of each.
pub(crate) struct Plan<'m> {
    candidates: Vec<u32>,
    conditions: Vec<Condition<'m>>,
}

/// A matcher with what the index knows about its label.
struct Step<'i, 'm> {
    matcher: &'m Matcher,
    /// `None` when no series has the label.
    label: Option<&'i LabelName>,
    /// Low ones go first: the class, then the number of series.
    order: (u8, u64),
}

/// A matcher that is checked on labels.
struct Condition<'m> {
    matcher: &'m Matcher,
    /// The symbol of the label's name.
    name: u32,
    accepts_absent: bool,
    /// What was found about values, by symbol.
    known: FxHashMap<u32, bool>,
}

impl<'m> Plan<'m> {
    /// Plans a selector.
    pub(crate) fn new(block: &Block, matchers: &'m [Matcher]) -> Result<Self, ReadError> {
        Self::of(block.index(), matchers).map_err(|fault| block.index_error("decode postings", fault))
    }

    fn of(index: &Index, matchers: &'m [Matcher]) -> Result<Self, Fault> {
        let mut steps = Vec::with_capacity(matchers.len());
        for matcher in matchers.iter().filter(|m| !accepts_all(m)) {
            steps.push(Step::new(index, matcher)?);
        }
        steps.sort_by_key(|step| step.order);
        let mut plan = Self { candidates: Vec::new(), conditions: Vec::new() };
        let mut steps = steps.iter();
        let begin = match steps.as_slice().first() {
            Some(first) if !first.matcher.matches_empty() => steps.next(),
            _ => None,
        };
        plan.candidates = match begin {
            Some(step) => step.series(index)?,
            None => index.all()?.iter().collect(),
        };
        for step in steps {
            if plan.candidates.is_empty() {
                break;
            }
            plan.narrow(index, step)?;
        }
        Ok(plan)
    }

    fn narrow<'i>(&mut self, index: &'i Index, step: &Step<'i, 'm>) -> Result<(), Fault> {
        let accepts_absent = step.matcher.matches_empty();
        let Some(label) = step.label else {
            if !accepts_absent {
                self.candidates.clear();
            }
            return Ok(());
        };
        let Some(lists) = step.lists_beside(index, label, self.candidates.len() as u64)? else {
            self.conditions.push(Condition {
                matcher: step.matcher,
                name: label.symbol,
                accepts_absent,
                known: FxHashMap::default(),
            });
            return Ok(());
        };
        if accepts_absent {
            lists.iter().for_each(|list| without(&mut self.candidates, *list));
        } else if let [only] = lists.as_slice() {
            intersect(&mut self.candidates, *only);
        } else {
            let any = union(&lists);
            intersect_sorted(&mut self.candidates, &any);
        }
        Ok(())
    }

    /// Reads the entries of all candidates in order and gives those that satisfy the selector to `visit`: the series, its labels
    /// as symbols of names and values in turn, its chunks. Stops when `visit` returns `false`.
    pub(crate) fn walk(
        &mut self,
        block: &Block,
        mut visit: impl FnMut(u32, &[u32], ChunkRefs<'_>) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let (index, mut pairs) = (block.index(), Vec::with_capacity(64));
        let mut last = None;
        for series in &self.candidates {
            check_order(&mut last, *series).map_err(|fault| block.index_error("decode postings", fault))?;
            pairs.clear();
            let read =
                index.entry(*series).and_then(|entry| entry.visit(|name, value| pairs.extend([name, value])));
            let chunks = read.map_err(|fault| block.index_error("read series", fault))?;
            let mut is_wanted = true;
            for condition in &mut self.conditions {
                is_wanted &= condition
                    .accepts(index, &pairs)
                    .map_err(|fault| block.index_error("lookup label value", fault))?;
            }
            if is_wanted && !visit(*series, &pairs, chunks)? {
                break;
            }
        }
        Ok(())
    }

    /// An upper bound of the series that satisfy the selector.
    pub(crate) fn candidates(&self) -> usize {
        self.candidates.len()
    }
}

impl<'i, 'm> Step<'i, 'm> {
    fn new(index: &'i Index, matcher: &'m Matcher) -> Result<Self, Fault> {
        // The nameless label is the index's own list of all series, no label of any.
        let label = index.names().find(&matcher.name).filter(|label| !label.text.is_empty());
        let order = match matcher.op {
            _ if matcher.matches_empty() => (3, 0),
            MatchOp::Equal => (0, label.map_or(Ok(0), |label| series_with(index, label, &matcher.value))?),
            MatchOp::Regex if literals(matcher).is_some() => (1, 0),
            MatchOp::Regex | MatchOp::NotEqual | MatchOp::NotRegex => (2, 0),
        };
        Ok(Self { matcher, label, order })
    }

    /// The series with a value that the matcher accepts.
    fn series(&self, index: &'i Index) -> Result<Vec<u32>, Fault> {
        let Some(label) = self.label else { return Ok(Vec::new()) };
        let mut lists = Vec::new();
        let mut entries = 0;
        for_values(index, label, self.matcher, true, |value| {
            entries += index.postings_len(&value);
            check_room(index, entries)?;
            lists.push(index.postings(&value)?);
            Ok(true)
        })?;
        Ok(union(&lists))
    }

    /// The lists of the values that decide about the label: those that the matcher accepts, or, when it accepts series without
    /// the label too, those that it refuses. `None` when they are so many that so many candidates are looked at with less work.
    fn lists_beside(
        &self,
        index: &'i Index,
        label: &LabelName,
        candidates: u64,
    ) -> Result<Option<Vec<List<'i>>>, Fault> {
        let looks = literals(self.matcher).map_or(u64::from(label.values), |texts| texts.len() as u64);
        if candidates < looks {
            return Ok(None);
        }
        let mut values = Vec::new();
        let mut entries = 0;
        for_values(index, label, self.matcher, !self.matcher.matches_empty(), |value| {
            entries += index.postings_len(&value);
            check_room(index, entries)?;
            values.push(value);
            Ok(true)
        })?;
        // One list is searched where it lies; several are sorted into one first.
        let worth = if values.len() == 1 { LONG } else { MANY };
        if entries > candidates.saturating_mul(worth) {
            return Ok(None);
        }
        values.iter().map(|value| index.postings(value)).collect::<Result<_, _>>().map(Some)
    }
}

/// Gives the values of a label that the matcher accepts (or refuses, for `accepted` false) to `visit`, in order, until that
/// returns `false`.
pub(super) fn for_values<'i>(
    index: &'i Index,
    label: &LabelName,
    matcher: &Matcher,
    accepted: bool,
    mut visit: impl FnMut(Value<'i>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let is_negative = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
    let texts = literals(matcher).filter(|_| accepted != is_negative);
    if let Some(texts) = texts {
        for text in texts {
            match index.value(label, text.as_bytes())? {
                Some(value) if !visit(value)? => return Ok(()),
                _ => {}
            }
        }
        return Ok(());
    }
    // Values that the expression matches begin with its prefix.
    let prefix = matcher.regex().filter(|_| accepted != is_negative).map_or("", |regex| regex.prefix());
    for value in index.values_from(label, prefix.as_bytes())? {
        let value = value?;
        if !value.text.starts_with(prefix.as_bytes()) {
            break;
        }
        let is_match = matcher.matches(&String::from_utf8_lossy(value.text));
        if is_match == accepted && !visit(value)? {
            break;
        }
    }
    Ok(())
}

impl Condition<'_> {
    #[inline]
    fn accepts(&mut self, index: &Index, pairs: &[u32]) -> Result<bool, Fault> {
        let (pairs, _) = pairs.as_chunks::<2>();
        let Some([_, value]) = pairs.iter().find(|[name, _]| *name == self.name) else {
            return Ok(self.accepts_absent);
        };
        if let Some(known) = self.known.get(value) {
            return Ok(*known);
        }
        let (symbols, file) = index.symbols();
        let text = symbols.text(file, symbols.place(file, *value)?)?;
        let is_match = self.matcher.matches(&String::from_utf8_lossy(text));
        self.known.insert(*value, is_match);
        Ok(is_match)
    }
}

/// A list that does not rise would give a series twice.
#[inline]
fn check_order(last: &mut Option<u32>, series: u32) -> Result<(), Fault> {
    match last.replace(series) {
        Some(last) if last >= series => Err(Fault::Order { series, last }),
        _ => Ok(()),
    }
}

/// Lists of one label have no series in common, so they lie side by side in the file. Damaged ones could claim more memory than
/// there is.
fn check_room(index: &Index, entries: u64) -> Result<(), Fault> {
    let bytes = index.size_bytes();
    if entries > bytes / 4 { Err(Fault::Overlap { entries, bytes }) } else { Ok(()) }
}

fn series_with(index: &Index, label: &LabelName, value: &str) -> Result<u64, Fault> {
    let value = index.value(label, value.as_bytes())?;
    Ok(value.map_or(0, |value| index.postings_len(&value)))
}

fn intersect_sorted(set: &mut Vec<u32>, other: &[u32]) {
    let mut rest = other;
    set.retain(|series| {
        while let [first, more @ ..] = rest
            && first < series
        {
            rest = more;
        }
        rest.first() == Some(series)
    });
}

/// The finite set of texts that the matcher names, if it does.
fn literals(matcher: &Matcher) -> Option<&[String]> {
    match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => Some(std::slice::from_ref(&matcher.value)),
        MatchOp::Regex | MatchOp::NotRegex => matcher.regex()?.literals(),
    }
}

/// Whether every series satisfies the matcher.
fn accepts_all(matcher: &Matcher) -> bool {
    matcher.op == MatchOp::Regex && matcher.value == ".*"
}
