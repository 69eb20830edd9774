//! Command lines as data: what is said about wrong ones, and what help looks like.

use super::parse::{Parsed, parse};
use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn check_error(line: &str, expected: &str) {
    match parse(&TREE, &words(line)) {
        Err(error) => assert_eq!(error.to_string(), expected, "{line}"),
        Ok(_) => panic!("{line} was accepted"),
    }
}

/// The words are those of promtool 3.5.3 and 3.14, recorded by hand.
#[test]
fn mistakes_are_told_in_promtools_words() {
    check_error("tsdb", "must select a subcommand of 'tsdb'");
    check_error("tsdb foo", "expected command but got \"foo\"");
    check_error("tsdb list a b", "unexpected b");
    check_error("tsdb list --foo", "unknown long flag '--foo'");
    check_error("tsdb list -x", "unknown short flag '-x'");
    check_error("tsdb list --human-readable=true b", "unexpected b");
    check_error("tsdb dump --format=x", "enum value must be one of prom,seriesjson, got 'x'");
    check_error("tsdb dump --format", "expected argument for flag '--format'");
    check_error("tsdb dump --min-time=x", "strconv.ParseInt: parsing \"x\": invalid syntax");
    check_error("tsdb dump --min-time=1 --min-time=2", "flag 'min-time' cannot be repeated");
    check_error("tsdb create-blocks-from", "must select a subcommand of 'tsdb create-blocks-from'");
    check_error("tsdb create-blocks-from openmetrics", "required argument 'input file' not provided");
    check_error("tsdb create-blocks-from openmetrics --label=x y", "expected KEY=VALUE got 'x'");
    check_error(
        "tsdb create-blocks-from openmetrics --max-block-duration=5 y",
        "time: missing unit in duration \"5\"",
    );
    check_error("tsdb create-blocks-from rules x", "required flag(s) '--start' not provided");
    check_error("tsdb create-blocks-from rules --start=1", "required argument 'rule-files' not provided");
    check_error("tsdb analyze --limit=x", "strconv.ParseFloat: parsing \"x\": invalid syntax");
    check_error("tsdb list -rq d", "unknown short flag '-q'");
    check_error(
        "query instant",
        "command 'query instant' is not there yet; 'check', 'tsdb' and 'remote-write' are",
    );
}

#[track_caller]
fn given(line: &str) -> Given {
    match parse(&TREE, &words(line)) {
        Ok(Parsed::Run(_, given)) => given,
        Ok(_) => panic!("{line} runs nothing"),
        Err(error) => panic!("{line}: {error}"),
    }
}

#[test]
fn flags_arguments_and_defaults_are_found() {
    let list = given("tsdb list");
    assert_eq!((list.argument("db path"), list.on("human-readable")), ("data/", false));
    let list = given("tsdb list -r --no-human-readable d");
    assert_eq!((list.argument("db path"), list.on("human-readable")), ("d", false));
    let dump = given("tsdb dump --match a --match=b --min-time=-5 d");
    assert_eq!((dump.flags("match"), dump.int("min-time")), (&["a".to_owned(), "b".to_owned()][..], -5));
    let import = given("tsdb create-blocks-from -rq openmetrics --label=a=b=c --max-block-duration=24h in");
    assert!(import.on("quiet") && import.on("human-readable"));
    assert_eq!(
        (import.flags("label"), import.argument("output directory")),
        (&["a=b=c".to_owned()][..], "data/")
    );
    assert_eq!(import.duration_ms("max-block-duration"), 86_400_000);
    let check = given("check config --lint=none -- --odd-name b");
    assert_eq!(check.arguments("config-files"), ["--odd-name", "b"]);
}

#[test]
fn help_is_laid_out_as_promtool_does() {
    let Ok(Parsed::Help(path)) = parse(&TREE, &words("tsdb list --help")) else {
        panic!("help was asked for")
    };
    let expected = "usage: promtool tsdb list [<flags>] [<db path>]\n\nList tsdb blocks.\n\n\nFlags:\n\
        \x20 -h, --[no-]help            Show context-sensitive help (also try --help-long\n\
        \x20                            and --help-man).\n\
        \x20     --[no-]version         Show application version.\n\
        \x20     --[no-]experimental    Enable experimental commands.\n\
        \x20     --enable-feature= ...  Comma separated feature names to enable.\n\
        \x20 -r, --[no-]human-readable  Print human readable values.\n\n\
        Args:\n  [<db path>]  Database path (default is data/).\n\n";
    assert_eq!(help::of("promtool", &path), expected);
}
