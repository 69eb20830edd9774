//! Prints values in the layout that go-yaml v2 gives them: two blanks a level, lists not indented under their key, texts
//! plain where they read back as texts, folded at 80 columns.
//!
//! Facts: go-yaml v2.4's emitter, compared with what `/api/v1/status/config` of a real server prints.

use narthex_model::format_float_general;

use super::scalar::{Resolved, resolve};

/// A value to print.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    /// A list in brackets.
    Flow(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

/// Blanks between two words after this column become line breaks.
const WIDTH: usize = 80;

/// Prints a document, with a line break at its end.
pub(crate) fn write(document: &Yaml) -> String {
    let mut w = Writer { out: String::new() };
    match document {
        Yaml::Map(pairs) if !pairs.is_empty() => w.map(pairs, 0, true),
        Yaml::List(items) if !items.is_empty() => w.list(items, 0, true),
        other => w.inline(other, 0, false),
    }
    w.out.push('\n');
    w.out
}

struct Writer {
    out: String,
}

/// Where a scalar stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Block,
    Key,
    Flow,
}

impl Writer {
    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn column(&self) -> usize {
        let start = self.out.rfind('\n').map_or(0, |at| at + 1);
        self.out[start..].chars().count()
    }

    /// The pairs of a mapping; `started` when the first key goes on the current line.
    fn map(&mut self, pairs: &[(String, Yaml)], indent: usize, started: bool) {
        for (i, (key, value)) in pairs.iter().enumerate() {
            if i > 0 || !started {
                self.line(indent);
            }
            self.text(key, indent, Place::Key);
            self.out.push(':');
            match value {
                Yaml::Map(inner) if !inner.is_empty() => self.map(inner, indent + 2, false),
                Yaml::List(items) if !items.is_empty() => self.list(items, indent, false),
                other => {
                    self.out.push(' ');
                    self.inline(other, indent, false);
                }
            }
        }
    }

    fn list(&mut self, items: &[Yaml], indent: usize, started: bool) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 || !started {
                self.line(indent);
            }
            self.out.push_str("- ");
            match item {
                Yaml::Map(inner) if !inner.is_empty() => self.map(inner, indent + 2, true),
                Yaml::List(inner) if !inner.is_empty() => self.list(inner, indent + 2, true),
                other => self.inline(other, indent, false),
            }
        }
    }

    /// What fits on the current line: a scalar, an empty collection, a list in brackets.
    fn inline(&mut self, value: &Yaml, indent: usize, flow: bool) {
        match value {
            Yaml::Null => self.out.push_str("null"),
            Yaml::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Yaml::Int(i) => self.out.push_str(&i.to_string()),
            Yaml::Uint(u) => self.out.push_str(&u.to_string()),
            Yaml::Float(f) => self.out.push_str(&float_text(*f)),
            Yaml::Text(text) => self.text(text, indent, if flow { Place::Flow } else { Place::Block }),
            Yaml::Map(_) => self.out.push_str("{}"),
            Yaml::List(items) | Yaml::Flow(items) => {
                self.out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.out.push(',');
                    }
                    if self.column() > WIDTH {
                        self.line(indent + 2);
                    } else if i > 0 {
                        self.out.push(' ');
                    }
                    self.inline(item, indent, true);
                }
                self.out.push(']');
            }
        }
    }

    fn text(&mut self, text: &str, indent: usize, place: Place) {
        let shape = Shape::of(text);
        let is_text = resolve("", text, true) == Ok(Resolved::Str) && !is_base_60(text);
        let plain_fits = if place == Place::Flow { shape.flow_plain } else { shape.block_plain };
        if text.contains('\n') {
            if place == Place::Block && shape.literal {
                self.literal(text, indent);
            } else {
                self.double_quoted(text, indent, place);
            }
        } else if !is_text || !(plain_fits || shape.single_quoted) {
            self.double_quoted(text, indent, place);
        } else if plain_fits {
            self.folded(text, indent, place, false);
        } else {
            self.out.push('\'');
            self.folded(&text.replace('\'', "''"), indent, place, true);
            self.out.push('\'');
        }
    }

    /// Plain and single-quoted text, broken at single blanks past the width.
    fn folded(&mut self, text: &str, indent: usize, place: Place, quoted: bool) {
        let mut column = self.column();
        let mut after_blank = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next_is_blank = chars.peek().is_some_and(|(_, n)| *n == ' ');
            let inside = !quoted || (at > 0 && chars.peek().is_some());
            if c == ' ' && place != Place::Key && !after_blank && column > WIDTH && inside && !next_is_blank {
                self.line(indent + 2);
                column = indent + 2;
            } else {
                self.out.push(c);
                column += 1;
            }
            after_blank = c == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, place: Place) {
        self.out.push('"');
        let mut after_blank = false;
        let mut column = self.column();
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, n)| *n);
            let inside = at > 0 && next.is_some();
            if c == ' ' && place != Place::Key && !after_blank && column > WIDTH && inside {
                self.line(indent + 2);
                if next == Some(' ') {
                    self.out.push('\\');
                }
                column = indent + 2;
            } else {
                let before = self.out.len();
                push_escaped(&mut self.out, c);
                column += self.out[before..].chars().count();
            }
            after_blank = c == ' ';
        }
        self.out.push('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.out.push('|');
        if text.starts_with([' ', '\n']) {
            self.out.push('2');
        }
        match (text.ends_with('\n'), text.ends_with("\n\n") || text == "\n") {
            (false, _) => self.out.push('-'),
            (true, true) => self.out.push('+'),
            (true, false) => {}
        }
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if line.is_empty() {
                self.out.push('\n');
            } else {
                self.line(indent + 2);
                self.out.push_str(line);
            }
        }
    }
}

fn float_text(f: f64) -> String {
    if f.is_nan() {
        ".nan".to_owned()
    } else if f.is_infinite() {
        if f > 0.0 { ".inf".to_owned() } else { "-.inf".to_owned() }
    } else {
        format_float_general(f)
    }
}

fn push_escaped(out: &mut String, c: char) {
    let short = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if is_printable(c) && c != '\u{feff}' => {
            out.push(c);
            return;
        }
        c => {
            let code = c as u32;
            let escaped = match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
            out.push_str(&escaped);
            return;
        }
    };
    out.push('\\');
    out.push(short);
}

/// libyaml's table of printable characters.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// In which styles a text may be written.
struct Shape {
    block_plain: bool,
    flow_plain: bool,
    single_quoted: bool,
    literal: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let is_break = |c: char| matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let edge = |c: char| c == ' ' || is_break(c);
        // The rare separators of lines and paragraphs are escaped; go-yaml writes them raw.
        let special = text.chars().any(|c| !is_printable(c) || matches!(c, '\u{2028}' | '\u{2029}'));
        let breaks = text.contains(is_break);
        let edges = text.starts_with(edge) || text.ends_with(edge);
        let chars: Vec<char> = text.chars().collect();
        let break_space = chars.windows(2).any(|w| is_break(w[0]) && w[1] == ' ');
        let space_break = chars.windows(2).any(|w| w[0] == ' ' && is_break(w[1]));
        let (block, flow) = indicators(&chars);
        let plain = !edges && !break_space && !space_break && !special && !breaks;
        Self {
            block_plain: plain && !block,
            flow_plain: plain && !flow && !text.is_empty(),
            single_quoted: !break_space && !space_break && !special,
            literal: !space_break && !special && !text.ends_with(' ') && !text.is_empty(),
        }
    }
}

/// Whether a plain text would be read as something else, in block and in flow context.
fn indicators(chars: &[char]) -> (bool, bool) {
    let starts = |three: [char; 3]| chars.starts_with(&three);
    let mut block = starts(['-', '-', '-']) || starts(['.', '.', '.']);
    let mut flow = block;
    for (i, &c) in chars.iter().enumerate() {
        let blank_next = chars.get(i + 1).is_none_or(|n| matches!(n, ' ' | '\t' | '\n' | '\r'));
        let blank_before = i == 0 || matches!(chars[i - 1], ' ' | '\t' | '\n' | '\r');
        match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`'
                if i == 0 =>
            {
                flow = true;
                block = true;
            }
            '-' if i == 0 && blank_next => {
                flow = true;
                block = true;
            }
            '?' | ':' if i == 0 => {
                flow = true;
                block |= blank_next;
            }
            ',' | '?' | '[' | ']' | '{' | '}' => flow = true,
            ':' => {
                flow = true;
                block |= blank_next;
            }
            '#' if blank_before => {
                flow = true;
                block = true;
            }
            _ => {}
        }
    }
    (block, flow)
}

/// `1:30`, which YAML 1.1 reads as a number of base 60.
fn is_base_60(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (numbers, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let mut parts = numbers.split(':');
    let first = parts.next().unwrap_or_default();
    let mut more = 0;
    let sixty = parts.all(|p| {
        more += 1;
        matches!(p.len(), 1 | 2)
            && p.parse::<u8>().is_ok_and(|n| n < 60)
            && p.bytes().all(|b| b.is_ascii_digit())
    });
    first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && sixty
        && more > 0
}
