//! Command lines as data: what they set, and what is said about wrong ones.

use super::parse::FlagError;
use super::*;

fn read(line: &str) -> Result<Parsed, FlagError> {
    parse(line.split_whitespace().map(str::to_owned))
}

#[track_caller]
fn check(line: &str, name: &str, expected: &str) {
    let Ok(Parsed::Run(flags)) = read(line) else { panic!("{line}: {:?}", read(line)) };
    let pairs = flags.pairs();
    let value = &pairs.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(value, expected, "{line}");
}

#[test]
fn values_are_given_with_a_sign_or_a_blank_and_switches_are_negated() {
    check("", "config.file", "prometheus.yml");
    check("--config.file=a.yml", "config.file", "a.yml");
    check("--config.file a.yml", "config.file", "a.yml");
    check("--web.enable-lifecycle", "web.enable-lifecycle", "true");
    check("--no-storage.tsdb.wal-compression", "storage.tsdb.wal-compression", "false");
    check("", "web.listen-address", "0.0.0.0:9090");
    check("--web.listen-address=:1 --web.listen-address=:2", "web.listen-address", ":1,:2");
    check("--query.timeout=90s", "query.timeout", "1m30s");
    check("--query.max-samples=5e6", "query.max-samples", "5e6");
}

#[track_caller]
fn check_error(line: &str, expected: &str) {
    assert_eq!(read(line).unwrap_err().to_string(), expected, "{line}");
}

#[test]
fn mistakes_are_named() {
    check_error(
        "--storage.tsdb.pth=x",
        "unknown long flag '--storage.tsdb.pth'; did you mean '--storage.tsdb.path'?",
    );
    check_error("--no-such-thing-at-all", "unknown long flag '--no-such-thing-at-all'");
    check_error("--no-config.file", "unknown long flag '--no-config.file'; did you mean '--config.file'?");
    check_error("-x", "unknown short flag '-x'");
    check_error("extra", "unexpected extra");
    check_error("--web.enable-lifecycle=false", "unexpected false");
    check_error("--config.file", "expected argument for flag '--config.file'");
    check_error("--config.file --agent", "expected argument for flag '--config.file'");
    check_error("--config.file=a --config.file=b", "flag 'config.file' cannot be repeated");
    check_error("--query.timeout=x", "not a valid duration string: \"x\" (in --query.timeout)");
    check_error(
        "--web.max-connections=x",
        "strconv.ParseFloat: parsing \"x\": invalid syntax (in --web.max-connections)",
    );
    check_error(
        "--log.level=foo",
        "enum value must be one of debug,info,warn,error, got 'foo' (in --log.level)",
    );
    check_error(
        "--agent --query.timeout=1s",
        "The following flag(s) can not be used in agent mode: [\"--query.timeout\"]",
    );
    check_error(
        "--storage.agent.path=x",
        "The following flag(s) can only be used in agent mode: [\"--storage.agent.path\"]",
    );
}

#[test]
fn sizes_are_powers_of_1024() {
    for (text, bytes) in [
        ("0B", Some(0)),
        ("512MB", Some(512 << 20)),
        ("1GiB", Some(1 << 30)),
        ("1.5KB", Some(1536)),
        ("1MB5KB", Some((1 << 20) + 5120)),
    ] {
        assert_eq!(parse_bytes(text), bytes, "{text}");
    }
    check_error(
        "--query.max-memory=lots",
        "\"lots\" is neither \"auto\" nor a size with a unit (for example 2GB) (in --query.max-memory)",
    );
    check("--query.max-memory-per-query=2GB", "query.max-memory-per-query", "2GB");
    for bad in ["", "5", "B", "MB", "1XB", "-1MB"] {
        assert_eq!(parse_bytes(bad), None, "{bad}");
    }
}

#[test]
fn every_default_has_the_form_of_its_kind_and_getters_work() {
    let Ok(Parsed::Run(flags)) = read("") else { panic!("no flags are fine") };
    for flag in FLAGS {
        match flag.kind {
            Kind::Bool => drop(flags.bool(flag.name)),
            Kind::Int => drop(flags.int(flag.name)),
            Kind::Duration => drop(flags.duration_ms(flag.name)),
            Kind::Bytes => drop(flags.bytes(flag.name)),
            Kind::Budget => drop(flags.budget(flag.name)),
            Kind::Text | Kind::List | Kind::Messages | Kind::Float | Kind::Choice(_) => {
                let _ = flags.text(flag.name);
            }
        }
    }
    assert_eq!(flags.int("query.max-samples"), 50_000_000);
}

#[test]
fn help_shows_every_flag_that_is_not_hidden() {
    let (short, long) = (help("narthex", false), help("narthex", true));
    for flag in FLAGS {
        assert!(long.contains(flag.name), "{}", flag.name);
        assert!(flag.hidden || short.contains(flag.name), "{}", flag.name);
    }
    assert!(short.lines().all(|l| l.trim_start().starts_with('-') || l.len() <= 100), "lines are broken");
}
