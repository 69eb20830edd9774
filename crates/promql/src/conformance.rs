//! Test support: the conformance data that lives beside the repository.

use std::io::Read as _;
use std::path::PathBuf;

/// The directory `conformance`, or `None` after a loud line when the data is absent.
///
/// # Panics
/// When it is absent and `CI` is set.
pub(crate) fn directory() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("NARTHEX_SHARED").map_or_else(beside, PathBuf::from);
    let directory = shared.join("conformance");
    if directory.is_dir() {
        return Some(directory);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", directory.display());
    eprintln!("SKIPPED: {} needs {}", std::thread::current().name().unwrap_or("a test"), directory.display());
    None
}

/// A file of `conformance/promql`, read as JSON.
///
/// # Panics
/// When the file is not JSON.
pub(crate) fn cases(file: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(directory()?.join("promql").join(file)).expect("readable cases");
    Some(serde_json::from_str(&text).expect("cases are JSON"))
}

/// A file of `conformance/inventories`.
pub(crate) fn inventory(file: &str) -> Option<String> {
    Some(std::fs::read_to_string(directory()?.join("inventories").join(file)).expect("a readable inventory"))
}

/// The queries of `conformance/queries/*.txt` and of the evals of `conformance/promql/*.test`, good ones and bad ones. Empty when
/// the data is absent.
pub(crate) fn queries() -> Vec<String> {
    let Some(directory) = directory() else { return Vec::new() };
    let mut queries = Vec::new();
    for text in files(&directory.join("queries"), "txt") {
        queries.extend(text.lines().map(str::to_owned));
    }
    for text in files(&directory.join("promql"), "test") {
        queries.extend(text.lines().filter_map(eval_query).map(str::to_owned));
    }
    queries
}

fn files(directory: &std::path::Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).expect("readable text")).collect()
}

/// The query of an `eval` line.
fn eval_query(line: &str) -> Option<&str> {
    let line = line.trim();
    let words = match line.split_once(' ')? {
        (eval, rest) if eval.starts_with("eval") && rest.starts_with("instant") => 5,
        (eval, _) if eval.starts_with("eval") => 9,
        _ => return None,
    };
    line.splitn(words, ' ').nth(words - 1)
}

/// The queries of `conformance/queries/answers-3.14.jsonl.gz` with the parse error that Prometheus 3.14 gave, if it gave one. Empty
/// when the data is absent.
pub(crate) fn recorded_parse_errors() -> Vec<(String, Option<String>)> {
    let Some(directory) = directory() else { return Vec::new() };
    let file =
        std::fs::File::open(directory.join("queries/answers-3.14.jsonl.gz")).expect("readable answers");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("answers are gzip");
    text.lines().map(parse_error_of_answer).collect()
}

/// A line is `[request, status, body]`, where the request and the body are JSON in strings.
fn parse_error_of_answer(line: &str) -> (String, Option<String>) {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("answers are JSON");
    let line = json(line);
    let request = json(line[0].as_str().expect("a request"));
    let body = json(line[2].as_str().expect("a body"));
    let error = body["error"].as_str().filter(|e| e.contains("parse error"));
    let error = error.map(|e| e.trim_start_matches("invalid parameter \"query\": ").to_owned());
    (request[0].as_str().expect("a query").to_owned(), error)
}
