//! The finite languages: expressions such as `a|b|c`, `foo(bar|baz)?`, `v[12]` whose matches can be listed.

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Look};

/// At most so many values are listed, as in Prometheus.
const MAX_LITERALS: usize = 256;
/// At most so many bytes they hold together, with all that was built on the way.
const MAX_BYTES: usize = 64 * 1024;

/// All texts that match the whole of `tree`, sorted; `None` when they are too many or depend on more than characters.
pub(super) fn literals(tree: &Hir) -> Option<Vec<String>> {
    let place = Place { at_start: true, at_end: true };
    let mut texts = list(tree, place)?
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).ok())
        .collect::<Option<Vec<String>>>()?;
    texts.sort_unstable();
    texts.dedup();
    Some(texts)
}

/// Whether the part that is looked at surely begins at the start of the value, and ends at its end.
#[derive(Clone, Copy)]
struct Place {
    at_start: bool,
    at_end: bool,
}

type Texts = Vec<Vec<u8>>;

fn list(tree: &Hir, place: Place) -> Option<Texts> {
    match tree.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(text) => Some(vec![text.0.to_vec()]),
        HirKind::Class(Class::Unicode(class)) => characters(class),
        HirKind::Class(Class::Bytes(class)) => class.to_unicode_class().and_then(|class| characters(&class)),
        HirKind::Look(Look::Start) if place.at_start => Some(vec![Vec::new()]),
        HirKind::Look(Look::End) if place.at_end => Some(vec![Vec::new()]),
        HirKind::Look(_) => None,
        HirKind::Capture(group) => list(&group.sub, place),
        HirKind::Repetition(r) => {
            repeat(&list(&r.sub, Place { at_start: false, at_end: false })?, r.min, r.max?)
        }
        HirKind::Concat(parts) => concat(parts, place),
        HirKind::Alternation(parts) => {
            let mut all = Texts::new();
            for part in parts {
                all.extend(list(part, place)?);
                check_size(&all)?;
            }
            Some(all)
        }
    }
}

fn characters(class: &ClassUnicode) -> Option<Texts> {
    let count: usize = class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum();
    if count > MAX_LITERALS {
        return None;
    }
    let all = class.ranges().iter().flat_map(|range| range.start()..=range.end());
    Some(all.map(|c| c.to_string().into_bytes()).collect())
}

fn concat(parts: &[Hir], place: Place) -> Option<Texts> {
    let is_empty = |part: &Hir| part.properties().maximum_len() == Some(0);
    let mut all = vec![Vec::new()];
    for (i, part) in parts.iter().enumerate() {
        let here = Place {
            at_start: place.at_start && parts[..i].iter().all(is_empty),
            at_end: place.at_end && parts[i + 1..].iter().all(is_empty),
        };
        all = product(&all, &list(part, here)?)?;
    }
    Some(all)
}

fn repeat(once: &Texts, min: u32, max: u32) -> Option<Texts> {
    let mut now = vec![Vec::new()];
    let mut all = Texts::new();
    for n in 0..=max {
        if n >= min {
            all.extend_from_slice(&now);
            check_size(&all)?;
        }
        if n < max {
            now = product(&now, once)?;
        }
    }
    Some(all)
}

/// Every text of `left` followed by every text of `right`.
fn product(left: &Texts, right: &Texts) -> Option<Texts> {
    if left.len() * right.len() > MAX_LITERALS {
        return None;
    }
    let mut all = Texts::with_capacity(left.len() * right.len());
    for head in left {
        for tail in right {
            all.push([&head[..], &tail[..]].concat());
        }
        check_size(&all)?;
    }
    Some(all)
}

fn check_size(texts: &Texts) -> Option<()> {
    let bytes: usize = texts.iter().map(Vec::len).sum();
    (texts.len() <= MAX_LITERALS && bytes <= MAX_BYTES).then_some(())
}
