//! Runs relabel steps over a label set.
//!
//! Cost: a step that only looks (`keep`, `drop`) over one source label allocates nothing. Steps run once per new series, not
//! once per sample.

use std::borrow::Cow;
use std::sync::LazyLock;

use md5::{Digest as _, Md5};
use narthex_model::{Labels, LabelsBuilder, Regex};

use crate::letter_case::{to_lower, to_upper};
use crate::{Action, RelabelConfig};

/// `(.*)`, the expression of a step that names none.
static ANYTHING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new_anchored("(.*)").expect("the pattern is well formed"));

/// Runs the steps in order. Returns `false` as soon as one drops the label set, which then is to be thrown away.
pub fn process(labels: &mut LabelsBuilder, steps: &[RelabelConfig]) -> bool {
    steps.iter().all(|step| run(labels, step))
}

/// What each step made of a label set, and whether it was kept so far; nothing is left from the step on that drops it.
#[must_use]
pub fn trace(labels: &Labels, steps: &[RelabelConfig]) -> Vec<(Labels, bool)> {
    let (mut builder, mut kept) = (LabelsBuilder::from_labels(labels), true);
    let after = |step| {
        kept = kept && run(&mut builder, step);
        (if kept { builder.labels() } else { Labels::empty() }, kept)
    };
    steps.iter().map(after).collect()
}

fn run(labels: &mut LabelsBuilder, step: &RelabelConfig) -> bool {
    let regex = step.regex.as_ref().unwrap_or(&ANYTHING);
    let source = join(labels, step);
    let target = &*step.target_label;
    match step.action {
        Action::Keep => return regex.is_match(&source),
        Action::Drop => return !regex.is_match(&source),
        Action::KeepEqual => return labels.get(target).unwrap_or("") == source,
        Action::DropEqual => return labels.get(target).unwrap_or("") != source,
        Action::Replace => {
            if let Some((name, value)) = replacement(&source, regex, step) {
                labels.set(&name, &value);
            }
        }
        Action::Lowercase => set(labels, target, &to_lower(&source)),
        Action::Uppercase => set(labels, target, &to_upper(&source)),
        Action::HashMod => set(labels, target, &hash_mod(&source, step.modulus)),
        Action::LabelMap => map_names(labels, regex, &step.replacement),
        Action::LabelDrop => drop(labels.retain(|name, _| !regex.is_match(name))),
        Action::LabelKeep => drop(labels.retain(|name, _| regex.is_match(name))),
    }
    true
}

fn set(labels: &mut LabelsBuilder, name: &str, value: &str) {
    labels.set(name, value);
}

/// The source values with the separator between them.
fn join<'a>(labels: &'a LabelsBuilder, step: &RelabelConfig) -> Cow<'a, str> {
    match &*step.source_labels {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(labels.get(one).unwrap_or("")),
        many => {
            let values: Vec<&str> = many.iter().map(|name| labels.get(name).unwrap_or("")).collect();
            Cow::Owned(values.join(&step.separator))
        }
    }
}

/// The label that `replace` writes; `None` when the source does not match or the target expands to no label name. An empty
/// value deletes the label.
fn replacement(source: &str, regex: &Regex, step: &RelabelConfig) -> Option<(String, String)> {
    let found = regex.find(source)?;
    let (mut name, mut value) = (String::new(), String::new());
    found.expand(&step.target_label, &mut name);
    if !step.is_name_valid(&name) {
        return None;
    }
    found.expand(&step.replacement, &mut value);
    Some((name, value))
}

/// The last 8 bytes of the MD5 sum as a big-endian number, modulo `modulus`.
fn hash_mod(source: &str, modulus: u64) -> String {
    let digest: [u8; 16] = Md5::digest(source.as_bytes()).into();
    let last = digest[8..].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    (last % modulus).to_string()
}

/// Copies matching labels; what is written is not looked at again.
fn map_names(labels: &mut LabelsBuilder, regex: &Regex, template: &str) {
    let copies: Vec<(String, String)> = labels
        .iter()
        .filter(|(name, _)| regex.is_match(name))
        .map(|(name, value)| (regex.replace_all(name, template), value.to_owned()))
        .collect();
    for (name, value) in copies {
        labels.set(&name, &value);
    }
}
