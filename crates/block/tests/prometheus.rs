//! Against the real thing: blocks that Prometheus wrote, and its own tool reading ours.
//!
//! Needs the conformance material (NARTHEX_SHARED) and the peers' programs (PEERS_BIN); says so loudly when they are absent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end where it stands")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use narthex_block::{
    Block, BlockWriter, Intervals, NewBlock, Tombstones, WriterOptions, repair_index_version,
};
use narthex_model::{Labels, MatchOp, Matcher, format_float_json, is_stale};
use narthex_storage::{SampleBatch, SelectHints};

/// A program of the peers; `None` (loudly) when they are absent.
fn peer(name: &str) -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let dir = std::env::var("PEERS_BIN").unwrap_or(format!("{home}/.cache/prometheus-peers/root/usr/bin"));
    present(PathBuf::from(dir).join(name))
}

/// A file of the conformance material.
fn shared(file: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("NARTHEX_SHARED").map_or(default, PathBuf::from);
    present(root.join(file))
}

fn present(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
    eprintln!("SKIPPED: this test needs {}", path.display());
    None
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The blocks of a fixture, alone in a directory.
fn unpack(fixture: &str) -> Option<(tempfile::TempDir, Vec<PathBuf>)> {
    let archive = shared(&format!("conformance/tsdb/{fixture}.tar.zst"))?;
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("tar").args(["--zstd", "-xf"]).arg(archive).arg("-C").arg(dir.path()));
    let data = dir.path().join("data");
    let mut blocks = Vec::new();
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        match path.join("meta.json").exists() {
            true => blocks.push(path),
            false if path.is_dir() => std::fs::remove_dir_all(path).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
    // promtool wants one, and no samples in it.
    std::fs::create_dir(data.join("wal")).unwrap();
    blocks.sort();
    Some((dir, blocks))
}

/// One sample: labels, timestamp in ms, and its value as a text (of a histogram its count and sum).
type Line = (String, i64, String);

/// What the fixture says that the server served of `[mint_ms, maxt_ms)`; without staleness markers.
fn expected(dir: &Path, (mint_ms, maxt_ms): (i64, i64)) -> BTreeSet<Line> {
    let mut lines = BTreeSet::new();
    for text in std::fs::read_to_string(dir.join("expected/samples.jsonl")).unwrap().lines() {
        let series: serde_json::Value = serde_json::from_str(text).unwrap();
        let metric = series["metric"].as_object().unwrap();
        let labels = Labels::from_pairs(metric.iter().map(|(n, v)| (n, v.as_str().unwrap()))).to_string();
        for sample in ["values", "histograms"].iter().filter_map(|kind| series[kind].as_array()).flatten() {
            let t_ms = (sample[0].as_f64().unwrap() * 1000.0).round() as i64;
            let value = match &sample[1] {
                serde_json::Value::String(value) => value.clone(),
                histogram => {
                    format!("{} {}", histogram["count"].as_str().unwrap(), histogram["sum"].as_str().unwrap())
                }
            };
            if (mint_ms..maxt_ms).contains(&t_ms) {
                lines.insert((labels.clone(), t_ms, value));
            }
        }
    }
    lines
}

fn read_by_us(block: &Block, into: &mut BTreeSet<Line>) {
    let querier = block.querier(i64::MIN, i64::MAX);
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    let mut batch = SampleBatch::default();
    for at in 0..set.len() {
        batch.clear();
        set.read(at, i64::MIN, i64::MAX, &mut batch).unwrap();
        let labels = set.labels(at).to_string();
        for (t_ms, value) in batch.t_ms.iter().zip(&batch.values).filter(|(_, value)| !is_stale(**value)) {
            into.insert((labels.clone(), *t_ms, format_float_json(*value)));
        }
        let histograms = batch.histogram_t_ms.iter().zip(&batch.histograms);
        for (t_ms, histogram) in histograms.filter(|(_, histogram)| !is_stale(histogram.sum)) {
            let value =
                format!("{} {}", format_float_json(histogram.count), format_float_json(histogram.sum));
            into.insert((labels.clone(), *t_ms, value));
        }
    }
}

#[test]
fn blocks_of_a_real_prometheus_give_the_samples_that_it_served() {
    let Some((dir, paths)) = unpack("prom-3.5.3-a") else { return };
    let mut found = BTreeSet::new();
    let (mut min_ms, mut max_ms) = (i64::MAX, i64::MIN);
    for path in &paths {
        let block = Block::open(path).unwrap();
        (min_ms, max_ms) = (min_ms.min(block.meta().min_ms), max_ms.max(block.meta().max_ms));
        read_by_us(&block, &mut found);
    }
    let expected = expected(dir.path(), (min_ms, max_ms));
    assert!(expected.len() > 10_000, "the fixture has many samples, not {}", expected.len());
    let (more, less): (Vec<_>, Vec<_>) =
        (found.difference(&expected).collect(), expected.difference(&found).collect());
    assert!(more.is_empty() && less.is_empty(), "ours only: {more:?}, theirs only: {less:?}");
}

/// Every label pair of a block as each kind of matcher, against a plain filter over all its series.
fn check_selectors(block: &Block) {
    let querier = block.querier(i64::MIN, i64::MAX);
    let labels_of = |matchers: &[Matcher]| -> Vec<Labels> {
        let set = querier.select(&SelectHints::default(), matchers).unwrap();
        (0..set.len()).map(|at| set.labels(at)).collect()
    };
    let all = labels_of(&[]);
    assert!(all.is_sorted() && !all.is_empty());
    // A series that is deleted as a whole is in the index still.
    let indexed: Vec<Labels> = block.series().map(|entry| entry.unwrap().labels).collect();
    assert_eq!(indexed.len() as u64, block.meta().stats.num_series);
    assert!(all.iter().all(|labels| indexed.contains(labels)) && indexed.len() - all.len() < 2);
    let names = querier.label_names(&[], 0).unwrap();
    let seen: BTreeSet<&str> = indexed.iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
    assert!(names.iter().map(String::as_str).eq(seen));
    for name in &names {
        let values = querier.label_values(name, &[], 0).unwrap();
        let seen: BTreeSet<&str> = indexed.iter().filter_map(|labels| labels.get(name)).collect();
        assert!(values.iter().map(String::as_str).eq(seen), "{name}");
        for value in &values {
            let prefix: String = value.chars().take(2).filter(|c| c.is_alphanumeric()).collect();
            for (op, text) in [
                (MatchOp::Equal, value.clone()),
                (MatchOp::NotEqual, value.clone()),
                (MatchOp::Regex, format!("{prefix}.*")),
                (MatchOp::NotRegex, format!("{prefix}.+")),
            ] {
                let matchers = [Matcher::new(op, name.as_str(), text).unwrap(), Matcher::equal("absent", "")];
                let expected = all.iter().filter(|labels| matchers[0].matches(labels.value(name)));
                assert!(labels_of(&matchers).iter().eq(expected), "{}", matchers[0]);
            }
        }
    }
}

#[test]
fn selectors_find_in_real_blocks_what_a_plain_filter_finds() {
    let Some((_dir, paths)) = unpack("prom-3.5.3-a") else { return };
    paths.iter().for_each(|path| check_selectors(&Block::open(path).unwrap()));
}

#[test]
fn an_index_of_version_1_is_read() {
    let Some(dir) = shared("conformance/tsdb/upstream/index_format_v1") else { return };
    let block = Block::open(&dir).unwrap();
    check_selectors(&block);
    let mut found = BTreeSet::new();
    read_by_us(&block, &mut found);
    assert_eq!(found.len() as u64, block.meta().stats.num_samples);
}

/// Writes what `block` holds into a new block below `parent`, with the same name.
fn copy(block: &Block, parent: &Path, options: &WriterOptions) -> PathBuf {
    let meta = block.meta();
    let (ulid, compaction) = (meta.ulid, meta.compaction.clone());
    let new = NewBlock { ulid, min_ms: meta.min_ms, max_ms: meta.max_ms, compaction };
    let mut writer = BlockWriter::create(parent, new, options).unwrap();
    block.symbols().for_each(|symbol| writer.add_symbol(&symbol).unwrap());
    for entry in block.series() {
        let entry = entry.unwrap();
        writer.add_series(&entry.labels, &entry.chunks).unwrap();
    }
    writer.finish().unwrap();
    parent.join(ulid.to_string())
}

/// A series has another number in the copy, where the places of its chunks take more bytes or fewer.
fn copy_tombstones(from: &Block, to: &Block) {
    let mut tombstones = Tombstones::default();
    for (theirs, ours) in from.series().zip(to.series()) {
        let (theirs, ours) = (theirs.unwrap(), ours.unwrap());
        assert_eq!((&theirs.labels, &theirs.chunks), (&ours.labels, &ours.chunks));
        for interval in from.tombstones().get(theirs.series).into_iter().flat_map(Intervals::as_slice) {
            tombstones.add(ours.series, *interval);
        }
    }
    assert_eq!(tombstones.total(), from.tombstones().total());
    to.write_tombstones(tombstones).unwrap();
}

/// Symbols and series, then postings, as the table of contents of an index delimits them.
fn sections(block: &Path) -> (Vec<u8>, Vec<u8>) {
    let index = std::fs::read(block.join("index")).unwrap();
    let toc = &index[index.len() - 52..];
    let place = |at: usize| u64::from_be_bytes(toc[8 * at..][..8].try_into().unwrap()) as usize;
    (index[..place(2)].to_vec(), index[place(4)..place(3)].to_vec())
}

#[test]
fn a_copy_of_a_real_block_has_the_same_bytes() {
    let Some((_dir, paths)) = unpack("prom-3.5.3-a") else { return };
    let to = tempfile::tempdir().unwrap();
    for path in &paths {
        let block = Block::open(path).unwrap();
        let copied = copy(&block, to.path(), &WriterOptions::default());
        let stats = Block::open(&copied).unwrap().meta().stats.clone();
        assert_eq!(stats.num_samples, block.meta().stats.num_samples);
        assert_eq!(stats.num_samples, stats.num_float_samples + stats.num_histogram_samples);
        let chunks = |block: &Path| std::fs::read(block.join("chunks/000001")).unwrap();
        assert!(chunks(&copied) == chunks(path), "chunks of {}", path.display());
        assert!(sections(&copied).0 == sections(path).0, "symbols or series of {}", path.display());
        assert!(sections(&copied).1 == sections(path).1, "postings of {}", path.display());
    }
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), paths.len(), "nothing unfinished is left");
}

#[test]
fn the_real_tool_sees_no_difference_between_a_block_and_our_copy() {
    let (Some(promtool), Some((dir, paths))) = (peer("promtool"), unpack("prom-3.5.3-a")) else { return };
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join("wal")).unwrap();
    // Small files and one label name a pass: what large blocks come to.
    let small = WriterOptions { segment_bytes: 5_000, postings_bytes: 1 };
    let tool = |args: &[&str], dir: &Path| run(Command::new(&promtool).arg("tsdb").args(args).arg(dir));
    for path in &paths {
        let block = Block::open(path).unwrap();
        let copied = copy(&block, to.path(), &small);
        assert!(copied.join("chunks/000002").exists());
        copy_tombstones(&block, &Block::open(&copied).unwrap());
        let name = block.ulid().to_string();
        // Lines of equal counts come in any order.
        let analyzed = |dir: &Path| -> Vec<String> {
            let text =
                run(Command::new(&promtool).args(["tsdb", "analyze", "--limit=1000"]).arg(dir).arg(&name));
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(analyzed(to.path()), analyzed(&dir.path().join("data")));
    }
    let theirs = dir.path().join("data");
    assert_eq!(tool(&["dump"], to.path()), tool(&["dump"], &theirs));
    let without_sizes = |text: String| -> Vec<String> {
        text.lines().map(|line| line.rsplit_once(' ').unwrap().0.trim().to_owned()).collect()
    };
    assert_eq!(without_sizes(tool(&["list"], to.path())), without_sizes(tool(&["list"], &theirs)));
}

/// Carries out one step of a case on the first block; `false` for steps that go beyond the inside of a block.
fn damage(block: &Path, step: &serde_json::Value) -> bool {
    let text = |at: usize| step[at].as_str().unwrap_or_default();
    let Some(path) = text(1).strip_prefix("{block0}/").map(|file| block.join(file)) else { return false };
    match text(0) {
        "remove" => std::fs::remove_file(path).unwrap(),
        "write" => std::fs::write(path, text(2)).unwrap(),
        "flip" => {
            let mut bytes = std::fs::read(&path).unwrap();
            let at = step[2].as_i64().unwrap();
            let at = if at < 0 { bytes.len() as i64 + at } else { at } as usize;
            bytes[at] ^= 0xff;
            std::fs::write(path, bytes).unwrap();
        }
        _ => return false,
    }
    true
}

/// What happens to the first block: it opens, an error of opening, an error of reading.
fn outcome(path: &Path) -> String {
    let block = match Block::open(path) {
        Ok(block) => block,
        Err(error) => return error.to_string(),
    };
    let querier = block.querier(i64::MIN, i64::MAX);
    let mut batch = SampleBatch::default();
    for name in querier.label_values("__name__", &[], 0).unwrap() {
        let read = querier
            .select(&SelectHints::default(), &[Matcher::equal("__name__", name)])
            .and_then(|set| (0..set.len()).try_for_each(|at| set.read(at, i64::MIN, i64::MAX, &mut batch)));
        if let Err(error) = read {
            return error.to_string();
        }
    }
    "serves".to_owned()
}

#[test]
fn damaged_blocks_end_as_they_do_for_the_real_server() {
    let Some(cases) = shared("conformance/tsdb/corrupt/cases.json") else { return };
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(cases).unwrap()).unwrap();
    let mut seen = 0;
    for case in cases["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let Some((_dir, paths)) = unpack("corrupt/base") else { return };
        if !id.starts_with("block/")
            || !case["ops"].as_array().unwrap().iter().all(|step| damage(&paths[0], step))
        {
            continue;
        }
        seen += 1;
        // The server passes blocks over whose description it cannot read; the words are its log's.
        let words = match id {
            "block/no-meta" => "cannot open",
            "block/bad-meta" => "unexpected meta file version 9",
            "block/no-index" => "cannot open",
            "block/index-version" => "unknown index file version 253",
            "block/index-toc" => "read TOC: read TOC: invalid checksum",
            "block/index-symbols" => "read symbols: invalid checksum",
            "block/index-series" => "decode postings: invalid checksum",
            "block/chunks-magic" => "invalid magic number 7abd40dd",
            "block/chunks-flip" => "checksum mismatch expected:f2a5949, actual:7be81cad",
            "block/tombstones-flip" => "checksum did not match",
            "block/no-tombstones" => "serves",
            other => panic!("a new case: {other}"),
        };
        for text in [&case["outcome"]["error"], &case["outcome"]["query_error"]] {
            let said = text.as_str().unwrap_or(words);
            assert!(said.contains(words) || words == "cannot open", "{id}: the server said {said}");
        }
        let found = outcome(&paths[0]);
        assert!(found.contains(words), "{id}: {found}");
    }
    assert_eq!(seen, 11);
}

#[test]
fn a_block_of_prometheus_2_1_is_repaired_once() {
    let Some(from) = shared("conformance/tsdb/upstream/repair_index_version/01BZJ9WJQPWHGNC2W4J9TA62KC")
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for file in ["index", "meta.json"] {
        std::fs::write(dir.path().join(file), std::fs::read(from.join(file)).unwrap()).unwrap();
    }
    std::fs::create_dir(dir.path().join("chunks")).unwrap();
    let refused = Block::open(dir.path()).err().unwrap().to_string();
    assert!(refused.contains("unexpected meta file version 2"), "{refused}");
    assert!(repair_index_version(dir.path()).unwrap());
    assert!(!repair_index_version(dir.path()).unwrap(), "there is nothing left to do");
    let block = Block::open(dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("index")).unwrap()[4], 2);
    assert_eq!(block.meta().stats.num_series, 88_910);
    // Its series have no chunks, and only one pair has postings.
    let names = block.querier(i64::MIN, i64::MAX).label_names(&[Matcher::equal("b", "1")], 0);
    assert_eq!(names.unwrap(), ["a", "b"]);
}
