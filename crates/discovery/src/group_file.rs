//! One file of target groups: JSON or YAML by its extension, all or nothing.
//!
//! Facts: "file_sd_config" of Prometheus' configuration page; unknown fields are errors in both forms.

use std::path::Path;
use std::time::SystemTime;

use narthex_config::{TargetGroup, parse_target_groups};
use narthex_model::Labels;
use serde::Deserialize;

/// Every group of a file gets this label with the file's path.
const FILE_PATH: &str = "__meta_filepath";
const ADDRESS: &str = "__address__";

/// Why a file gave no groups.
#[derive(Debug, thiserror::Error)]
pub enum GroupFileError {
    /// It cannot be read.
    #[error("open {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It is no JSON list of groups.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It is no YAML list of groups.
    #[error("{0}")]
    Yaml(String),
    /// A list item is null.
    #[error("nil target group item found")]
    Null,
    /// Its name ends otherwise than the configuration allows.
    #[error("unhandled file extension \"{0}\": use .json, .yml or .yaml")]
    Extension(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    targets: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

/// The groups of a file and when it was written, in seconds since the epoch.
pub(crate) fn read(path: &Path) -> Result<(Vec<TargetGroup>, f64), GroupFileError> {
    let shown = path.display().to_string();
    let failed = |source| GroupFileError::Read { path: shown.clone(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified()).map_err(failed)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let groups = match &*extension {
        "json" => parse_json(&text)?,
        "yml" | "yaml" => parse_yaml(&text)?,
        _ => return Err(GroupFileError::Extension(extension)),
    };
    let place = |(at, group): (usize, TargetGroup)| TargetGroup {
        targets: group.targets,
        labels: group.labels.to_builder().set(FILE_PATH, &shown).labels(),
        source: format!("{shown}:{at}"),
    };
    let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    Ok((groups.into_iter().enumerate().map(place).collect(), seconds))
}

fn parse_json(text: &str) -> Result<Vec<TargetGroup>, GroupFileError> {
    let written: Option<Vec<Option<Written>>> = serde_json::from_str(text)?;
    let group = |item: Option<Written>| {
        let written = item.ok_or(GroupFileError::Null)?;
        let addresses = written.targets.unwrap_or_default();
        Ok(TargetGroup {
            targets: addresses.iter().map(|address| Labels::from_pairs([(ADDRESS, address)])).collect(),
            labels: Labels::from_pairs(written.labels.unwrap_or_default()),
            source: String::new(),
        })
    };
    written.unwrap_or_default().into_iter().map(group).collect()
}

fn parse_yaml(text: &str) -> Result<Vec<TargetGroup>, GroupFileError> {
    parse_target_groups(text.as_bytes(), "").map_err(|e| GroupFileError::Yaml(e.as_prometheus()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, expected: Result<&str, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let shown = path.display().to_string();
        let got = read(&path).map(|(groups, _)| {
            let one = |g: TargetGroup| format!("{:?} {} {}", g.targets, g.labels, g.source);
            groups.into_iter().map(one).collect::<Vec<_>>().join("; ").replace(&shown, "FILE")
        });
        match (got, expected) {
            (Err(got), Err(expected)) => assert!(got.to_string().contains(expected), "{got}"),
            (got, expected) => {
                assert_eq!(
                    got.map_err(|e| e.to_string()),
                    expected.map_err(str::to_owned).map(str::to_owned)
                );
            }
        }
    }

    #[test]
    fn both_forms_give_the_same_groups() {
        let expected = r#"[{__address__="a:1"}, {__address__="b:2"}] {__meta_filepath="FILE", env="x"} FILE:0; [] {__meta_filepath="FILE"} FILE:1"#;
        check("a.json", r#"[{"targets":["a:1","b:2"],"labels":{"env":"x"}},{"targets":[]}]"#, Ok(expected));
        check("a.yml", "- targets: ['a:1', b:2]\n  labels: {env: x}\n- targets: []\n", Ok(expected));
        check("a.YAML", "[]", Ok(""));
    }

    #[test]
    fn malformed_files_say_what_is_wrong() {
        check("a.json", r#"[{"targets":["a:1"],"label":{}}]"#, Err("unknown field `label`"));
        check("a.json", "[null]", Err("nil target group item found"));
        check("a.json", "[{", Err("EOF"));
        check("a.yml", "- targets: ['a:1']\n  label: {env: x}\n", Err("field label not found"));
        check("a.yml", "- targets: [", Err("yaml: line"));
        check("a.txt", "", Err("unhandled file extension"));
    }
}
