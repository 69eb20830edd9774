//! Reads the entries of a body, line by line, without copying.
//!
//! Always true: an entry borrows the body; after an error or the end there is nothing more to read. The common line goes
//! through `fast`, everything else through `grammar`, which alone decides what is an error.

mod fast;
mod grammar;
mod lexer;
mod number;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use narthex_model::MetricType;

use crate::labels::{self, metric_name};
use crate::{Entry, ParseError, Series};
use grammar::Grammar;
use lexer::{Lexer, State, Token};

/// Which of the two text formats a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Prometheus text 0.0.4 or 1.0.0.
    Text,
    /// OpenMetrics text 1.0.
    OpenMetrics,
}

impl Dialect {
    /// The type behind the word of a `# TYPE` line; `None` when the format has no such word.
    fn type_of(self, word: &str) -> Option<MetricType> {
        let known = match self {
            Self::Text => matches!(word, "counter" | "gauge" | "histogram" | "summary" | "untyped"),
            Self::OpenMetrics => word != "untyped",
        };
        MetricType::from_word(word).filter(|_| known)
    }
}

/// Whether a unit is empty or the last word of the name.
fn is_unit_of(unit: &str, name: &str) -> bool {
    unit.is_empty() || name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

/// Walks over a body. Cheap to clone: a clone goes on from the same place.
#[derive(Clone, Debug)]
pub struct Parser<'b> {
    lexer: Lexer<'b>,
    /// The type of the family that the last `# TYPE` line named.
    kind: MetricType,
    /// No zero byte stands in the body, so that the fast path may run.
    plain: bool,
    /// The whole body is UTF-8, so that no series need be looked at again.
    utf8: bool,
    skip_created: bool,
    /// The family that the last metadata line named, and its unit.
    family: &'b str,
    unit: &'b str,
    /// The next `_created` line of the family at hand, found by looking ahead.
    ahead: Ahead<'b>,
}

/// What looking ahead found: the result holds until the parser reaches `until`.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead<'b> {
    until: usize,
    created: Option<Series<'b>>,
}

impl<'b> Parser<'b> {
    /// A parser at the start of `body`.
    #[must_use]
    pub fn new(body: &'b [u8], dialect: Dialect) -> Self {
        let (ascii, plain) = survey(body);
        let utf8 = ascii || std::str::from_utf8(body).is_ok();
        Self {
            lexer: Lexer::new(body, dialect),
            kind: MetricType::Unknown,
            plain,
            utf8,
            skip_created: false,
            family: "",
            unit: "",
            ahead: Ahead::default(),
        }
    }

    /// Leaves out the `_created` lines of counters, histograms and summaries; [`Parser::start_ms`] then tells what they hold.
    #[must_use]
    pub fn without_created_series(mut self) -> Self {
        self.skip_created = self.lexer.dialect == Dialect::OpenMetrics;
        self
    }

    /// The type that the last `# TYPE` line named, whatever its family.
    #[must_use]
    pub fn kind(&self) -> MetricType {
        self.kind
    }

    /// The unit of the family that the last metadata line named; may be empty.
    #[must_use]
    pub fn unit(&self) -> &'b str {
        self.unit
    }

    /// The format of the body.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.lexer.dialect
    }

    /// Where the next entry begins, in bytes; at most the length of the body.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.lexer.at.min(self.lexer.body.len())
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// When the body is malformed.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not be asked for the type in between"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'b>>, ParseError> {
        self.next_like(b"")
    }

    /// Like [`Parser::next`], with a guess: `hint` are the raw bytes of a series that may come next, as an earlier body of the
    /// same format had them. A right guess saves reading name and labels; a wrong one costs a comparison.
    ///
    /// # Errors
    /// When the body is malformed.
    #[inline]
    pub fn next_like(&mut self, hint: &[u8]) -> Result<Option<Entry<'b>>, ParseError> {
        loop {
            let entry = match self.fast(hint) {
                Some(entry) => Some(entry),
                None => self.slow()?,
            };
            match &entry {
                Some(Entry::Series(series)) if self.skip_created && self.is_created(series.raw) => {}
                _ => return Ok(entry),
            }
        }
    }

    #[inline]
    fn fast(&mut self, hint: &[u8]) -> Option<Entry<'b>> {
        let Lexer { body, dialect, state, at, .. } = self.lexer;
        if !self.plain || state != State::Init || at >= body.len() {
            return None;
        }
        if body[at] == b'#' {
            return self.fast_metadata();
        }
        let (series, next) = fast::series(body, at, dialect, hint)?;
        let end = next.min(body.len());
        if !self.utf8 && std::str::from_utf8(&body[at..end]).is_err() {
            return None;
        }
        self.lexer.at = next;
        Some(Entry::Series(series))
    }

    fn fast_metadata(&mut self) -> Option<Entry<'b>> {
        let dialect = self.lexer.dialect;
        let (meta, next) = fast::metadata(self.lexer.body, self.lexer.at, dialect)?;
        let (name, text) = (meta.name, meta.text);
        self.enter(name);
        let entry = match meta.word {
            b'H' => Entry::Help { name, text: unescape(text, dialect == Dialect::OpenMetrics) },
            b'T' => {
                self.kind = dialect.type_of(text)?;
                Entry::Type { name, kind: self.kind }
            }
            _ => {
                self.unit = is_unit_of(text, name).then_some(text)?;
                Entry::Unit { name, unit: text }
            }
        };
        self.lexer.at = next;
        Some(entry)
    }

    #[cold]
    fn slow(&mut self) -> Result<Option<Entry<'b>>, ParseError> {
        let entry = Grammar::new(&mut self.lexer).entry();
        match &entry {
            Ok(Some(Entry::Type { name, kind })) => {
                self.enter(name);
                self.kind = *kind;
            }
            Ok(Some(Entry::Help { name, .. })) => self.enter(name),
            Ok(Some(Entry::Unit { name, unit })) => {
                self.enter(name);
                self.unit = unit;
            }
            Ok(Some(Entry::Series(_) | Entry::Comment(_))) => {}
            // Stay at the end.
            Ok(None) | Err(_) => {
                self.lexer = Lexer { at: self.lexer.end(), state: State::Init, ..self.lexer }
            }
        }
        entry
    }

    /// Whether a series only tells when another one started.
    fn is_created(&self, raw: &[u8]) -> bool {
        has_start(self.kind)
            && metric_name(raw, self.dialect()).is_some_and(|name| name.ends_with(b"_created"))
    }

    /// A metadata line names a family. A unit is that of its own family alone.
    fn enter(&mut self, family: &'b str) {
        if self.family != family {
            (self.family, self.unit) = (family, "");
        }
    }

    /// When the counter behind `series` started, in milliseconds: looks ahead for its `_created` line among the lines of its
    /// family. `series` must be the entry that was read last. Costs a second look at those lines, each once.
    #[must_use]
    pub fn start_ms(&mut self, series: &Series<'_>) -> Option<i64> {
        if !has_start(self.kind) || self.dialect() != Dialect::OpenMetrics {
            return None;
        }
        if self.offset() >= self.ahead.until {
            self.ahead = self.look_ahead();
        }
        let created = self.ahead.created?;
        let family = metric_name(created.raw, Dialect::OpenMetrics)?.strip_suffix(b"_created")?;
        let same = labels::Identity::of(series.raw, self.kind)?.is_created_by(family, created.raw);
        same.then(|| number::seconds_to_ms(created.value))
    }

    fn look_ahead(&self) -> Ahead<'b> {
        let mut parser = Self { skip_created: false, ..self.clone() };
        while let Ok(Some(Entry::Series(series))) = parser.next() {
            let name = metric_name(series.raw, Dialect::OpenMetrics);
            if name.is_some_and(|name| name.ends_with(b"_created")) {
                return Ahead { until: parser.offset(), created: Some(series) };
            }
        }
        // At least one byte, so that the end is only looked for once.
        Ahead { until: parser.offset(), created: None }
    }
}

/// Whether all bytes are ASCII, and whether none is zero, in one pass that the compiler turns into vector code.
///
/// PERF: bench `parse`, hinted: 30 ns a line instead of 41 with `str::from_utf8` and a search for zero.
fn survey(body: &[u8]) -> (bool, bool) {
    let (mut all, mut least) = (0u8, u8::MAX);
    for chunk in body.chunks(4096) {
        (all, least) = chunk.iter().fold((all, least), |(all, least), b| (all | b, least.min(*b)));
    }
    (all < 0x80, least > 0)
}

fn has_start(kind: MetricType) -> bool {
    matches!(kind, MetricType::Counter | MetricType::Histogram | MetricType::Summary)
}

/// Replaces `\\` and `\n`, and `\"` when `quotes`. Other backslashes stay.
pub(crate) fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (plain, width) = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => ('\\', 2),
            Some(b'n') => ('\n', 2),
            Some(b'"') if quotes => ('"', 2),
            _ => ('\\', 1),
        };
        out.push(plain);
        rest = &rest[at + width..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Calls `each` with the parts of `raw`: the name as `(None, name)`, then labels as `(Some(name), value)`, all without quotes
/// and still escaped. `raw` must come from a parser of this dialect.
pub(crate) fn walk_raw<'b>(
    raw: &'b [u8],
    dialect: Dialect,
    mut each: impl FnMut(Option<&'b [u8]>, &'b [u8]),
) {
    if raw.contains(&0) || !fast::walk(raw, dialect == Dialect::Text, &mut each) {
        walk_tokens(raw, dialect, each);
    }
}

/// [`walk_raw`] by tokens: for any raw bytes that a parser gave.
fn walk_tokens<'b>(raw: &'b [u8], dialect: Dialect, mut each: impl FnMut(Option<&'b [u8]>, &'b [u8])) {
    let mut lexer = Lexer::new(raw, dialect);
    let mut pending: Option<&[u8]> = None;
    loop {
        let token = lexer.token();
        let bytes = lexer.token_bytes();
        match token {
            // COMPAT: blanks before a name at the start of a line are part of it (case text/lead-space).
            Token::MetricName => each(None, lexer.slice(0, lexer.at)),
            Token::LabelName => pending = Some(bytes),
            Token::Quoted => pending = Some(inner(bytes)),
            Token::LabelValue => {
                if let Some(name) = pending.take() {
                    each(Some(name), inner(bytes));
                }
            }
            Token::Comma | Token::BraceClose => {
                if let Some(name) = pending.take() {
                    each(None, name);
                }
            }
            Token::BraceOpen | Token::Equal | Token::White => {}
            _ => return,
        }
    }
}

/// Like [`walk_raw`] for the labels of an exemplar, from `{` to `}`.
pub(crate) fn walk_exemplar<'b>(raw: &'b [u8], mut each: impl FnMut(&'b [u8], &'b [u8])) {
    let mut lexer =
        Lexer { state: State::Exemplar, at: 1.min(raw.len()), ..Lexer::new(raw, Dialect::OpenMetrics) };
    let mut name: &[u8] = b"";
    loop {
        let token = lexer.token();
        let bytes = lexer.token_bytes();
        match token {
            Token::LabelName => name = bytes,
            Token::Quoted => name = inner(bytes),
            Token::LabelValue => each(name, inner(bytes)),
            Token::Comma | Token::Equal => {}
            _ => return,
        }
    }
}

/// What stands between the first and the last byte.
fn inner(quoted: &[u8]) -> &[u8] {
    quoted.get(1..quoted.len() - 1).unwrap_or_default()
}
