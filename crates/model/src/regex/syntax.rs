//! Reads Go's regular expression syntax (RE2 with Perl extensions) into the syntax tree that the engine compiles.
//!
//! Holds: the grammar, flags, limits and error texts. Must not know: matching.
//! Always true: what Go refuses is refused in its words, with the offending part in backquotes; what it accepts has its meaning,
//! also where Rust's own syntax differs (`\pN` and friends by exact names, ASCII `\d \w \s \b`, `\Q…\E`, a lone `{` as itself).
//! Facts: Go `regexp/syntax` documentation; the order of checks by probing its errors.

use regex_syntax::hir::{Capture, Class, ClassUnicode, Dot, Hir, HirKind, Look, Repetition};

use super::RegexError;
use super::class;
use super::escape;

/// The largest count in `x{n,m}`, also multiplied over nested repetitions.
const MAX_REPEAT: u32 = 1000;
/// How deep a syntax tree may be.
const MAX_HEIGHT: u32 = 1000;

/// A parsed expression: the tree, and the name of each group from 1 on (`None`: by number only).
pub(super) struct Parsed {
    pub(super) tree: Hir,
    pub(super) names: Vec<Option<Box<str>>>,
}

/// Parses `source`. `dot_all`: whether `.` matches a line break at the outset.
pub(super) fn parse(source: &str, dot_all: bool) -> Result<Parsed, RegexError> {
    let flags = Flags { fold: false, multi_line: false, dot_all, lazy: false };
    let mut parser =
        Parser { source, rest: source, flags, frames: vec![Frame::new(flags, None)], names: Vec::new() };
    let mut last_repeat = None;
    while !parser.rest.is_empty() {
        last_repeat = parser.step(last_repeat)?;
    }
    let frame = parser.frames.pop().expect("the outermost frame is only popped here");
    if !parser.frames.is_empty() {
        return Err(error("missing closing )", source));
    }
    Ok(Parsed { tree: parser.close(frame)?.tree, names: parser.names })
}

/// `reason` and the offending part.
pub(super) fn error(reason: &str, part: &str) -> RegexError {
    RegexError { reason: format!("{reason}: `{part}`") }
}

/// What `(?imsU)` switches.
#[derive(Clone, Copy)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_all: bool,
    lazy: bool,
}

/// A finished part of the tree and its height.
struct Node {
    tree: Hir,
    height: u32,
}

/// An open group: its finished alternatives and the items of the current one.
struct Frame {
    alternatives: Vec<Node>,
    items: Vec<Node>,
    /// What the flags return to after the group.
    outer: Flags,
    /// The number of a capturing group.
    number: Option<u32>,
}

impl Frame {
    fn new(outer: Flags, number: Option<u32>) -> Self {
        Self { alternatives: Vec::new(), items: Vec::new(), outer, number }
    }

    fn end_alternative(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.alternatives.push(join(items, Hir::concat));
    }
}

/// Several nodes as one.
fn join(mut nodes: Vec<Node>, combine: fn(Vec<Hir>) -> Hir) -> Node {
    if nodes.len() == 1 {
        return nodes.remove(0);
    }
    let height = 1 + nodes.iter().map(|n| n.height).max().unwrap_or(0);
    Node { tree: combine(nodes.into_iter().map(|n| n.tree).collect()), height }
}

struct Parser<'s> {
    source: &'s str,
    rest: &'s str,
    flags: Flags,
    frames: Vec<Frame>,
    names: Vec<Option<Box<str>>>,
}

impl<'s> Parser<'s> {
    /// Reads one item. `last_repeat` is the text from the repetition operator on, when the item before was one; the new value
    /// is returned.
    fn step(&mut self, last_repeat: Option<&'s str>) -> Result<Option<&'s str>, RegexError> {
        let text = self.rest;
        let c = text.chars().next().expect("the caller saw that text is left");
        match c {
            '(' if text.starts_with("(?") => self.group_or_flags()?,
            '(' => {
                self.rest = &text[1..];
                self.open_capture(None);
            }
            '|' => {
                self.rest = &text[1..];
                self.frame().end_alternative();
            }
            ')' => self.close_group()?,
            '^' => self.look(1, if self.flags.multi_line { Look::StartLF } else { Look::Start }),
            '$' => self.look(1, if self.flags.multi_line { Look::EndLF } else { Look::End }),
            '.' => {
                self.rest = &text[1..];
                self.push(Hir::dot(if self.flags.dot_all { Dot::AnyChar } else { Dot::AnyCharExceptLF }));
            }
            '[' => {
                let class = self.bracket_class()?;
                self.push(Hir::class(Class::Unicode(class)));
            }
            '*' | '+' | '?' => {
                let (min, max) =
                    [(0, None), (1, None), (0, Some(1))]["*+?".find(c).expect("one of the three")];
                return self.repeat(min, max, &text[1..], false, last_repeat).map(Some);
            }
            '{' => match counts(text) {
                Some((range, after)) => {
                    let (min, max) =
                        range.ok_or_else(|| error("invalid repeat count", before(text, after)))?;
                    return self.repeat(min, max, after, true, last_repeat).map(Some);
                }
                None => self.literal('{'),
            },
            '\\' => self.escape()?,
            c => self.literal(c),
        }
        Ok(None)
    }

    fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("the outermost frame stays until the end")
    }

    fn push(&mut self, tree: Hir) {
        self.frame().items.push(Node { tree, height: 1 });
    }

    /// Consumes `c` as itself.
    fn literal(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
        self.push_code_point(u32::from(c));
    }

    fn push_code_point(&mut self, code: u32) {
        let mut class = ClassUnicode::empty();
        class::push_range(&mut class, code, code);
        if self.flags.fold {
            class.case_fold_simple();
        }
        // One character becomes a literal, none the class that never matches.
        self.push(Hir::class(Class::Unicode(class)));
    }

    fn look(&mut self, width: usize, look: Look) {
        self.rest = &self.rest[width..];
        self.push(Hir::look(look));
    }

    fn open_capture(&mut self, name: Option<&str>) {
        self.names.push(name.map(Box::from));
        let number = u32::try_from(self.names.len()).expect("an expression has fewer groups than bytes");
        self.frames.push(Frame::new(self.flags, Some(number)));
    }

    fn close_group(&mut self) -> Result<(), RegexError> {
        let frame = self.frames.pop().expect("the outermost frame is only popped at the end");
        if self.frames.is_empty() {
            return Err(error("unexpected )", self.source));
        }
        self.rest = &self.rest[1..];
        self.flags = frame.outer;
        let node = self.close(frame)?;
        self.frame().items.push(node);
        Ok(())
    }

    /// The whole group as one node.
    fn close(&self, mut frame: Frame) -> Result<Node, RegexError> {
        frame.end_alternative();
        let number = frame.number;
        let mut node = join(frame.alternatives, Hir::alternation);
        if let Some(index) = number {
            node.tree = Hir::capture(Capture { index, name: None, sub: Box::new(node.tree) });
            node.height += 1;
        }
        if node.height > MAX_HEIGHT {
            return Err(error("expression nests too deeply", self.source));
        }
        Ok(node)
    }

    /// `(?P<name>`, `(?<name>`, `(?flags:` or `(?flags)`.
    fn group_or_flags(&mut self) -> Result<(), RegexError> {
        let text = self.rest;
        if let Some(named) = text.strip_prefix("(?P<").or_else(|| text.strip_prefix("(?<")) {
            // Go looks for a name only when at least one character follows.
            if !named.is_empty() {
                return self.named_group(named);
            }
        }
        let mut flags = self.flags;
        let (mut on, mut seen) = (true, true);
        for (at, c) in text.char_indices().skip(2) {
            match c {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                'U' => flags.lazy = on,
                '-' if on => (on, seen) = (false, false),
                ':' | ')' if seen => {
                    if c == ':' {
                        self.frames.push(Frame::new(self.flags, None));
                    }
                    self.flags = flags;
                    self.rest = &text[at + 1..];
                    return Ok(());
                }
                _ => return Err(error("invalid or unsupported Perl syntax", &text[..at + c.len_utf8()])),
            }
            seen |= c != '-';
        }
        Err(error("invalid or unsupported Perl syntax", text))
    }

    fn named_group(&mut self, named: &'s str) -> Result<(), RegexError> {
        let text = self.rest;
        let Some((name, rest)) = named.split_once('>') else {
            return Err(error("invalid named capture", text));
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(error("invalid named capture", before(text, rest)));
        }
        self.rest = rest;
        self.open_capture(Some(name));
        Ok(())
    }

    /// Repeats the last item. `after` is what follows the operator, but for the `?` that makes it lazy.
    fn repeat(
        &mut self,
        min: u32,
        max: Option<u32>,
        after: &'s str,
        counted: bool,
        last_repeat: Option<&str>,
    ) -> Result<&'s str, RegexError> {
        let text = self.rest;
        let (after, lazy) = after.strip_prefix('?').map_or((after, false), |rest| (rest, true));
        if let Some(last) = last_repeat {
            return Err(error("invalid nested repetition operator", before(last, after)));
        }
        let greedy = lazy == self.flags.lazy;
        let Some(node) = self.frame().items.pop() else {
            return Err(error("missing argument to repetition operator", before(text, after)));
        };
        let tree = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(node.tree) });
        let height = node.height + 1;
        if height > MAX_HEIGHT {
            return Err(error("expression nests too deeply", self.source));
        }
        if counted && max.unwrap_or(min).max(min) >= 2 && !is_repeat_small(&tree, MAX_REPEAT) {
            return Err(error("invalid repeat count", before(text, after)));
        }
        self.frame().items.push(Node { tree, height });
        self.rest = after;
        Ok(text)
    }

    /// What a backslash starts outside of brackets.
    fn escape(&mut self) -> Result<(), RegexError> {
        let text = self.rest;
        match text.as_bytes().get(1) {
            Some(b'A') => self.look(2, Look::Start),
            Some(b'z') => self.look(2, Look::End),
            Some(b'b') => self.look(2, Look::WordAscii),
            Some(b'B') => self.look(2, Look::WordAsciiNegate),
            Some(b'C') => return Err(error("invalid escape sequence", "\\C")),
            Some(b'Q') => {
                let (quoted, rest) = text[2..].split_once("\\E").unwrap_or((&text[2..], ""));
                for c in quoted.chars() {
                    self.push_code_point(u32::from(c));
                }
                self.rest = rest;
            }
            _ => match self.class_escape()? {
                Some(class) => self.push(Hir::class(Class::Unicode(class))),
                None => {
                    let (code, rest) = escape::code_point(text)?;
                    self.rest = rest;
                    self.push_code_point(code);
                }
            },
        }
        Ok(())
    }

    /// `\d`, `\W`, `\pL`, `\P{Greek}` and the like; `None` when something else stands there.
    fn class_escape(&mut self) -> Result<Option<ClassUnicode>, RegexError> {
        let text = self.rest;
        let Some(letter) = text.strip_prefix('\\').and_then(|t| t.chars().next()) else {
            return Ok(None);
        };
        let (mut class, negated, rest) = if letter.eq_ignore_ascii_case(&'p') {
            escape::unicode_class(text)?
        } else if let Some(class) = class::perl(letter.to_ascii_lowercase()) {
            (class, letter.is_ascii_uppercase(), &text[2..])
        } else {
            return Ok(None);
        };
        self.rest = rest;
        self.finish_class(&mut class, negated);
        Ok(Some(class))
    }

    fn finish_class(&self, class: &mut ClassUnicode, negated: bool) {
        if self.flags.fold {
            class.case_fold_simple();
        }
        if negated {
            class.negate();
        }
    }

    /// `[…]`.
    fn bracket_class(&mut self) -> Result<ClassUnicode, RegexError> {
        let whole = self.rest;
        let inner = whole[1..].strip_prefix('^');
        self.rest = inner.unwrap_or(&whole[1..]);
        let mut class = ClassUnicode::empty();
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            let part = self.bracket_item(whole)?;
            class.union(&part);
        }
        self.rest = &self.rest[1..];
        if inner.is_some() {
            class.negate();
        }
        Ok(class)
    }

    /// A name, an escape, a character or a range inside of brackets. `whole` starts at the opening bracket.
    fn bracket_item(&mut self, whole: &'s str) -> Result<ClassUnicode, RegexError> {
        if let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|text| text.split_once(":]")) {
            let text = std::mem::replace(&mut self.rest, rest);
            let (plain, negated) = name.strip_prefix('^').map_or((name, false), |n| (n, true));
            let class = class::posix(plain);
            let mut class =
                class.ok_or_else(|| error("invalid character class range", before(text, rest)))?;
            self.finish_class(&mut class, negated);
            return Ok(class);
        }
        if let Some(class) = self.class_escape()? {
            return Ok(class);
        }
        let text = self.rest;
        let low = self.bracket_char(whole)?;
        let mut high = low;
        if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.rest = &self.rest[1..];
            high = self.bracket_char(whole)?;
        }
        if high < low {
            return Err(error("invalid character class range", before(text, self.rest)));
        }
        let mut class = ClassUnicode::empty();
        class::push_range(&mut class, low, high);
        self.finish_class(&mut class, false);
        Ok(class)
    }

    fn bracket_char(&mut self, whole: &str) -> Result<u32, RegexError> {
        let (code, rest) = match self.rest.chars().next() {
            None => return Err(error("missing closing ]", whole)),
            Some('\\') => escape::code_point(self.rest)?,
            Some(c) => (u32::from(c), &self.rest[c.len_utf8()..]),
        };
        self.rest = rest;
        Ok(code)
    }
}

/// The part of `text` that ends where its suffix `after` begins.
pub(super) fn before<'t>(text: &'t str, after: &str) -> &'t str {
    &text[..text.len() - after.len()]
}

type CountRange = (u32, Option<u32>);

/// Reads `{n}`, `{n,}` or `{n,m}`: the range, if it is within the limit and in order, and what follows. `None`: the brace stands
/// for itself.
fn counts(text: &str) -> Option<(Option<CountRange>, &str)> {
    let (min, rest) = count(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => count(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    let valid = min <= MAX_REPEAT && max.is_none_or(|max| max <= MAX_REPEAT && min <= max);
    Some((valid.then_some((min, max)), rest))
}

/// Digits without superfluous zeros; a number too large for its type is the largest.
fn count(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}

/// Whether nested repetitions make at most `budget` copies of anything.
fn is_repeat_small(tree: &Hir, budget: u32) -> bool {
    match tree.kind() {
        HirKind::Repetition(r) => match r.max.unwrap_or(r.min) {
            n if n > budget => false,
            n => is_repeat_small(&r.sub, budget / n.max(1)),
        },
        HirKind::Capture(c) => is_repeat_small(&c.sub, budget),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().all(|p| is_repeat_small(p, budget))
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => true,
    }
}
