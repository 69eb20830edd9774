//! Command lines that end at once.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::harness::Narthex;
use crate::process::narthex;

/// Exit status, standard output, standard error.
fn run(name: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(narthex()).arg0(name).args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn version_and_help_go_to_standard_output() {
    let (code, out, _) = run("narthex", &["--version"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("narthex, version ") && out.contains("\n  platform:"), "{out}");
    let (code, out, _) = run("narthex", &["--help"]);
    assert!(code == Some(0) && out.contains("--storage.tsdb.path="), "{out}");
}

#[test]
fn an_unknown_flag_is_refused_with_the_nearest_name() {
    let (code, _, err) = run("narthex", &["--storage.tsdb.retension.time=1d"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("did you mean '--storage.tsdb.retention.time'?"), "{err}");
}

#[test]
fn what_is_not_there_yet_is_said_instead_of_ignored() {
    let (code, _, log) = run("narthex", &["--agent"]);
    assert!(code == Some(2) && log.contains("not supported yet"), "{log}");
}

#[test]
fn one_warning_names_the_sections_and_flags_without_effect() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("narthex.yml"), "rule_files: [a.yml]\n").unwrap();
    // Ends after the warning, as the address is not one.
    let (_, log) = Narthex::run_to_end(
        folder.path(),
        &["--web.listen-address=nowhere", "--rules.alert.resend-delay=2m", "--auto-gomaxprocs"],
    );
    let lines: Vec<&str> = log.lines().filter(|l| l.contains("have no effect yet")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("parts=\"rule_files, --rules.alert.resend-delay\""), "{}", lines[0]);
}

#[test]
fn a_bad_configuration_ends_the_start_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("narthex.yml"),
        "scrape_configs:\n- job_name: x\n  scrape_intervall: 1s\n",
    )
    .unwrap();
    let (code, log) = Narthex::run_to_end(folder.path(), &[]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("Error loading config (--config.file=") && log.contains("level=ERROR"), "{log}");
    assert!(log.contains("narthex.yml:3:3") && log.contains("scrape_interval"), "{log}");
    assert!(!folder.path().join("data").exists(), "nothing was touched");
}

#[test]
fn check_config_says_what_is_wrong_and_speaks_promtool() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.yml"), folder.path().join("bad.yml"));
    std::fs::write(&good, "scrape_configs:\n- job_name: x\n").unwrap();
    std::fs::write(&bad, "scrape_configs:\n- job_name: x\n  foo: 1\n").unwrap();
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    for name in ["narthex", "promtool"] {
        let (code, out, _) = run(name, &["check", "config", good]);
        assert_eq!(code, Some(0));
        let expected =
            format!("Checking {good}\n SUCCESS: {good} is valid prometheus config file syntax\n\n");
        assert_eq!(out, expected);
        let (code, _, err) = run(name, &["check", "config", good, bad]);
        assert_eq!(code, Some(1));
        assert!(err.contains("FAILED: ") && err.contains("foo"), "{err}");
    }
    let (code, _, err) = run("promtool", &["query", "instant", "http://x", "up"]);
    assert!(code == Some(1) && err.contains("'query instant' is not there yet"), "{err}");
    let (code, _, err) = run("promtool", &["check", "config"]);
    assert_eq!(
        (code, &*err),
        (Some(1), "promtool: error: required argument 'config-files' not provided, try --help\n")
    );
    let (code, out, _) = run("promtool", &["check", "--help"]);
    assert!(code == Some(0) && out.contains("check config"), "{out}");
}
