//! The `tsdb` commands beside the real promtool, on data directories that a real Prometheus wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::fixture;
use crate::process::{narthex, peer};

/// Exit status and standard output of one command line.
fn run(program: &Path, words: &[&str], arguments: &[&Path]) -> (Option<i32>, String) {
    let out = Command::new(program).args(words).args(arguments).output().unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap())
}

/// Every file below a directory with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// The text with the lines of each paragraph in order: promtool lists equal numbers as chance has it.
fn ordered(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let mut lines: Vec<&str> = paragraph.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Runs the same words over the same directory with both; nothing of it changes.
#[track_caller]
fn check_same(promtool: &Path, data: &Path, lines: &[&str]) {
    let before = files(data);
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let (ours, theirs) = (run(&narthex(), &words, &[data]), run(promtool, &words, &[data]));
        assert_eq!(ours.0, theirs.0, "exit status of {line}");
        assert_eq!(ordered(&ours.1), ordered(&theirs.1), "{line}");
        assert!(files(data) == before, "{line} changed something");
    }
}

#[test]
fn blocks_are_listed_and_analyzed_as_promtool_does() {
    let Some(promtool) = peer("promtool") else { return };
    for name in ["prom-3.5.3-a", "prom-3.5.3-a-snapshot"] {
        let Some(folder) = fixture(name) else { return };
        let lines = [
            "tsdb list",
            "tsdb list -r",
            "tsdb analyze --limit=1000",
            "tsdb analyze --limit=1000 --extended",
            "tsdb analyze --limit=1000 --extended --match={__name__=~\".*native.*\"}",
            "tsdb analyze --limit=1000 --match={job=\"none\"}",
        ];
        check_same(&promtool, &folder.path().join("data"), &lines);
    }
}

#[test]
fn one_block_is_analyzed_by_its_name() {
    let Some(promtool) = peer("promtool") else { return };
    let Some(folder) = fixture("prom-3.5.3-a") else { return };
    let data = folder.path().join("data");
    let (_, list) = run(&promtool, &["tsdb", "list"], &[&data]);
    for name in list.lines().skip(1).filter_map(|line| line.split(' ').next()) {
        let words = ["tsdb", "analyze", "--limit=1000", "--extended"];
        let block = [&*data, Path::new(name)];
        let (ours, theirs) = (run(&narthex(), &words, &block), run(&promtool, &words, &block));
        assert_eq!(ordered(&ours.1), ordered(&theirs.1), "{name}");
        assert!(ours.1.contains(name));
    }
    assert_eq!(run(&narthex(), &["tsdb", "analyze"], &[&data, Path::new("none")]).0, Some(1));
}

/// Regular and irregular samples of five series over two days.
fn open_metrics() -> String {
    let mut text = String::from("# TYPE requests counter\n");
    for series in 0..5u32 {
        for i in 0..3000u32 {
            let at = f64::from(1_700_000_000 + i * (50 + series)) + f64::from(i * series % 7) / 10.0;
            text.push_str(&format!(
                "requests_total{{i=\"{series}\",text=\"é \\\"x\\\"\"}} {} {at:.3}\n",
                i * series
            ));
        }
    }
    text.push_str("# TYPE sizes histogram\nsizes_bucket{le=\"1\"} 3 1700000000\nsizes_bucket{le=\"+Inf\"} 5 1700000000\n");
    text + "sizes_count 5 1700000000\nsizes_sum 5.5 1700000000\n# EOF\n"
}

/// Names of blocks are chance, and sizes are ours.
fn comparable(list: &str) -> Vec<Vec<&str>> {
    let words = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.map(|words| words[1..words.len() - 1].to_vec()).collect()
}

#[test]
fn blocks_made_from_openmetrics_are_those_of_promtool() {
    let Some(promtool) = peer("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    std::fs::write(&input, open_metrics()).unwrap();
    for more in [&[][..], &["--max-block-duration=24h"], &["-r"]] {
        let words = ["tsdb", "create-blocks-from", "openmetrics", "--label=origin=test"];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        let outputs = ["ours", "theirs"].map(|name| folder.path().join(name));
        let ours = run(&narthex(), &words, &[&input, &outputs[0]]);
        let theirs = run(&promtool, &words, &[&input, &outputs[1]]);
        assert_eq!((ours.0, comparable(&ours.1)), (theirs.0, comparable(&theirs.1)), "{more:?}");
        let dumps = outputs.clone().map(|dir| {
            // promtool only dumps a directory with a WAL.
            std::fs::create_dir_all(dir.join("wal")).unwrap();
            run(&promtool, &["tsdb", "dump"], &[&dir])
        });
        assert_eq!(dumps[0], dumps[1], "{more:?}");
        assert!(dumps[0].1.lines().count() > 15_000);
        outputs.iter().for_each(|dir| std::fs::remove_dir_all(dir).unwrap());
    }
}

#[test]
fn a_text_that_cannot_become_blocks_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    for (text, reason) in [
        ("a 1 1\n", "data does not end with # EOF"),
        ("a 1\n# EOF\n", "expected timestamp for series got none"),
        ("a{b=\"c\",b=\"d\"} 1 5\n# EOF\n", "label name \"b\" is not unique"),
    ] {
        std::fs::write(&input, text).unwrap();
        let words = ["tsdb", "create-blocks-from", "openmetrics"];
        let out = Command::new(narthex()).args(words).args([&input, &output]).output().unwrap();
        let error = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(1) && error.contains(reason), "{text}: {error}");
        assert_eq!(std::fs::read_dir(&output).unwrap().count(), 0, "{text}");
    }
}

#[test]
fn the_write_benchmark_counts_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    std::fs::write(&input, "{\"__name__\":\"a\",\"b\":\"c\"}\n{\"__name__\":\"d\"}\n{\"__name__\":\"d\"}\n")
        .unwrap();
    let out = format!("--out={}", output.display());
    let (code, text) = run(&narthex(), &["tsdb", "bench", "write", &out, "--scrapes=150"], &[&input]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(" > total samples: 400\n") && text.contains("stage=stopStorage"), "{text}");
    assert!(output.join("storage/wal").is_dir());
}

/// promtool leaves out what of the logs is older than the newest block; we dump what a server would serve.
#[test]
fn a_dump_has_all_that_promtool_dumps_and_all_that_is_served() {
    let Some(promtool) = peer("promtool") else { return };
    for name in ["prom-3.5.3-a", "prom-3.5.3-a-snapshot"] {
        let Some(folder) = fixture(name) else { return };
        let data = folder.path().join("data");
        let about = std::fs::read_to_string(folder.path().join("expected/about.json")).unwrap();
        let about: serde_json::Value = serde_json::from_str(&about).unwrap();
        let before = files(&data);
        for line in [
            "tsdb dump",
            "tsdb dump --min-time=1795330000000 --max-time=1795350000000",
            "tsdb dump --match={job=\"gen\"} --match=gen_int --match={__name__=~\".*native.*\"}",
            "tsdb dump-openmetrics --match={__name__!~\".*native.*\"}",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let (ours, theirs) = (run(&narthex(), &words, &[&data]), run(&promtool, &words, &[&data]));
            assert_eq!((ours.0, theirs.0), (Some(0), Some(0)), "{line}");
            let lines: Vec<&str> = ours.1.lines().collect();
            let mut there = lines.iter();
            // Both are in one order.
            let lost = theirs.1.lines().find(|wanted| !there.any(|line| line == wanted));
            assert_eq!(lost, None, "{line}");
            if line == "tsdb dump" {
                let stale = lines.iter().filter(|line| line.contains("} NaN ")).count();
                let served = about["samples_served"].as_u64().unwrap() as usize;
                assert!((served..=served + stale).contains(&lines.len()), "{} of {served}", lines.len());
            }
        }
        assert!(files(&data) == before, "a dump changed something");
        let (_, series) =
            run(&narthex(), &["tsdb", "dump", "--format=seriesjson", "--match=gen_int"], &[&data]);
        assert_eq!(series, "{\"__name__\":\"gen_int\",\"job\":\"gen\"}\n");
    }
}
