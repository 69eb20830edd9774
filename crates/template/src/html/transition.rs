//! What a piece of text makes of a place: the next place, and how much of the text led there.
//!
//! Always true: a step takes at least one byte or changes the state, so that following a text ends.

use super::attributes::content_of;
use super::context::{Attr, Delim, Element, JsCtx, Place, Refusal, State, UrlPart};
use super::js::next_js_ctx;
use crate::print::quoted_short;

type Step = Result<(Place, usize), Refusal>;

/// One step through text outside of attribute values, or inside of one whose end is not in `text`.
pub(super) fn step(place: &Place, text: &[u8]) -> Step {
    match place.state {
        State::Text => Ok(in_text(place, text)),
        State::Tag => in_tag(place, text),
        State::AttrName => in_attr_name(place, text),
        State::AfterName => Ok(after_name(place, text)),
        State::BeforeValue => Ok(before_value(place, text)),
        State::HTMLCmt => {
            Ok(find(text, b"-->").map_or((place.clone(), text.len()), |at| (Place::default(), at + 3)))
        }
        State::RCDATA => Ok(special_tag_end(place, text)),
        State::Attr | State::Dead => Ok((place.clone(), text.len())),
        State::URL | State::Srcset => Ok((in_url(place, text), text.len())),
        State::MetaContent => Ok(in_meta(place, text)),
        State::MetaContentURL => Ok(text
            .iter()
            .position(|b| *b == b';')
            .map_or((place.clone(), text.len()), |at| (with_state(place, State::MetaContent), at + 1))),
        State::JS => in_js(place, text),
        State::JSDqStr | State::JSSqStr | State::JSRegexp => in_js_delimited(place, text),
        State::JSTmplLit => in_js_template(place, text),
        State::JSBlockCmt => Ok(in_block_comment(place, text, State::JS)),
        State::CSSBlockCmt => Ok(in_block_comment(place, text, State::CSS)),
        State::JSLineCmt | State::JSHTMLOpenCmt | State::JSHTMLCloseCmt | State::CSSLineCmt => {
            Ok(in_line_comment(place, text))
        }
        State::CSS => Ok(in_css(place, text)),
        State::CSSDqStr | State::CSSSqStr | State::CSSDqURL | State::CSSSqURL | State::CSSURL => {
            in_css_string(place, text)
        }
    }
}

fn with_state(place: &Place, state: State) -> Place {
    Place { state, ..place.clone() }
}

pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The first byte from `from` on that is one of `set`.
fn find_any(text: &[u8], from: usize, set: &[u8]) -> Option<usize> {
    text.iter().skip(from).position(|byte| set.contains(byte)).map(|at| at + from)
}

fn blanks_end(text: &[u8], from: usize) -> usize {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0c | b'\r');
    text.iter().skip(from).position(|byte| !blank(byte)).map_or(text.len(), |at| at + from)
}

fn in_text(place: &Place, text: &[u8]) -> (Place, usize) {
    let mut from = 0;
    while let Some(at) = find_any(text, from, b"<") {
        if at + 1 == text.len() {
            break;
        }
        if text[at..].starts_with(b"<!--") {
            return (Place::of(State::HTMLCmt), at + 4);
        }
        let mut name_at = at + 1;
        let closes = text[name_at] == b'/';
        if closes {
            name_at += 1;
            if name_at == text.len() {
                break;
            }
        }
        let (end, element) = tag_name(text, name_at);
        if end != name_at {
            let element = if closes { Element::None } else { element };
            return (Place::of_element(State::Tag, element), end);
        }
        from = name_at;
    }
    (place.clone(), text.len())
}

fn tag_name(text: &[u8], from: usize) -> (usize, Element) {
    if !text.get(from).is_some_and(u8::is_ascii_alphabetic) {
        return (from, Element::None);
    }
    let mut end = from + 1;
    while let Some(byte) = text.get(end) {
        if byte.is_ascii_alphanumeric() {
            end += 1;
        } else if matches!(byte, b':' | b'-') && text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric) {
            end += 2;
        } else {
            break;
        }
    }
    let element = match &text[from..end].to_ascii_lowercase()[..] {
        b"script" => Element::Script,
        b"style" => Element::Style,
        b"textarea" => Element::Textarea,
        b"title" => Element::Title,
        b"meta" => Element::Meta,
        _ => Element::None,
    };
    (end, element)
}

fn in_tag(place: &Place, text: &[u8]) -> Step {
    let at = blanks_end(text, 0);
    if at == text.len() {
        return Ok((place.clone(), at));
    }
    if text[at] == b'>' {
        let (state, element) = match place.element {
            Element::Meta => (State::Text, Element::None),
            Element::None => (State::Text, Element::None),
            Element::Script => (State::JS, Element::Script),
            Element::Style => (State::CSS, Element::Style),
            element @ (Element::Textarea | Element::Title) => (State::RCDATA, element),
        };
        return Ok((Place::of_element(state, element), at + 1));
    }
    let end = attr_name_end(text, at)?;
    if end == at {
        let got = quoted_short(&text[at..], usize::MAX);
        return Err(Refusal::new(format!("expected space, attr name, or end of tag, but got {got}")));
    }
    let name = String::from_utf8_lossy(&text[at..end]).to_lowercase();
    let attr = match (place.element, &*name) {
        (Element::Script, "type") => Attr::ScriptType,
        (Element::Meta, "content") => Attr::MetaContent,
        _ => content_of(&name).attr(),
    };
    let state = if end == text.len() { State::AttrName } else { State::AfterName };
    Ok((Place { attr, ..Place::of_element(state, place.element) }, end))
}

fn attr_name_end(text: &[u8], from: usize) -> Result<usize, Refusal> {
    for (at, byte) in text.iter().enumerate().skip(from) {
        match byte {
            b' ' | b'\t' | b'\n' | 0x0c | b'\r' | b'=' | b'>' => return Ok(at),
            b'\'' | b'"' | b'<' => {
                let (bad, all) = (quoted_short(&text[at..=at], usize::MAX), quoted_short(text, 32));
                return Err(Refusal::new(format!("{bad} in attribute name: {all}")));
            }
            _ => {}
        }
    }
    Ok(text.len())
}

fn in_attr_name(place: &Place, text: &[u8]) -> Step {
    let end = attr_name_end(text, 0)?;
    let place = if end == text.len() { place.clone() } else { with_state(place, State::AfterName) };
    Ok((place, end))
}

fn after_name(place: &Place, text: &[u8]) -> (Place, usize) {
    let at = blanks_end(text, 0);
    if at == text.len() {
        (place.clone(), at)
    } else if text[at] == b'=' {
        (with_state(place, State::BeforeValue), at + 1)
    } else {
        (with_state(place, State::Tag), at)
    }
}

fn before_value(place: &Place, text: &[u8]) -> (Place, usize) {
    let at = blanks_end(text, 0);
    let (delim, end) = match text.get(at) {
        None => return (place.clone(), at),
        Some(b'\'') => (Delim::SingleQuote, at + 1),
        Some(b'"') => (Delim::DoubleQuote, at + 1),
        Some(_) => (Delim::SpaceOrTagEnd, at),
    };
    (Place { state: place.attr.start(), delim, ..place.clone() }, end)
}

/// Looks for the end tag of an element whose content is no HTML.
pub(super) fn special_tag_end(place: &Place, text: &[u8]) -> (Place, usize) {
    let name: &[u8] = match place.element {
        Element::None => return (place.clone(), text.len()),
        Element::Script if place.state.is_script_literal() || place.state.is_comment() => {
            return (place.clone(), text.len());
        }
        Element::Script => b"script",
        Element::Style => b"style",
        Element::Textarea => b"textarea",
        Element::Title => b"title",
        Element::Meta => b"",
    };
    let mut from = 0;
    while let Some(at) = find(&text[from..], b"</").map(|at| at + from) {
        let after = &text[at + 2..];
        if after.len() > name.len()
            && after[..name.len()].eq_ignore_ascii_case(name)
            && b"> \t\n\x0c/".contains(&after[name.len()])
        {
            return (Place::default(), at);
        }
        from = at + 2;
    }
    (place.clone(), text.len())
}

fn in_url(place: &Place, text: &[u8]) -> Place {
    let mut place = place.clone();
    if text.iter().any(|byte| matches!(byte, b'#' | b'?')) {
        place.url_part = UrlPart::QueryOrFrag;
    } else if blanks_end(text, 0) != text.len() && place.url_part == UrlPart::None {
        place.url_part = UrlPart::PreQuery;
    }
    place
}

fn in_meta(place: &Place, text: &[u8]) -> (Place, usize) {
    for at in 0..text.len() {
        if at + 3 < text.len() && text[at..at + 3].eq_ignore_ascii_case(b"url") {
            let equals = blanks_end(text, at + 3);
            if text.get(equals) == Some(&b'=') {
                return (with_state(place, State::MetaContentURL), equals + 1);
            }
        }
    }
    (place.clone(), text.len())
}

fn in_js(place: &Place, text: &[u8]) -> Step {
    let mut place = place.clone();
    let Some(mut at) = find_any(text, 0, b"\"`'/{}<-#") else {
        place.js_ctx = next_js_ctx(text, place.js_ctx);
        return Ok((place, text.len()));
    };
    place.js_ctx = next_js_ctx(&text[..at], place.js_ctx);
    let rest = &text[at..];
    match rest[0] {
        b'"' => (place.state, place.js_ctx) = (State::JSDqStr, JsCtx::Regexp),
        b'\'' => (place.state, place.js_ctx) = (State::JSSqStr, JsCtx::Regexp),
        b'`' => (place.state, place.js_ctx) = (State::JSTmplLit, JsCtx::Regexp),
        b'/' if rest.starts_with(b"//") => (place.state, at) = (State::JSLineCmt, at + 1),
        b'/' if rest.starts_with(b"/*") => (place.state, at) = (State::JSBlockCmt, at + 1),
        b'/' => match place.js_ctx {
            JsCtx::Regexp => place.state = State::JSRegexp,
            JsCtx::DivOp => place.js_ctx = JsCtx::Regexp,
            JsCtx::Unknown => {
                let shown = quoted_short(rest, 32);
                return Err(Refusal::new(format!("'/' could start a division or regexp: {shown}")));
            }
        },
        b'<' if rest.starts_with(b"<!--") => (place.state, at) = (State::JSHTMLOpenCmt, at + 3),
        b'-' if rest.starts_with(b"-->") => (place.state, at) = (State::JSHTMLCloseCmt, at + 2),
        b'#' if rest.starts_with(b"#!") => (place.state, at) = (State::JSLineCmt, at + 1),
        b'#' => {
            at += rest[1..].iter().take_while(|byte| super::js::is_ident_part(**byte)).count();
            place.js_ctx = JsCtx::DivOp;
        }
        brace @ (b'{' | b'}') => in_braces(&mut place, brace),
        _ => {}
    }
    Ok((place, at + 1))
}

/// Counts braces inside of `${…}`; the one that closes it leads back into the literal.
fn in_braces(place: &mut Place, brace: u8) {
    match (place.braces.last_mut(), brace) {
        (Some(open), b'{') => *open += 1,
        (Some(0), _) => {
            place.braces.pop();
            place.state = State::JSTmplLit;
            return;
        }
        (Some(open), _) => *open -= 1,
        (None, _) => {}
    }
    place.js_ctx = next_js_ctx(&[brace], place.js_ctx);
}

fn unfinished_escape(language: &str, text: &[u8]) -> Refusal {
    let shown = quoted_short(text, usize::MAX);
    Refusal::new(format!("unfinished escape sequence in {language} string: {shown}"))
}

fn in_js_template(place: &Place, text: &[u8]) -> Step {
    let mut place = place.clone();
    let mut from = 0;
    while let Some(at) = find_any(text, from, b"`\\$") {
        match text[at] {
            b'\\' if at + 1 == text.len() => return Err(unfinished_escape("JS", text)),
            b'\\' => from = at + 2,
            b'$' if text.get(at + 1) == Some(&b'{') => {
                place.braces.push(0);
                (place.state, place.js_ctx) = (State::JS, JsCtx::Regexp);
                return Ok((place, at + 2));
            }
            b'$' => from = at + 1,
            _ => {
                place.state = State::JS;
                return Ok((place, at + 1));
            }
        }
    }
    Ok((place, text.len()))
}

fn in_js_delimited(place: &Place, text: &[u8]) -> Step {
    let specials: &[u8] = match place.state {
        State::JSSqStr => b"\\'",
        State::JSRegexp => b"\\/[]",
        _ => b"\\\"",
    };
    let mut from = 0;
    let mut in_charset = false;
    while let Some(mut at) = find_any(text, from, specials) {
        match text[at] {
            b'\\' => {
                at += 1;
                if at == text.len() {
                    return Err(unfinished_escape("JS", text));
                }
            }
            b'[' => in_charset = true,
            b']' => in_charset = false,
            // An end tag inside of a pattern is escaped later; it does not end the pattern.
            b'/' if at > 0
                && text[at - 1..].len() >= 8
                && text[at - 1..at + 7].eq_ignore_ascii_case(b"</script") =>
            {
                at += 1;
            }
            _ if !in_charset => {
                let place = Place { state: State::JS, js_ctx: JsCtx::DivOp, ..place.clone() };
                return Ok((place, at + 1));
            }
            _ => {}
        }
        from = at + 1;
    }
    if in_charset {
        let shown = quoted_short(text, usize::MAX);
        return Err(Refusal::new(format!("unfinished JS regexp charset: {shown}")));
    }
    Ok((place.clone(), text.len()))
}

fn in_block_comment(place: &Place, text: &[u8], after: State) -> (Place, usize) {
    find(text, b"*/").map_or((place.clone(), text.len()), |at| (with_state(place, after), at + 2))
}

fn in_line_comment(place: &Place, text: &[u8]) -> (Place, usize) {
    let (after, end) = if place.state == State::CSSLineCmt {
        (State::CSS, find_any(text, 0, b"\n\x0c\r"))
    } else {
        let separator = |what| find(text, what).into_iter();
        let all = find_any(text, 0, b"\n\r").into_iter();
        (State::JS, all.chain(separator("\u{2028}".as_bytes())).chain(separator("\u{2029}".as_bytes())).min())
    };
    end.map_or((place.clone(), text.len()), |at| (with_state(place, after), at))
}

fn in_css(place: &Place, text: &[u8]) -> (Place, usize) {
    let mut from = 0;
    while let Some(at) = find_any(text, from, b"(\"'/") {
        match (text[at], text.get(at + 1)) {
            (b'(', _) if super::escapers::ends_with_css_word(text[..at].trim_ascii_end(), b"url") => {
                let inside = blanks_end(text, at + 1);
                return match text.get(inside) {
                    Some(b'"') => (with_state(place, State::CSSDqURL), inside + 1),
                    Some(b'\'') => (with_state(place, State::CSSSqURL), inside + 1),
                    _ => (with_state(place, State::CSSURL), inside),
                };
            }
            (b'/', Some(b'/')) => return (with_state(place, State::CSSLineCmt), at + 2),
            (b'/', Some(b'*')) => return (with_state(place, State::CSSBlockCmt), at + 2),
            (b'"', _) => return (with_state(place, State::CSSDqStr), at + 1),
            (b'\'', _) => return (with_state(place, State::CSSSqStr), at + 1),
            _ => {}
        }
        from = at + 1;
    }
    (place.clone(), text.len())
}

fn in_css_string(place: &Place, text: &[u8]) -> Step {
    let ends: &[u8] = match place.state {
        State::CSSDqStr | State::CSSDqURL => b"\\\"",
        State::CSSSqStr | State::CSSSqURL => b"\\'",
        _ => b"\\\t\n\x0c\r )",
    };
    let mut place = place.clone();
    let mut from = 0;
    while let Some(mut at) = find_any(text, from, ends) {
        if text[at] != b'\\' {
            place.state = State::CSS;
            return Ok((place, at + 1));
        }
        at += 1;
        if at == text.len() {
            return Err(unfinished_escape("CSS", text));
        }
        place = in_url(&place, &super::escapers::decode_css(&text[from..=at]));
        from = at + 1;
    }
    Ok((in_url(&place, &super::escapers::decode_css(&text[from..])), text.len()))
}
