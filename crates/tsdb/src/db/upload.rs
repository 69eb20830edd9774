//! Which blocks another program has copied away, as it says in a file of its own (the meta file of Thanos' shipper).

use std::collections::HashSet;
use std::path::Path;

use narthex_block::Ulid;

/// The blocks that the file lists; `None` when it cannot be read, and then nothing waits.
pub(super) fn uploaded_blocks(file: &Path) -> Option<HashSet<Ulid>> {
    let warn = |error: &dyn std::fmt::Display| {
        tracing::warn!(path = %file.display(), err = %error, "cannot read TSDB upload meta file");
    };
    let text = std::fs::read(file).inspect_err(|error| warn(error)).ok()?;
    let json: serde_json::Value = serde_json::from_slice(&text).inspect_err(|error| warn(error)).ok()?;
    let listed = json.get("uploaded").and_then(|list| list.as_array());
    let names = listed.into_iter().flatten().filter_map(|name| name.as_str()?.parse().ok());
    Some(names.collect())
}
