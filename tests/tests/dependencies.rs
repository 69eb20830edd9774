//! Arrows between crates point only downwards, licences are allowed ones, banned crates stay out.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

use narthex_house::root;
use serde_json::Value;

/// Our crates from the lowest floor up; a crate may use only crates of lower floors.
const FLOORS: [&[&str]; 7] = [
    &["model", "metrics", "disk", "profile"],
    &["storage", "relabel", "exposition", "template"],
    &["config", "chunks", "wal"],
    &["net", "promql", "block"],
    &["cloud"],
    &["discovery", "remote", "scrape", "tsdb"],
    &["web"],
];

/// The same list as in deny.toml.
const LICENCES: [&str; 11] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "BSL-1.0",
    "Unlicense",
    "Unicode-3.0",
    "CC0-1.0",
];

const BANNED: [&str; 4] = ["openssl-sys", "aws-lc-sys", "native-tls", "bindgen"];

fn metadata(more: &[&str]) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version=1", "--locked"]).args(more).current_dir(root());
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn floor(name: &str) -> Option<usize> {
    let name = name.strip_prefix("narthex-")?;
    FLOORS.iter().position(|floor| floor.contains(&name))
}

#[test]
fn arrows_point_only_downwards() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if name == "narthex" || name == "narthex-house" {
            continue;
        }
        let own = floor(name)
            .unwrap_or_else(|| panic!("{name} has no floor: add it to FLOORS and to ARCHITECTURE.md"));
        for dependency in package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null()) {
            let used = dependency["name"].as_str().unwrap();
            // Discovery lies on the floor of the services it feeds.
            let neighbour = (name, used) == ("narthex-scrape", "narthex-discovery");
            if let Some(below) = floor(used) {
                assert!(below < own || neighbour, "{name} must not use {used}: arrows point downwards");
            }
        }
    }
}

#[test]
fn licences_and_crates_are_allowed_ones() {
    let metadata = metadata(&[]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        assert!(!BANNED.contains(&name), "{name} is banned, see deny.toml");
        let licence = package["license"].as_str().unwrap_or("");
        assert!(is_allowed(licence), "{name}: licence {licence:?} is not on the list of deny.toml");
    }
}

/// Understands the forms that crates use: `A OR B`, `A/B`, `A AND B`, with brackets.
fn is_allowed(licence: &str) -> bool {
    let licence = licence.replace('/', " OR ").replace(['(', ')'], "");
    licence.split(" AND ").all(|part| part.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}
