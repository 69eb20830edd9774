//! The recorded configurations: which must load, which must fail, and with which words.
//!
//! Data: `conformance/config` of the shared material. `NOT_YET` lists what is known to be wrong; a listed case that passes
//! fails the test, so the list can only shrink.

use super::*;
use crate::test_data::{shared, text};
use crate::{StartFrom, WalHold};

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
    let options = LoadOptions {
        agent: case.agent,
        main_file_only: !case.stage.contains("resolve"),
        ..LoadOptions::default()
    };
    let prefix = format!("{}/", dir.display());
    let must_fail = must_fail && !case.stage.contains("accepted when");
    match (Config::load(&path, &options), must_fail) {
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

/// `BLESS=1 cargo test` rewrites the expectation; read the difference before committing it.
#[test]
fn a_configuration_prints_in_the_layout_of_the_real_server() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/golden");
    let text = std::fs::read_to_string(format!("{dir}/every_layout.yml")).expect("the input");
    let printed = Config::parse(&text, "conf/every_layout.yml").expect("it is valid").to_yaml();
    let expected = format!("{dir}/every_layout.shown.yml");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&expected, &printed).expect("the directory is ours");
    }
    assert_eq!(printed, std::fs::read_to_string(&expected).expect("the expectation"));
}

#[test]
fn secrets_never_print() {
    let text = "
scrape_configs:
- job_name: a
  basic_auth: {username: u, password: hunter2}
  http_headers: {X: {secrets: [hunter2]}}
  proxy_url: http://u:hunter2@p/
  consul_sd_configs: [{token: hunter2}]
remote_write:
- {url: 'https://u:hunter2@h/', bearer_token: hunter2}
";
    let config = Config::parse(text, "p.yml").expect("it is valid");
    assert!(!config.to_yaml().contains("hunter2"), "{}", config.to_yaml());
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    let http = &config.remote_write[0].http;
    assert_eq!(http.authorization.as_ref().map(|a| a.credentials.expose()), Some("hunter2"));
}

#[track_caller]
fn check_remote_write(fields: &str, expected: &Result<(Option<WalHold>, StartFrom), &str>) {
    let text = format!("remote_write:\n- {{url: 'http://h', {fields}}}\n");
    let config = Config::parse(&text, "p.yml");
    let found = config.as_ref().map(|config| &config.remote_write[0]);
    let found = found.map(|section| (section.wal_hold.clone(), section.start_from));
    assert_eq!(found.as_ref().map_err(ToString::to_string), expected.as_ref().map_err(|e| (*e).to_owned()));
    if let Ok(config) = &config {
        let again = Config::parse(&config.to_yaml(), "p.yml").expect("what was printed is valid");
        assert_eq!(again.remote_write, config.remote_write);
    }
}

#[test]
fn the_fields_of_ours_in_remote_write() {
    let of = |bytes, age_ms| Some(WalHold { bytes, age_ms });
    check_remote_write("", &Ok((None, StartFrom::Now)));
    check_remote_write("wal_hold: {}", &Ok((of(8 << 30, 21_600_000), StartFrom::Now)));
    check_remote_write("wal_hold: {bytes: 0, age: 1d}", &Ok((of(0, 86_400_000), StartFrom::Now)));
    check_remote_write("wal_hold: {bytes: 1GB, age: 0s}", &Ok((of(1 << 30, 0), StartFrom::Now)));
    check_remote_write("start_from: oldest", &Ok((None, StartFrom::Oldest)));
    check_remote_write("start_from: 2h", &Ok((None, StartFrom::Ago(7_200_000))));
    check_remote_write(
        "start_from: later",
        &Err(
            "parsing YAML file p.yml: invalid start_from value: \"later\", use now, oldest or a duration such as 2h (p.yml:2:33)",
        ),
    );
    check_remote_write(
        "wal_hold: {bytes: -1GB}",
        &Err("parsing YAML file p.yml: remote write wal_hold bytes must not be negative (p.yml:2:3)"),
    );
}

#[test]
fn the_sections_that_nobody_acts_on_are_named() {
    let text = "rule_files: [r.yml]\nscrape_configs: [{job_name: a, dns_sd_configs: [{names: [x]}]}]\n";
    let config = Config::parse(text, "p.yml").expect("it is valid");
    assert_eq!(config.not_acted_on(), ["rule_files", "dns_sd_configs of job \"a\""]);
    assert_eq!(Config::parse("", "p.yml").expect("empty is valid").not_acted_on(), [""; 0]);
}

#[track_caller]
fn check_errors(text: &str, expected: &str) {
    let e = Config::parse(text, "p.yml").expect_err("it is wrong");
    assert_eq!(e.to_string(), expected);
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    check_errors(
        "global: {scrape_interval: abc, sample_limits: 1}\nscrape_configs:\n- honor_labels: maybe\n",
        "parsing YAML file p.yml: not a valid duration string: \"abc\" (p.yml:1:27)
  and: field sample_limits not found in type config.plain; did you mean \"sample_limit\"? (p.yml:1:32)
  and: cannot unmarshal !!str `maybe` into bool (p.yml:3:17)",
    );
    check_errors(
        "globl: {}\nremote_write: [{url: [x]}]\nscrape_configs: 5\n",
        "parsing YAML file p.yml: yaml: unmarshal errors:
  line 1: field globl not found in type config.plain; did you mean \"global\"? (p.yml:1:1)
  line 2: cannot unmarshal !!seq into string (p.yml:2:22)
  line 3: cannot unmarshal !!int `5` into []*config.ScrapeConfig (p.yml:3:17)",
    );
    check_errors(
        "a: b: c\n",
        "parsing YAML file p.yml: yaml: mapping values are not allowed in this context (p.yml:1:5)",
    );
    check_errors(
        "x\n",
        "parsing YAML file p.yml: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `x` into config.plain (p.yml:1:1)",
    );
}

/// Damages the good files at random; nothing may panic, and what loads must print and load again.
#[test]
fn damaged_files_never_panic() {
    let golden = include_bytes!("golden/every_layout.yml").to_vec();
    let mut seeds = vec![golden];
    if let Some(base) = shared("config") {
        for sub in ["good", "bad"] {
            let files = std::fs::read_dir(base.join(sub)).expect("a directory").flatten();
            seeds.extend(files.filter(|f| f.path().is_file()).filter_map(|f| std::fs::read(f.path()).ok()));
        }
    }
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(17);
    let rounds = std::env::var("FUZZ_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1_500);
    println!("FUZZ_SEED={seed} FUZZ_ROUNDS={rounds}");
    let mut random = fastrand::Rng::with_seed(seed);
    let tokens: [&[u8]; 14] = [
        b"- ",
        b": ",
        b"[",
        b"{",
        b"&a ",
        b"*a",
        b"<<: *a",
        b"!!binary ",
        b"null",
        b"\n",
        b"  ",
        b"'",
        b"\"",
        b"$",
    ];
    for _ in 0..rounds {
        let mut bytes = seeds[random.usize(..seeds.len())].clone();
        bytes.truncate(4_000);
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..=bytes.len());
            match random.u8(..5) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] = random.u8(..),
                2 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
                3 => drop(bytes.splice(at..at, tokens[random.usize(..tokens.len())].iter().copied())),
                _ => drop(bytes.drain(at..(at + random.usize(..20)).min(bytes.len()))),
            }
        }
        match Config::parse_bytes(&bytes, "fuzz.yml") {
            Ok(config) => {
                let printed = config.to_yaml();
                Tree::parse(printed.as_bytes()).unwrap_or_else(|e| panic!("{e:?} in the print\n{printed}"));
            }
            Err(e) => assert!(!e.problems().is_empty() && !e.to_string().is_empty()),
        }
    }
}

/// The flags give the retention when the file says nothing; a section in the file, even an empty one, replaces all of it.
#[test]
fn a_retention_section_replaces_that_of_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yml");
    let flags = RetentionConfig { time_ms: 15 * 86_400_000, size_bytes: 1 << 30, percentage: 0.0 };
    let options = LoadOptions { retention: flags.clone(), ..LoadOptions::default() };
    let in_file = RetentionConfig { percentage: 50.0, ..RetentionConfig::default() };
    for (yaml, expected) in [
        ("", &flags),
        ("storage: {tsdb: {out_of_order_time_window: 1h}}", &flags),
        ("storage: {tsdb: {retention: {percentage: 50}}}", &in_file),
        ("storage: {tsdb: {retention: {}}}", &RetentionConfig::default()),
    ] {
        std::fs::write(&path, yaml).unwrap();
        let config = Config::load(&path, &options).unwrap();
        assert_eq!(config.storage.tsdb.unwrap().retention.as_ref(), Some(expected), "{yaml}");
    }
}
