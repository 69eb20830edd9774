//! Recorded runs of `promtool check config`, up to where rule files are read.

use super::*;
use crate::test_data::{shared, text};
use crate::yaml::{NodeRef, Tree};

/// The options and the file of a recorded command line; `None` for other commands.
fn command(args: &[String]) -> Option<(CheckOptions, String)> {
    let rest = args.strip_prefix(&["check".to_owned(), "config".to_owned()])?;
    let mut options = CheckOptions::default();
    let mut file = None;
    for arg in rest {
        match arg.as_str() {
            "--syntax-only" => options.syntax_only = true,
            "--agent" => options.agent = true,
            "--lint=all" | "--lint=too-long-scrape-interval" => options.lint_lookback_ms = 300_000,
            other if other.starts_with("--") => {}
            other => file = Some(other.to_owned()),
        }
    }
    file.map(|f| (options, f))
}

#[test]
fn recorded_runs_of_promtool_print_the_same() {
    let Some(base) = shared("promtool") else { return };
    let bytes = std::fs::read(base.join("cases.yaml")).expect("the list of cases");
    let tree = Tree::parse(&bytes).expect("valid YAML").expect("a document");
    let (mut count, mut failures) = (0, Vec::new());
    for case in tree.root().items() {
        let args: Vec<String> = case.get("args").into_iter().flat_map(NodeRef::items).map(text).collect();
        let recorded = |key| case.get(key).map(text).unwrap_or_default();
        let Some((options, file)) = command(&args) else { continue };
        let path = base.join(&file);
        if !path.exists() {
            continue;
        }
        count += 1;
        let prefix = format!("{}/", base.display());
        let report = check_config_file(&path.to_string_lossy(), options);
        let (stdout, stderr) = (report.stdout.replace(&prefix, ""), report.stderr.replace(&prefix, ""));
        let (expected, errors) = (recorded("stdout"), recorded("stderr"));
        // What follows the first empty line is about rule files.
        let rules_follow = !report.rule_files.is_empty();
        let same = if rules_follow { expected.starts_with(&stdout) } else { expected == stdout };
        let same_errors = if rules_follow { errors.starts_with(&stderr) } else { errors == stderr };
        if !same || !same_errors {
            let id = recorded("id");
            failures.push(format!("{id}:\n{stdout}{stderr}--- recorded\n{expected}{errors}"));
        }
    }
    println!("{count} runs compared");
    assert!(count > 0 && failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn places_add_file_line_column_and_the_nearest_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("p.yml");
    std::fs::write(&path, "global:\n  scrape_intervall: 5s\n").expect("the directory is ours");
    let path = path.to_string_lossy().into_owned();
    let check = |places| check_config_file(&path, CheckOptions { places, ..CheckOptions::default() }).stderr;
    let plain = "yaml: unmarshal errors:\n  line 2: field scrape_intervall not found in type config.plain";
    assert_eq!(check(false), format!("  FAILED: parsing YAML file {path}: {plain}\n"));
    let hint = "; did you mean \"scrape_interval\"?";
    assert_eq!(check(true), format!("  FAILED: parsing YAML file {path}: {plain}{hint} ({path}:2:3)\n"));
}
