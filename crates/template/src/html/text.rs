//! The text between actions: where it leads, and what of it stays.
//!
//! Always true: comments go, a `<` that begins no tag is escaped, and no literal of a script holds what a browser would take
//! for the end or the begin of a script.

use super::context::{Attr, Delim, Element, Place, Refusal, State};
use super::entities::unescape;
use super::transition::{find, special_tag_end, step};
use crate::print::quoted_short;

type Passed<T> = Result<T, Refusal>;

/// The place after `text`, and the text without comments and with every `<` that begins no tag escaped.
pub(super) fn escape_text(place: Place, text: &[u8]) -> Passed<(Place, Vec<u8>)> {
    let mut place = place;
    let mut out = Vec::with_capacity(text.len());
    let (mut written, mut at) = (0, 0);
    while at < text.len() {
        let (next, count) = after_text(&place, &text[at..])?;
        let end = at + count;
        if matches!(place.state, State::Text | State::RCDATA) {
            let tag = text[at..end].iter().rposition(|byte| *byte == b'<').map(|tag| at + tag);
            let plain_end = if next.state == place.state { end } else { tag.unwrap_or(end) };
            for i in at..plain_end {
                let doctype = text[i..].get(..9).is_some_and(|head| head.eq_ignore_ascii_case(b"<!DOCTYPE"));
                if text[i] == b'<' && !doctype {
                    out.extend_from_slice(&text[written..i]);
                    out.extend_from_slice(b"&lt;");
                    written = i + 1;
                }
            }
        } else if place.state.is_comment() && place.delim == Delim::None {
            match place.state {
                State::JSBlockCmt if ends_a_line(&text[written..end]) => out.push(b'\n'),
                State::JSBlockCmt | State::CSSBlockCmt => out.push(b' '),
                _ => {}
            }
            written = end;
        }
        if place.state != next.state && next.state.is_comment() && next.delim == Delim::None {
            let marker = match next.state {
                State::HTMLCmt | State::JSHTMLOpenCmt => 4,
                State::JSHTMLCloseCmt => 3,
                _ => 2,
            };
            out.extend_from_slice(&text[written..end - marker]);
            written = end;
        }
        if place.state.is_script_literal() && has_script_tag(&text[at..end]) {
            out.extend_from_slice(&text[written..at]);
            push_without_script_tags(&mut out, &text[at..end]);
            written = end;
        }
        (place, at) = (next, end);
    }
    if !place.state.is_comment() || place.delim != Delim::None || written == 0 {
        out.extend_from_slice(&text[written..]);
    }
    Ok((place, out))
}

fn ends_a_line(text: &[u8]) -> bool {
    let separator = |what: &str| find(text, what.as_bytes()).is_some();
    text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) || separator("\u{2028}") || separator("\u{2029}")
}

fn is_script_tag(text: &[u8]) -> bool {
    ["<script", "</script", "<!--"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag.as_bytes())))
}

fn has_script_tag(text: &[u8]) -> bool {
    (0..text.len()).any(|at| is_script_tag(&text[at..]))
}

fn push_without_script_tags(out: &mut Vec<u8>, text: &[u8]) {
    for (at, byte) in text.iter().enumerate() {
        if is_script_tag(&text[at..]) {
            out.extend_from_slice(b"\\x3C");
        } else {
            out.push(*byte);
        }
    }
}

/// One step, which inside of an attribute's value ends with the value at the latest.
fn after_text(place: &Place, text: &[u8]) -> Passed<(Place, usize)> {
    if place.delim == Delim::None {
        let (end, at) = special_tag_end(place, text);
        return if at == 0 { Ok((end, 0)) } else { step(place, &text[..at]) };
    }
    let end = text.iter().position(|byte| place.delim.ends().contains(byte)).unwrap_or(text.len());
    if place.delim == Delim::SpaceOrTagEnd
        && let Some(at) = text[..end].iter().position(|byte| b"\"'<=`".contains(byte))
    {
        let (bad, all) = (quoted_short(&text[at..=at], usize::MAX), quoted_short(&text[..end], usize::MAX));
        return Err(Refusal::new(format!("{bad} in unquoted attr: {all}")));
    }
    if end == text.len() {
        let decoded = unescape(text);
        let mut place = place.clone();
        let mut at = 0;
        while at < decoded.len() {
            let (next, count) = step(&place, &decoded[at..])?;
            (place, at) = (next, at + count);
        }
        return Ok((place, text.len()));
    }
    let other_script = place.attr == Attr::ScriptType
        && place.state == State::Attr
        && place.element == Element::Script
        && !is_js_type(&text[..end]);
    let element = if other_script { Element::None } else { place.element };
    let quote = usize::from(place.delim != Delim::SpaceOrTagEnd);
    Ok((Place::of_element(State::Tag, element), end + quote))
}

/// Whether a script of this type is JavaScript, or JSON.
fn is_js_type(mime: &[u8]) -> bool {
    let mime = String::from_utf8_lossy(mime).to_lowercase();
    let mime = mime.split(';').next().unwrap_or_default().trim();
    let name = mime.strip_prefix("text/").map(|name| name.strip_prefix("x-").unwrap_or(name));
    match name {
        Some(name) => {
            let version = name.strip_prefix("javascript1.");
            version.is_some_and(|v| matches!(v, "0" | "1" | "2" | "3" | "4" | "5"))
                || matches!(name, "ecmascript" | "javascript")
                || matches!(mime, "text/jscript" | "text/livescript")
        }
        None => matches!(
            mime,
            "" | "application/ecmascript"
                | "application/javascript"
                | "application/json"
                | "application/ld+json"
                | "application/x-ecmascript"
                | "application/x-javascript"
                | "module"
        ),
    }
}
