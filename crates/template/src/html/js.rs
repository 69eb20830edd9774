//! JavaScript: whether a slash divides, and values as literals.
//!
//! Facts: Go's `html/template` and `encoding/json`: `<`, `>`, `&` and the two line separators never stand in a literal.

use narthex_model::format_float_json;

use super::context::JsCtx;
use crate::methods;
use crate::value::{Value, format_layout};

/// Words after which a pattern may come.
const BEFORE_PATTERN: [&str; 15] = [
    "break",
    "case",
    "continue",
    "delete",
    "do",
    "else",
    "finally",
    "in",
    "instanceof",
    "return",
    "throw",
    "try",
    "typeof",
    "void",
    "yield",
];

pub(super) fn is_ident_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'_')
}

fn trimmed(code: &[u8]) -> &[u8] {
    let is_blank = |c: char| c == '\u{feff}' || c == '\u{b}' || (c.is_whitespace() && c != '\u{85}');
    let mut end = code.len();
    while let Some(last) = code[..end].utf8_chunks().last() {
        match last.valid().chars().next_back() {
            Some(c) if last.invalid().is_empty() && is_blank(c) => end -= c.len_utf8(),
            _ => break,
        }
    }
    &code[..end]
}

/// What a slash after `code` would be.
pub(super) fn next_js_ctx(code: &[u8], before: JsCtx) -> JsCtx {
    // Only the end matters; long texts are not looked through for it.
    let code = trimmed(&code[code.len().saturating_sub(4096)..]);
    let Some(last) = code.last() else { return before };
    match last {
        b'+' | b'-' => {
            let run = code.iter().rev().take_while(|byte| *byte == last).count();
            if run % 2 == 1 { JsCtx::Regexp } else { JsCtx::DivOp }
        }
        b'.' => {
            let number = code.len() > 1 && code[code.len() - 2].is_ascii_digit();
            if number { JsCtx::DivOp } else { JsCtx::Regexp }
        }
        b',' | b'<' | b'>' | b'=' | b'*' | b'%' | b'&' | b'|' | b'^' | b'?' | b'!' | b'~' => JsCtx::Regexp,
        b'(' | b'[' | b':' | b';' | b'{' | b'}' => JsCtx::Regexp,
        _ => {
            let word = code.iter().rev().take_while(|byte| is_ident_part(**byte)).count();
            let (head, word) = code.split_at(code.len() - word);
            let keyword = BEFORE_PATTERN.iter().any(|known| known.as_bytes() == word);
            if keyword && !trimmed(head).ends_with(b".") { JsCtx::Regexp } else { JsCtx::DivOp }
        }
    }
}

/// A value as a literal, with blanks around what could join with a word beside it.
pub(super) fn literal(value: &Value) -> String {
    let value = match value {
        Value::Pointer(to) if !matches!(&**to, Value::Histogram(_)) => value.target().clone(),
        other => other.clone(),
    };
    let spoken = match &value {
        Value::Time(_) => None,
        other => methods::string(other).map(Value::text),
    };
    let mut out = String::new();
    if let Err(reason) = push_json(&mut out, spoken.as_ref().unwrap_or(&value)) {
        return format!(" /* {} */null ", reason.replace("*/", "* /"));
    }
    let pads = |c: Option<char>| c.is_some_and(|c| u8::try_from(c).is_ok_and(is_ident_part));
    if pads(out.chars().next()) || pads(out.chars().next_back()) { format!(" {out} ") } else { out }
}

fn push_json(out: &mut String, value: &Value) -> Result<(), String> {
    match value {
        Value::Nil | Value::NilAny => out.push_str("null"),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Int(value, _) | Value::Duration(value) => out.push_str(&value.to_string()),
        Value::Uint(value, _) => out.push_str(&value.to_string()),
        Value::Float(value) if !value.is_finite() => {
            let shown = narthex_model::format_float_general(*value);
            return Err(format!("json: unsupported value: {shown}"));
        }
        Value::Float(value) => out.push_str(&format_float_json(*value).replace("e-0", "e-")),
        Value::Str(text) | Value::Html(text) => push_text(out, &text.to_str_lossy()),
        Value::List(list) => {
            out.push('[');
            for (i, item) in list.items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                push_json(out, item)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            let entries = map.entries.iter().map(|(key, value)| (key.to_str_lossy().into_owned(), value));
            push_object(out, entries)?;
        }
        Value::Struct(of) => {
            push_object(out, of.fields.iter().map(|field| (field.name.to_owned(), &field.value)))?;
        }
        Value::Pointer(to) => push_json(out, to)?,
        Value::Histogram(histogram) => push_text(out, &crate::value::histogram_text(histogram)),
        Value::Time(time) => push_text(out, &format_layout(*time, "2006-01-02T15:04:05.999999999Z07:00")),
    }
    Ok(())
}

fn push_object<'v>(
    out: &mut String,
    entries: impl Iterator<Item = (String, &'v Value)>,
) -> Result<(), String> {
    out.push('{');
    for (i, (name, value)) in entries.enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        push_text(out, &name);
        out.push(':');
        push_json(out, value)?;
    }
    out.push('}');
    Ok(())
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
