//! Relabel steps: written with Prometheus' keys, meant as `narthex_relabel` values.

use std::str::FromStr;

use narthex_model::{NameValidation, Regex, quote_go};
use narthex_relabel::{Action, RelabelConfig};

use super::list::read_list;
use super::{Codec, Object, Text};
use crate::decode::{Check, Decoder};
use crate::section::section;
use crate::yaml::{NodeRef, Yaml};

section! {
    /// A step as written.
    struct WrittenStep("relabel.plain") {
        /// See `RelabelConfig`.
        source_labels: Vec<String> = Vec::new() => "source_labels" omit LabelNames,
        /// See `RelabelConfig`.
        separator: String = ";".to_owned() => "separator" show Text,
        /// See `RelabelConfig`.
        regex: Option<String> = None => "regex" omit Pattern,
        /// See `RelabelConfig`.
        modulus: u64 = 0 => "modulus" omit Uint64,
        /// See `RelabelConfig`.
        target_label: String = String::new() => "target_label" omit Text,
        /// See `RelabelConfig`.
        replacement: String = "$1".to_owned() => "replacement" show Text,
        /// See `RelabelConfig`.
        action: Option<Action> = Some(Action::Replace) => "action" omit ActionWord,
    }
}

impl Check for WrittenStep {
    fn verify(&mut self) -> Result<(), String> {
        if self.action.is_none() { Err("relabel action cannot be empty".to_owned()) } else { Ok(()) }
    }
}

/// A list of steps. A null step is left out here; the section that holds the list refuses it in its own words.
pub(crate) struct Relabels;

impl Codec for Relabels {
    type Value = Vec<RelabelConfig>;
    const GO_TYPE: &'static str = "[]*relabel.Config";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let steps = read_list::<Step>(node, d, Self::GO_TYPE)?;
        Some(steps.into_iter().flatten().collect())
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Vec::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        Yaml::List(value.iter().map(|step| Object::<WrittenStep>::print(&as_written(step))).collect())
    }
}

struct Step;

impl Codec for Step {
    type Value = Option<RelabelConfig>;
    const GO_TYPE: &'static str = "*relabel.Config";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let visited = d.visit(node)?;
        if visited.is_null() {
            return Some(None);
        }
        let written = Object::<WrittenStep>::read(node, d)?;
        Some(Some(as_meant(written)))
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(_: &Self::Value) -> Yaml {
        Yaml::Null
    }
}

fn as_meant(w: WrittenStep) -> RelabelConfig {
    RelabelConfig {
        source_labels: w.source_labels,
        separator: w.separator,
        regex: w.regex.map(|source| Regex::new_wrapped(&source).expect("the codec compiled it")),
        modulus: w.modulus,
        target_label: w.target_label,
        replacement: w.replacement,
        action: w.action.unwrap_or_default(),
        name_validation: NameValidation::Utf8,
    }
}

fn as_written(step: &RelabelConfig) -> WrittenStep {
    WrittenStep {
        source_labels: step.source_labels.clone(),
        separator: step.separator.clone(),
        regex: step.regex.as_ref().map(|r| r.as_str().to_owned()),
        modulus: step.modulus,
        target_label: step.target_label.clone(),
        replacement: step.replacement.clone(),
        action: Some(step.action),
    }
}

/// Label names, printed in brackets.
pub(crate) struct LabelNames;

struct LabelName;

impl Codec for LabelName {
    type Value = String;
    const GO_TYPE: &'static str = "model.LabelName";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<String> {
        let name = Text::read(node, d)?;
        if name.is_empty() && !node.resolved().is_null() {
            d.rule(node.mark(), format!("{} is not a valid label name", quote_go(&name)));
            return None;
        }
        Some(name)
    }

    fn is_zero(value: &String) -> bool {
        value.is_empty()
    }

    fn zero() -> String {
        String::new()
    }

    fn print(value: &String) -> Yaml {
        Yaml::Text(value.clone())
    }
}

impl Codec for LabelNames {
    type Value = Vec<String>;
    const GO_TYPE: &'static str = "model.LabelNames";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        read_list::<LabelName>(node, d, Self::GO_TYPE)
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Vec::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        Yaml::Flow(value.iter().map(|n| Yaml::Text(n.clone())).collect())
    }
}

/// A regular expression; null is the empty one, which is not the default.
pub(crate) struct Pattern;

impl Codec for Pattern {
    type Value = Option<String>;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let source = Text::read(node, d)?;
        match Regex::new_wrapped(&source) {
            Ok(_) => Some(Some(source)),
            Err(e) => {
                d.rule(node.resolved().mark(), e.to_string());
                None
            }
        }
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        Some(String::new())
    }

    fn print(value: &Self::Value) -> Yaml {
        value.as_ref().map_or(Yaml::Null, |source| Yaml::Text(source.clone()))
    }
}

/// The action's word, in any case; null is none, which is an error.
pub(crate) struct ActionWord;

impl Codec for ActionWord {
    type Value = Option<Action>;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let node = d.visit(node)?;
        if node.is_null() {
            return Some(None);
        }
        let word = d.text(node)?;
        match Action::from_str(&word) {
            Ok(action) => Some(Some(action)),
            Err(e) => {
                d.rule(node.mark(), e.to_string());
                None
            }
        }
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Self::Value) -> Yaml {
        value.map_or(Yaml::Null, |a| Yaml::Text(a.as_str().to_owned()))
    }
}
