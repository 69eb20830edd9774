//! What every match of an expression begins and ends with: a cheap test before the program runs, and a range for sorted values.

use regex_syntax::hir::{Hir, HirKind, Look};

/// The longest literal that every match of `tree` surely begins with; empty when none is known.
pub(super) fn prefix(tree: &Hir) -> String {
    let mut bytes = Vec::new();
    collect(tree, &mut bytes, End::Front);
    String::from_utf8(bytes).unwrap_or_default()
}

/// The longest literal that every match of `tree` surely ends with; empty when none is known.
pub(super) fn suffix(tree: &Hir) -> String {
    let mut bytes = Vec::new();
    collect(tree, &mut bytes, End::Back);
    String::from_utf8(bytes).unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Front,
    Back,
}

/// Adds the literal at one end of `tree`. Returns whether the tree is that literal and nothing more, so that a neighbour may
/// go on.
fn collect(tree: &Hir, bytes: &mut Vec<u8>, end: End) -> bool {
    match tree.kind() {
        HirKind::Empty | HirKind::Look(Look::Start | Look::End) => true,
        HirKind::Literal(text) if end == End::Front => {
            bytes.extend_from_slice(&text.0);
            true
        }
        HirKind::Literal(text) => {
            bytes.splice(0..0, text.0.iter().copied());
            true
        }
        HirKind::Capture(group) => collect(&group.sub, bytes, end),
        HirKind::Concat(parts) if end == End::Front => parts.iter().all(|part| collect(part, bytes, end)),
        HirKind::Concat(parts) => parts.iter().rev().all(|part| collect(part, bytes, end)),
        HirKind::Repetition(r) if r.min >= 1 => {
            collect(&r.sub, bytes, end);
            false
        }
        HirKind::Look(_) | HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => false,
    }
}
