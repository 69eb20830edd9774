//! ARCHITECTURE.md names only what is there, and names every crate.
#![allow(clippy::unwrap_used, reason = "tests")]

use narthex_house::root;

/// Everything between backticks in the map.
fn code_words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_path_in_the_map_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let is_path = |w: &&str| w.contains('/') && !w.starts_with('/') && !w.contains(['<', ' ', '*', '{']);
    let missing: Vec<_> =
        code_words(&text).into_iter().filter(is_path).filter(|w| !root().join(w).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

#[test]
fn every_type_in_the_map_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let sources = narthex_house::files_below(&root().join("crates"), ".rs");
    let code: String = sources.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let is_type = |w: &&str| {
        w.starts_with(|c: char| c.is_ascii_uppercase()) && w.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let declares =
        |w: &str| ["struct", "enum", "trait", "type"].iter().any(|k| code.contains(&format!("{k} {w}")));
    let missing: Vec<_> = code_words(&text).into_iter().filter(is_type).filter(|w| !declares(w)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names types that are not there: {missing:?}");
}

#[test]
fn every_crate_is_on_the_map() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("`crates/{name}`")), "ARCHITECTURE.md does not name crates/{name}");
    }
}
