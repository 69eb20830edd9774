//! Recorded runs of `promtool check web-config`.

use super::*;
use crate::test_data::{shared, text};
use crate::yaml::Tree;

#[test]
fn recorded_web_configs_are_judged_as_recorded() {
    let Some(base) = shared("config") else { return };
    let bytes = std::fs::read(base.join("web-config.yaml")).expect("the list of cases");
    let tree = Tree::parse(&bytes).expect("valid YAML").expect("a document");
    let prefix = format!("{}/web/", base.display());
    let mut failures = Vec::new();
    for case in tree.root().items() {
        let file = case.get("file").map(text).expect("each case names its file");
        let path = format!("{prefix}{file}");
        let found = match check_web_config(&path) {
            Ok(_) => format!("{path} SUCCESS"),
            Err(e) => format!("{path} FAILED: {e}"),
        };
        let (found, expected) =
            (found.replace(&prefix, "{dir}/"), case.get("output").map(text).unwrap_or_default());
        if found != expected {
            failures.push(format!("{file}:\n  {found}\n  {expected}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn users_need_bcrypt_hashes() {
    let hash = "$2y$10$qRTBuFoULoYNA7AQ/F3ck.trZBPyjV64.oA4ZsSBCIWvXuvQlQTuu";
    assert_eq!(check_bcrypt(hash), Ok(()));
    assert!(check_bcrypt("secret").is_err_and(|e| e.contains("too short")));
    assert!(check_bcrypt(&hash.replace("$10$", "$99$")).is_err_and(|e| e.contains("cost 99 is outside")));
    assert!(check_bcrypt(&hash.replace("$2y", "x2y")).is_err_and(|e| e.contains("must start with '$'")));
}
