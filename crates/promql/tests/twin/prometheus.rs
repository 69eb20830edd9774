//! A real Prometheus (3.5.3) with the random data, asked random queries over HTTP.
//!
//! Python does the talking: `shared/tools/promlib.py` writes remote write by hand and starts servers. The language is held to what 3.5.3
//! and 3.14 answer alike.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use narthex_model::Labels;
use narthex_promql::engine::{MatrixSeries, Point, Value};
use narthex_promql::script::MemoryStorage;
use serde_json::{Value as Json, json};

use super::compare::same_float;
use super::data::{Series, Stored, Val};

/// Reads one line of series and then one line a query, `[text, times]`; prints one line an answer.
const TALK: &str = r#"
import json, os, sys, tempfile
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from promlib import *
series = [(l, [(t, RawBits(v)) for t, v in points]) for l, points in json.loads(sys.stdin.readline())]
with tempfile.TemporaryDirectory() as top:
    flags = ["--web.enable-remote-write-receiver", "--query.lookback-delta=5m"]
    with start_server(sys.argv[2], "global: {}\n", os.path.join(top, "data"), flags) as server:
        for one in series:
            remote_write(server.base, [one])
        for line in sys.stdin:
            text, times = json.loads(line)
            times = ["%.3f" % (t / 1000) for t in times]
            r = query(server.base, text, times[0]) if len(times) == 1 else query_range(server.base, text, *times)
            print(json.dumps(r.json()))
"#;

/// Where the tools and the real server are; `None` after a loud line when something is absent.
pub(crate) fn peer() -> Option<(PathBuf, PathBuf)> {
    let shared = std::env::var_os("NARTHEX_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or(format!("{home}/.cache"));
    let peers = std::env::var("PEERS_BIN").unwrap_or(format!("{cache}/prometheus-peers/root/usr/bin"));
    let (tools, server) = (shared.join("tools"), Path::new(&peers).join("prometheus"));
    if tools.is_dir() && server.is_file() {
        return Some((tools, server));
    }
    assert!(std::env::var_os("CI").is_none(), "{} or {} is missing", tools.display(), server.display());
    eprintln!(
        "SKIPPED: the comparison with a real Prometheus needs {} and {}",
        tools.display(),
        server.display()
    );
    None
}

fn series_json(series: &Series) -> Json {
    let labels: serde_json::Map<String, Json> =
        series.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let value =
        |value: &Val| if let Val::F(v) = value { v.to_bits() } else { unreachable!("only floats are sent") };
    let points: Vec<Json> = series.samples.iter().map(|s| json!([s.t_ms, value(&s.value)])).collect();
    json!([labels, points])
}

/// The answers to queries with their times: one for an instant, or start, end and step, ms.
pub(crate) fn ask(peer: &(PathBuf, PathBuf), data: &[Series], queries: &[(String, Vec<i64>)]) -> Vec<Json> {
    let mut talk = Command::new("python3");
    let mut talk = talk.args(["-c", TALK]).args([&peer.0, &peer.1]);
    talk = talk.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut talk = talk.spawn().unwrap();
    let mut input = json!(data.iter().map(series_json).collect::<Vec<_>>()).to_string();
    queries.iter().for_each(|query| input.push_str(&format!("\n{}", json!(query))));
    let mut stdin = talk.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = talk.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers: Vec<Json> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), queries.len(), "the real server answered to some queries only");
    answers
}

/// The points of an answer by series and time.
type Points = Vec<((Labels, i64), f64)>;

fn points_of_engine(value: &Value) -> Points {
    let of_series =
        |s: &MatrixSeries| s.floats().map(|(t, v)| ((s.labels.clone(), t), v)).collect::<Points>();
    let float = |p: &Point| if let Point::Float(v) = p { *v } else { f64::NAN };
    match value {
        Value::Scalar { t_ms, value } => vec![((Labels::empty(), *t_ms), *value)],
        Value::Vector(v) => v.samples.iter().map(|s| ((s.labels.clone(), v.t_ms), float(&s.point))).collect(),
        Value::Matrix(m) => m.series.iter().flat_map(of_series).collect(),
        Value::String { .. } => Vec::new(),
    }
}

fn number(text: &Json) -> f64 {
    narthex_model::parse_go_float(text.as_str().unwrap()).unwrap()
}

fn points_of_peer(data: &Json) -> Points {
    let ms = |point: &Json| (point[0].as_f64().unwrap() * 1000.0).round() as i64;
    if data["resultType"] == "scalar" {
        return vec![((Labels::empty(), ms(&data["result"])), number(&data["result"][1]))];
    }
    let mut points = Points::new();
    for series in data["result"].as_array().unwrap() {
        let labels = series["metric"].as_object().unwrap();
        let labels = Labels::from_pairs(labels.iter().map(|(name, value)| (name, value.as_str().unwrap())));
        let one = series.get("value").map(std::slice::from_ref);
        let of_series = one.or(series["values"].as_array().map(Vec::as_slice)).unwrap_or_default();
        points.extend(of_series.iter().map(|p| ((labels.clone(), ms(p)), number(&p[1]))));
    }
    points
}

/// What differs first, if anything.
pub(crate) fn difference(engine: &Value, peer: &Json) -> Option<String> {
    let (mut ours, mut theirs) = (points_of_engine(engine), points_of_peer(peer));
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    for (a, b) in ours.iter().zip(&theirs) {
        if a.0 != b.0 || !same_float(a.1, b.1) {
            return Some(format!("{a:?}, the real server has {b:?}"));
        }
    }
    (ours.len() != theirs.len())
        .then(|| format!("{} points, the real server has {}", ours.len(), theirs.len()))
}

/// The series of floats. How native histograms of series that change are laid out in a real storage shows in results.
pub(crate) fn floats(data: Vec<Series>) -> Vec<Series> {
    let is_float = |s: &Stored| matches!(s.value, Val::F(_));
    data.into_iter().filter(|series| series.samples.iter().all(is_float)).collect()
}

/// A storage for the engine with series of floats.
pub(crate) fn storage_of(data: &[Series]) -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for series in data {
        for sample in &series.samples {
            if let Val::F(v) = &sample.value {
                storage.add_float(&series.labels, sample.t_ms, *v);
            }
        }
    }
    storage
}
