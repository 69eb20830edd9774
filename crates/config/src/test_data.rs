//! Where the recorded cases lie, and reading them; for tests only.

use std::path::PathBuf;

use crate::yaml::{Kind, NodeRef};

/// A directory of the shared conformance material, or `None` after a loud line. In CI its absence is a failure.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let base = std::env::var_os("NARTHEX_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let path = base.join("conformance").join(name);
    if path.is_dir() {
        return Some(path.canonicalize().expect("it was just seen"));
    }
    assert!(std::env::var_os("CI").is_none(), "conformance/{name} is missing; set NARTHEX_SHARED");
    eprintln!("SKIPPED: this test needs conformance/{name} of the shared material; set NARTHEX_SHARED");
    None
}

/// A scalar's text; empty for other nodes.
pub(crate) fn text(node: NodeRef<'_>) -> String {
    match node.kind() {
        Kind::Scalar { value, .. } => value.clone(),
        _ => String::new(),
    }
}
