//! HTML as plain text, for attributes that get a value which is HTML already.

use super::context::{Delim, Element, Place, State};
use super::transition::step;

/// The text without its tags.
pub(super) fn strip_tags(html: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut place = Place::default();
    let mut at = 0;
    while at < html.len() {
        if place.delim == Delim::None {
            let reads = if place.element != Element::None && !place.state.is_in_tag() {
                Place { state: State::RCDATA, ..place.clone() }
            } else {
                place.clone()
            };
            let Ok((next, count)) = step(&reads, &html[at..]) else { break };
            let end = at + count;
            if matches!(place.state, State::Text | State::RCDATA) {
                let tag = html[at..end].iter().rposition(|byte| *byte == b'<').map(|tag| at + tag);
                let kept = if next.state == place.state { end } else { tag.unwrap_or(end) };
                out.extend_from_slice(&html[at..kept]);
            }
            if count == 0 && next == place {
                break;
            }
            (place, at) = (next, end);
            continue;
        }
        let Some(len) = html[at..].iter().position(|byte| place.delim.ends().contains(byte)) else { break };
        at += len + usize::from(place.delim != Delim::SpaceOrTagEnd);
        place = Place::of_element(State::Tag, place.element);
    }
    out
}
