//! Every source file opens with its story, and every crate's library with more than a line.
#![allow(clippy::unwrap_used, reason = "tests")]

use narthex_house::{files_below, root};

#[test]
fn every_file_opens_with_its_story() {
    let sources = ["crates", "tests"].iter().flat_map(|d| files_below(&root().join(d), ".rs"));
    let silent: Vec<_> = sources
        .filter(|f| !std::fs::read_to_string(f).unwrap().starts_with("//!"))
        .map(|f| f.display().to_string())
        .collect();
    assert!(silent.is_empty(), "files that do not open with `//!`:\n{}", silent.join("\n"));
}

#[test]
fn every_library_tells_more_than_its_name() {
    for lib in files_below(&root().join("crates"), "src/lib.rs") {
        let text = std::fs::read_to_string(&lib).unwrap();
        let story = text.lines().take_while(|l| l.starts_with("//!")).count();
        assert!(story >= 3, "{}: the story names the road in and what the crate does not do", lib.display());
    }
}
