//! The functions that the pass appends to actions.
//!
//! Facts: the replacement tables of Go's `html/template` and `text/template`; what cannot be made harmless becomes
//! `ZgotmplZ`.

use super::attributes::{Content, content_of};
use super::{js, strip};
use crate::functions::{Env, Plain};
use crate::print;
use crate::value::{Text, Value};

const FAILSAFE: &str = "ZgotmplZ";

/// The escapers by the names under which they show in errors.
pub(crate) const ESCAPERS: [(&str, Plain); 17] = [
    ("_html_template_attrescaper", |env, values| {
        let (text, is_html) = text_of(env, &values);
        let text = if is_html { strip::strip_tags(&text) } else { text };
        made(replace(&text, |c| html(c, is_html)))
    }),
    ("_html_template_commentescaper", |_, _| Ok(Value::text(""))),
    ("_html_template_cssescaper", |env, values| made(escape_css(&text_of(env, &values).0))),
    ("_html_template_cssvaluefilter", |env, values| made(filter_css(&text_of(env, &values).0))),
    ("_html_template_htmlnamefilter", |env, values| made(filter_name(&text_of(env, &values).0))),
    ("_html_template_htmlescaper", |env, values| {
        let (text, is_html) = text_of(env, &values);
        made(if is_html { text } else { replace(&text, |c| html(c, false)) })
    }),
    ("_html_template_jsregexpescaper", |env, values| {
        let text = replace(&text_of(env, &values).0, js_pattern);
        made(if text.is_empty() { b"(?:)".to_vec() } else { text })
    }),
    ("_html_template_jsstrescaper", |env, values| made(replace(&text_of(env, &values).0, js_string))),
    ("_html_template_jstmpllitescaper", |env, values| made(replace(&text_of(env, &values).0, js_template))),
    ("_html_template_jsvalescaper", |env, values| match &values[..] {
        [one] => Ok(Value::text(js::literal(one))),
        many => Ok(Value::text(js::literal(&Value::Str(Text::from(print::print(many, env.room)))))),
    }),
    ("_html_template_nospaceescaper", |env, values| {
        let (text, is_html) = text_of(env, &values);
        if text.is_empty() {
            return Ok(Value::text(FAILSAFE));
        }
        let text = if is_html { strip::strip_tags(&text) } else { text };
        made(replace(&text, |c| html_without_blanks(c, is_html)))
    }),
    ("_html_template_rcdataescaper", |env, values| {
        let (text, is_html) = text_of(env, &values);
        made(replace(&text, |c| html(c, is_html)))
    }),
    ("_html_template_srcsetescaper", |env, values| made(filter_srcset(&text_of(env, &values).0))),
    ("_html_template_urlescaper", |env, values| made(escape_url(&text_of(env, &values).0, false))),
    ("_html_template_urlfilter", |env, values| {
        let (text, _) = text_of(env, &values);
        made(if is_safe_url(&text) { text } else { format!("#{FAILSAFE}").into_bytes() })
    }),
    ("_html_template_urlnormalizer", |env, values| made(escape_url(&text_of(env, &values).0, true))),
    ("_eval_args_", |env, values| match &values[..] {
        [Value::Str(text)] => Ok(Value::Str(text.clone())),
        _ => made(print::print(&values.iter().map(plain).collect::<Vec<_>>(), env.room)),
    }),
];

fn made(bytes: Vec<u8>) -> Result<Value, String> {
    Ok(Value::Str(Text::from(bytes)))
}

fn plain(value: &Value) -> Value {
    if let Value::Pointer(_) = value { value.target().clone() } else { value.clone() }
}

/// The arguments as one text, and whether it is HTML already. Absent values are no text.
fn text_of(env: &Env<'_>, values: &[Value]) -> (Vec<u8>, bool) {
    match values {
        [Value::Str(text)] => (text.bytes().to_vec(), false),
        [Value::Html(text)] => (text.bytes().to_vec(), true),
        _ => {
            let there = |value: &&Value| !matches!(value, Value::Nil | Value::NilAny);
            let values: Vec<Value> = values.iter().filter(there).map(plain).collect();
            (print::print(&values, env.room), false)
        }
    }
}

/// Replaces characters; bytes that are not UTF-8 stay.
fn replace(text: &[u8], replacement: impl Fn(char) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match replacement(c) {
                Some(other) => out.extend_from_slice(other.as_bytes()),
                None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// `keep_references`: an ampersand may begin a reference that is meant.
fn html(c: char, keep_references: bool) -> Option<String> {
    Some(match c {
        '\0' => "\u{fffd}".to_owned(),
        '&' if keep_references => return None,
        '"' | '\'' | '+' => format!("&#{};", u32::from(c)),
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        _ => return None,
    })
}

fn html_without_blanks(c: char, keep_references: bool) -> Option<String> {
    Some(match c {
        '\0' => "&#xfffd;".to_owned(),
        '\t'..='\r' | ' ' | '=' | '`' => format!("&#{};", u32::from(c)),
        '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{ffff}' => format!("&#x{:x};", u32::from(c)),
        _ => return html(c, keep_references),
    })
}

/// `html` of templates without contexts.
pub(crate) fn escape_html(text: &[u8]) -> Vec<u8> {
    replace(text, |c| if c == '+' { None } else { html(c, false) })
}

/// `js` of templates without contexts.
pub(crate) fn escape_js(text: &[u8]) -> Vec<u8> {
    let unprintable = |c: char| narthex_model::quote_go(&c.to_string()).contains('\\');
    replace(text, |c| match c {
        '\\' | '\'' | '"' => Some(format!("\\{c}")),
        '<' | '>' | '&' | '=' | '\0'..='\x1f' => Some(format!("\\u{:04X}", u32::from(c))),
        _ if !c.is_ascii() && unprintable(c) => Some(format!("\\u{:04X}", u32::from(c))),
        _ => None,
    })
}

/// What no literal of JavaScript may hold as it is.
fn js_control(c: char) -> Option<String> {
    Some(match c {
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
        _ => return None,
    })
}

fn js_string(c: char) -> Option<String> {
    match c {
        '"' | '`' | '&' | '\'' | '+' | '<' | '>' => Some(format!("\\u{:04x}", u32::from(c))),
        '/' | '\\' => Some(format!("\\{c}")),
        _ => js_control(c),
    }
}

fn js_template(c: char) -> Option<String> {
    match c {
        '$' | '{' | '}' => Some(format!("\\u{:04x}", u32::from(c))),
        _ => js_string(c),
    }
}

fn js_pattern(c: char) -> Option<String> {
    match c {
        '"' | '&' | '\'' | '+' | '<' | '>' => Some(format!("\\u{:04x}", u32::from(c))),
        '$' | '(' | ')' | '*' | '-' | '.' | '/' | '?' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' => {
            Some(format!("\\{c}"))
        }
        _ => js_control(c),
    }
}

fn escape_css(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (i, byte) in text.iter().enumerate() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0 | b'\t' | b'\n' | 0x0c | b'\r' | b'"' | b'&' | b'\'' | b'(' | b')' | b'+' | b'/' | b':'
            | b';' | b'<' | b'>' | b'{' | b'}' => {
                out.extend_from_slice(format!("\\{byte:x}").as_bytes());
                // A digit or blank after it would belong to the escape sequence.
                let joins = |next: &u8| {
                    next.is_ascii_hexdigit() || matches!(next, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
                };
                if text.get(i + 1).is_none_or(joins) {
                    out.push(b' ');
                }
            }
            other => out.push(*other),
        }
    }
    out
}

fn is_css_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_')
        || ('\u{80}'..'\u{fffe}').contains(&c)
        || c >= '\u{10000}'
}

/// Whether `text` ends with a word, in any case.
pub(super) fn ends_with_css_word(text: &[u8], word: &[u8]) -> bool {
    let Some(at) = text.len().checked_sub(word.len()) else { return false };
    let before = text[..at].utf8_chunks().last();
    let joins = before.is_some_and(|chunk| match chunk.valid().chars().next_back() {
        Some(c) if chunk.invalid().is_empty() => is_css_word(c),
        _ => true,
    });
    !joins && text[at..].eq_ignore_ascii_case(word)
}

/// The text without CSS' escape sequences.
pub(super) fn decode_css(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 {
            // Any other character stands for itself.
            let len = rest.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
            let len = len.map_or(rest.len().min(1), char::len_utf8);
            out.extend_from_slice(&rest[..len]);
            rest = &rest[len..];
            continue;
        }
        let code = rest[..digits]
            .iter()
            .fold(0, |code, byte| code * 16 + char::from(*byte).to_digit(16).expect("a digit was found"));
        let (code, digits) = if code > 0x10_ffff { (code / 16, digits - 1) } else { (code, digits) };
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = match &rest[digits..] {
            [b'\r', b'\n', tail @ ..] | [b'\t' | b'\n' | 0x0c | b' ' | b'\r', tail @ ..] => tail,
            tail => tail,
        };
    }
    out.extend_from_slice(rest);
    out
}

/// A value of CSS: what could run code or end the value is refused.
fn filter_css(text: &[u8]) -> Vec<u8> {
    let decoded = decode_css(text);
    let mut word = Vec::new();
    for (i, byte) in decoded.iter().enumerate() {
        match byte {
            0 | b'"' | b'\'' | b'(' | b')' | b'/' | b';' | b'@' | b'[' | b'\\' | b']' | b'`' | b'{'
            | b'}' | b'<' | b'>' => return FAILSAFE.into(),
            b'-' if i > 0 && decoded[i - 1] == b'-' => return FAILSAFE.into(),
            b'-' => {}
            byte if byte.is_ascii_alphanumeric() || *byte == b'_' => word.push(byte.to_ascii_lowercase()),
            _ => {}
        }
    }
    let has = |bad: &[u8]| word.windows(bad.len()).any(|window| window == bad);
    if has(b"expression") || has(b"mozbinding") { FAILSAFE.into() } else { decoded }
}

/// The name of an attribute: plain ones only.
fn filter_name(text: &[u8]) -> Vec<u8> {
    let name = String::from_utf8_lossy(text).to_lowercase();
    let plain = !name.is_empty()
        && content_of(&name) == Content::Plain
        && name.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    if plain { name.into_bytes() } else { FAILSAFE.into() }
}

fn is_safe_url(url: &[u8]) -> bool {
    let Some(colon) = url.iter().position(|byte| *byte == b':') else { return true };
    let scheme = &url[..colon];
    scheme.contains(&b'/')
        || ["http", "https", "mailto"].iter().any(|ok| scheme.eq_ignore_ascii_case(ok.as_bytes()))
}

/// `normalize`: what already is a URL stays one; else every byte with a meaning is encoded.
fn escape_url(text: &[u8], normalize: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    for (i, byte) in text.iter().enumerate() {
        let encoded = |at: usize| text.get(at).is_some_and(u8::is_ascii_hexdigit);
        let keeps = match byte {
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@'
            | b'[' | b']' => normalize,
            b'-' | b'.' | b'_' | b'~' => true,
            b'%' => normalize && encoded(i + 1) && encoded(i + 2),
            other => other.is_ascii_alphanumeric(),
        };
        if keeps {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02x}").as_bytes());
        }
    }
    out
}

/// Each image of a `srcset`: a URL, then what says for which screens.
fn filter_srcset(text: &[u8]) -> Vec<u8> {
    let is_space = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ');
    let mut out = Vec::new();
    for (i, part) in text.split(|byte| *byte == b',').enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let start = part.iter().position(|byte| !is_space(byte)).unwrap_or(part.len());
        let end = part[start..].iter().position(is_space).map_or(part.len(), |len| start + len);
        let harmless = part[end..].iter().all(|byte| is_space(byte) || byte.is_ascii_alphanumeric());
        if is_safe_url(&part[start..end]) && harmless {
            out.extend_from_slice(&part[..start]);
            out.extend_from_slice(&escape_url(&part[start..end], true));
            out.extend_from_slice(&part[end..]);
        } else {
            out.extend_from_slice(b"#");
            out.extend_from_slice(FAILSAFE.as_bytes());
        }
    }
    out
}
