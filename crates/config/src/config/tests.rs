//! The recorded configurations: which must load, which must fail, and with which words.
//!
//! Data: `conformance/config` of the shared material. `NOT_YET` lists what is known to be wrong; a listed case that passes
//! fails the test, so the list can only shrink.

use super::*;
use crate::test_data::{shared, text};

/// Cases that do not pass yet, with the reason.
const NOT_YET: [(&str, &str); 0] = [];

struct Case {
    file: String,
    agent: bool,
    stage: String,
    error_contains: Vec<String>,
}

fn read_cases(path: &Path) -> Vec<Case> {
    let bytes = std::fs::read(path).expect("a list of cases");
    let tree = Tree::parse(&bytes).expect("valid YAML").expect("a document");
    let case = |node: NodeRef<'_>| Case {
        file: text(node.get("file").expect("each case names its file")),
        agent: node.get("agent").is_some(),
        stage: node.get("stage").map(text).unwrap_or_default(),
        error_contains: node.get("error_contains").map(|n| n.items().map(text).collect()).unwrap_or_default(),
    };
    tree.root().items().map(case).collect()
}

/// What is wrong with our answer to a case, if anything.
fn judge(dir: &Path, case: &Case, must_fail: bool) -> Option<String> {
    let path = dir.join(&case.file);
    let options = LoadOptions { agent: case.agent, main_file_only: !case.stage.contains("resolve") };
    let prefix = format!("{}/", dir.display());
    let must_fail = must_fail && !case.stage.contains("accepted when");
    match (Config::load(&path, options), must_fail) {
        (Ok(config), false) => {
            let printed = config.to_yaml();
            Config::parse(&printed, "printed.yml")
                .err()
                .map(|e| format!("its own print fails: {e}\n{printed}"))
        }
        (Ok(_), true) => Some(format!("loads, want {:?}", case.error_contains)),
        (Err(e), false) => Some(format!("fails: {e}")),
        (Err(e), true) => {
            let text = e.to_string().replace(&prefix, "{dir}/");
            let exact = e.as_prometheus().replace(&prefix, "{dir}/");
            let is_missing = |w: &&String| !exact.contains(w.as_str());
            let missing: Vec<&String> = case.error_contains.iter().filter(is_missing).collect();
            (!missing.is_empty()).then(|| format!("want {missing:?} in {text:?}"))
        }
    }
}

#[test]
fn recorded_files_load_or_fail_as_recorded() {
    let Some(base) = shared("config") else { return };
    let lists = [
        ("expected-errors.yaml", "bad", true),
        ("client-expected-errors.yaml", "client-bad", true),
        ("must-load.yaml", "good", false),
        ("client-must-load.yaml", "client-good", false),
    ];
    let (mut passed, mut failures) = (0, Vec::new());
    for (list, sub, must_fail) in lists {
        for case in read_cases(&base.join(list)) {
            let name = format!("{sub}/{}", case.file);
            let listed = NOT_YET.iter().find(|(n, _)| *n == name);
            match (judge(&base.join(sub), &case, must_fail), listed) {
                (None, None) => passed += 1,
                (None, Some(_)) => failures.push(format!("{name} passes now: take it off the list")),
                (Some(_), Some(_)) => {}
                (Some(problem), None) => failures.push(format!("{name}: {problem}")),
            }
        }
    }
    println!("{passed} passed, {} not yet", NOT_YET.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
