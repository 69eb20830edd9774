//! `testdata/language.test` names the whole language: each function, aggregation, operator and annotation stands in it.
//!
//! The script itself runs with the others (`conformance.rs`); here it is only looked through, so that nothing is forgotten.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data fails")]

use std::path::Path;

use narthex_promql::ast::AggregateOp;
use narthex_promql::functions_table::Function;

fn script() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/language.test")).unwrap()
}

fn evals(script: &str) -> Vec<&str> {
    script.lines().filter(|line| line.starts_with("eval ")).collect()
}

#[test]
fn every_name_of_the_language_is_evaluated() {
    let script = script();
    let evals = evals(&script);
    let is_there = |name: &str| evals.iter().any(|line| line.contains(name));
    let mut names: Vec<String> = Function::ALL.iter().map(|f| format!(" {}(", f.name())).collect();
    names.extend(AggregateOp::ALL.iter().map(|op| format!(" {}", op.as_str())));
    let rest = [
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " ^ ",
        " atan2 ",
        " == ",
        " != ",
        " > ",
        " < ",
        " >= ",
        " <= ",
        " </ ",
        " >/ ",
        " and ",
        " or ",
        " unless ",
        " bool ",
        " on (",
        " ignoring (",
        " group_left ",
        " group_right ",
        " fill ",
        " fill_left ",
        " fill_right ",
        " by (",
        " without (",
        " offset 2m",
        " offset -1m",
        " @ 60",
        " @ start()",
        " @ end()",
        " anchored",
        " smoothed",
        "[2m:1m]",
        "[step()",
        "max_of(range()",
        "0x",
        "1_000",
        "1m30s",
        "{\"gauge\"",
    ];
    names.extend(rest.map(str::to_owned));
    let missing: Vec<&String> =
        names.iter().filter(|name| !is_there(name.as_str()) && !inside(&evals, name)).collect();
    assert!(missing.is_empty(), "testdata/language.test has no eval of {missing:?}");
}

/// Whether a function is called inside of something else.
fn inside(evals: &[&str], name: &str) -> bool {
    let bare = name.trim_start();
    bare.ends_with('(') && evals.iter().any(|line| line.contains(&format!("({bare}")))
}

#[test]
fn every_annotation_of_prometheus_is_expected() {
    let shared = std::env::var_os("NARTHEX_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), Into::into);
    let inventory = shared.join("conformance/inventories/annotations.tsv");
    let Ok(inventory) = std::fs::read_to_string(&inventory) else {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", inventory.display());
        eprintln!("SKIPPED: every_annotation_of_prometheus_is_expected needs {}", inventory.display());
        return;
    };
    let script = script();
    for line in inventory.lines().skip(1) {
        let (_, text) = line.split_once('\t').unwrap();
        // The text up to what differs; the one about types needs a feature that scripts do not switch on.
        let fixed = text.split('%').next().unwrap().split(" (see").next().unwrap();
        if fixed.contains("__type__") {
            continue;
        }
        assert!(script.contains(fixed), "testdata/language.test does not expect {fixed:?}");
    }
}
