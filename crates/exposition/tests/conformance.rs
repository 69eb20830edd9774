//! Every recorded text and OpenMetrics body of the conformance data, as far as the parser decides: errors, series, metadata and
//! exemplars. Native histograms made from classic ones and what storage refuses are decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base64::Engine as _;
use narthex_exposition::{Entry, Format, Parser, choose_format, decode_exemplar, decode_labels};
use narthex_model::{LabelsBuilder, format_float_json};
use serde_json::Value;

/// Cases whose recorded outcome is decided behind the parser, with the reason.
const ELSEWHERE: [(&str, &str); 8] = [
    ("om-errors/002", "an empty body is never parsed"),
    ("text/ts-big", "storage refuses the timestamp"),
    ("om-suite/timestamps", "storage refuses a timestamp"),
    ("om-suite/untyped", "the scrape renames labels that clash with the target's"),
    ("text/label-exported", "the scrape renames labels that clash with the target's"),
    ("text/label-empty-quoted", "the scrape insists on a metric name"),
    ("text/label-quoted-empty-label", "the scrape insists on label names"),
    ("om/exemplar-long", "storage refuses long exemplars"),
];

fn data_dir() -> Option<PathBuf> {
    let root = std::env::var_os("NARTHEX_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let dir = root.join("conformance/exposition");
    if dir.join("cases.json").exists() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "the conformance data must be there in CI: {}", dir.display());
    eprintln!("SKIPPED: the exposition conformance test needs {}", dir.display());
    None
}

/// What a parser made of a body, in the shape of the records.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    error: String,
    /// Labels, then samples as time and value.
    series: BTreeMap<String, BTreeSet<String>>,
    metadata: BTreeMap<String, (String, String, String)>,
    exemplars: BTreeMap<String, BTreeSet<String>>,
}

fn parse(body: &[u8], content_type: &str, fallback: Option<Format>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = parse_onto(body, content_type, fallback, &mut outcome) {
        outcome.error = error;
    }
    outcome
}

fn parse_onto(
    body: &[u8],
    content_type: &str,
    fallback: Option<Format>,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let (format, _) = choose_format(content_type, fallback).map_err(|e| e.to_string())?;
    let mut parser = Parser::new(body, format.dialect().expect("protobuf cases are not asked for"));
    while let Some(entry) = parser.next().map_err(|e| e.to_string())? {
        match entry {
            Entry::Series(series) => {
                let mut builder = LabelsBuilder::new();
                decode_labels(series.raw, parser.dialect(), parser.kind(), &mut builder)
                    .map_err(|e| e.to_string())?;
                let key = builder.labels().to_string();
                let time = series.t_ms.map_or("null".to_owned(), |t| t.to_string());
                outcome
                    .series
                    .entry(key.clone())
                    .or_default()
                    .insert(format!("{time} {}", format_float_json(series.value)));
                if let Some(exemplar) = series.exemplar {
                    let mut builder = LabelsBuilder::new();
                    decode_exemplar(exemplar.raw, &mut builder).map_err(|e| e.to_string())?;
                    let time = exemplar
                        .t_ms
                        .or(series.t_ms)
                        .map_or("null".to_owned(), |t| (t as f64 / 1000.0).to_string());
                    let text = format!("{} {} {time}", builder.labels(), format_float_json(exemplar.value));
                    outcome.exemplars.entry(key).or_default().insert(text);
                }
            }
            Entry::Type { name, kind } => {
                outcome.metadata.entry(name.to_owned()).or_default().0 = kind.to_string();
            }
            Entry::Help { name, text } => {
                outcome.metadata.entry(name.to_owned()).or_default().1 = text.into_owned();
            }
            Entry::Unit { name, unit } => {
                outcome.metadata.entry(name.to_owned()).or_default().2 = unit.to_owned();
            }
            Entry::Comment(_) => {}
        }
    }
    Ok(())
}

fn labels_text(labels: &Value) -> String {
    let pairs = labels.as_object().expect("labels are an object").iter();
    narthex_model::Labels::from_pairs(pairs.map(|(n, v)| (n.as_str(), v.as_str().expect("a value is text"))))
        .to_string()
}

/// What the record expects of a parser.
fn expected(case: &Value) -> Outcome {
    let record = &case["scraped_by_3_5_3"];
    let mut want = Outcome { error: record["error"].as_str().unwrap_or("").to_owned(), ..Outcome::default() };
    if let Some(upstream) = case["upstream_3_14_error"].as_str().filter(|text| *text != "EOF") {
        upstream.clone_into(&mut want.error);
    }
    for series in record["series"].as_array().into_iter().flatten() {
        let samples = want.series.entry(labels_text(&series["labels"])).or_default();
        for sample in series["samples"].as_array().into_iter().flatten() {
            samples.insert(format!("{} {}", sample[0], sample[1].as_str().unwrap_or("histogram")));
        }
    }
    for (name, fields) in record["metadata"].as_object().into_iter().flatten() {
        let field = |i: usize| fields[i].as_str().expect("a field is text").to_owned();
        want.metadata.insert(name.clone(), (field(0), field(1), field(2)));
    }
    for series in record["exemplars"].as_array().into_iter().flatten() {
        let all = want.exemplars.entry(labels_text(&series["series"])).or_default();
        for exemplar in series["exemplars"].as_array().into_iter().flatten() {
            let value = exemplar["value"].as_str().expect("a value is text");
            all.insert(format!("{} {value} {}", labels_text(&exemplar["labels"]), exemplar["t"]));
        }
    }
    want
}

/// Brings what we parsed into the shape of a record: of two samples at one time storage keeps the first only, and metadata
/// without a type counts as unknown.
fn problem(got: &Outcome, want: &Outcome) -> Option<String> {
    if got.error != want.error {
        return Some(format!("error {:?} instead of {:?}", got.error, want.error));
    }
    if !want.error.is_empty() {
        return None;
    }
    if got.series.keys().ne(want.series.keys()) {
        return Some(format!("series {:?} instead of {:?}", got.series.keys(), want.series.keys()));
    }
    for (labels, samples) in &want.series {
        if !samples.is_subset(&got.series[labels]) {
            return Some(format!("{labels}: {:?} instead of {samples:?}", got.series[labels]));
        }
    }
    let mut metadata = got.metadata.clone();
    for (kind, _, _) in metadata.values_mut().filter(|(kind, _, _)| kind.is_empty()) {
        "unknown".clone_into(kind);
    }
    if metadata != want.metadata {
        return Some(format!("metadata {metadata:?} instead of {:?}", want.metadata));
    }
    let lost = want
        .exemplars
        .iter()
        .find(|(labels, all)| got.exemplars.get(*labels).is_none_or(|g| !all.is_subset(g)));
    lost.map(|lost| format!("exemplars {:?} lack {lost:?}", got.exemplars))
}

#[test]
fn recorded_bodies_parse_as_prometheus_parses_them() {
    let Some(dir) = data_dir() else { return };
    let cases = std::fs::read_to_string(dir.join("cases.json")).expect("cases.json is readable");
    let cases: Vec<Value> = serde_json::from_str(&cases).expect("cases.json is JSON");
    let (mut seen, mut problems) = (0, Vec::new());
    for case in &cases {
        let id = case["id"].as_str().expect("a case has an id");
        let content_type = case["content_type"].as_str().expect("a case has a content type");
        let converts = case["scrape_options"]["convert_classic_histograms_to_nhcb"].as_bool() == Some(true);
        if content_type.contains("protobuf") || converts || ELSEWHERE.iter().any(|(other, _)| *other == id) {
            continue;
        }
        let body = match (case["body"].as_str(), case["body_base64"].as_str(), case["body_file"].as_str()) {
            (Some(text), _, _) => text.as_bytes().to_vec(),
            (_, Some(text), _) => {
                base64::engine::general_purpose::STANDARD.decode(text).expect("the body is base64")
            }
            (_, _, file) => {
                std::fs::read(dir.join(file.expect("a case has a body"))).expect("the body is readable")
            }
        };
        let fallback = case["scrape_options"]["fallback_scrape_protocol"].is_string().then_some(Format::Text);
        let want = expected(case);
        let got = parse(&body, content_type, fallback);
        seen += 1;
        if case["scraped_by_3_5_3"]["health"] == "server crashed" {
            assert_ne!(got.error, "", "{id} must be rejected");
        } else if case["scraped_by_3_5_3"]["series"].is_string() {
            // Only counted in the record.
            assert_eq!(got.error, want.error, "{id}");
        } else if let Some(problem) = problem(&got, &want) {
            problems.push(format!("{id}: {problem}"));
        }
    }
    assert!(problems.is_empty(), "{} of {seen}:\n{}", problems.len(), problems.join("\n"));
    assert!(seen > 300, "only {seen} cases were seen");
}
