//! One relabel step as plain values, and the rules that its fields must keep for the chosen action.
//!
//! Always true after `validate`: the fields that the action reads are set, and those that it ignores are at their defaults
//! where Prometheus insists on that.

use narthex_model::{NameValidation, Regex, is_legacy_label_name, quote_go};

use crate::Action;

/// The replacement of a step that names none.
const DEFAULT_REPLACEMENT: &str = "$1";
/// The separator of a step that names none.
const DEFAULT_SEPARATOR: &str = ";";

/// One relabel step.
#[derive(Clone, Debug)]
pub struct RelabelConfig {
    /// The labels whose values, joined by the separator, are the source text. An absent label counts as empty.
    pub source_labels: Vec<String>,
    /// Stands between the source values.
    pub separator: String,
    /// The expression that the source (or a label name) must match as a whole. `None`: not written down, which means `(.*)`.
    pub regex: Option<Regex>,
    /// The modulus of `hashmod`; 0 when not given.
    pub modulus: u64,
    /// The label to write; `replace` expands `$1` and the like in it. Empty when not given.
    pub target_label: String,
    /// What to write, with `$1`, `${name}` expanded.
    pub replacement: String,
    /// What the step does.
    pub action: Action,
    /// Which names `replace` may write and `validate` accepts.
    pub name_validation: NameValidation,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: DEFAULT_SEPARATOR.to_owned(),
            regex: None,
            modulus: 0,
            target_label: String::new(),
            replacement: DEFAULT_REPLACEMENT.to_owned(),
            action: Action::Replace,
            name_validation: NameValidation::Utf8,
        }
    }
}

impl PartialEq for RelabelConfig {
    fn eq(&self, other: &Self) -> bool {
        let source = |c: &Self| c.regex.as_ref().map(|r| r.as_str().to_owned());
        self.source_labels == other.source_labels
            && self.separator == other.separator
            && source(self) == source(other)
            && self.modulus == other.modulus
            && self.target_label == other.target_label
            && self.replacement == other.replacement
            && self.action == other.action
            && self.name_validation == other.name_validation
    }
}

/// Why a step makes no sense, in the words of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// `hashmod` needs a modulus.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// The action writes a label and none is named.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    /// The target is not a label name.
    #[error("{} is invalid 'target_label' for {action} action", quote_go(.target))]
    BadTarget {
        /// The name as given.
        target: String,
        /// The step's action.
        action: Action,
    },
    /// The action ignores the replacement.
    #[error("'replacement' can not be set for {0} action")]
    ReplacementSet(Action),
    /// The replacement of `labelmap` cannot become a label name.
    #[error("{} is invalid 'replacement' for {action} action", quote_go(.replacement))]
    BadReplacement {
        /// The replacement as given.
        replacement: String,
        /// The step's action.
        action: Action,
    },
    /// `keepequal` and `dropequal` read two fields only.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    /// `labeldrop` and `labelkeep` read the regex only.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
}

impl RelabelConfig {
    /// Checks the fields against the action, under the step's own `name_validation`.
    ///
    /// # Errors
    /// The first rule that is broken, in Prometheus' order and words.
    pub fn validate(&self) -> Result<(), RelabelError> {
        let action = self.action;
        if self.modulus == 0 && action == Action::HashMod {
            return Err(RelabelError::NoModulus);
        }
        if self.writes_target() && self.target_label.is_empty() {
            return Err(RelabelError::NoTarget(action));
        }
        if self.writes_target() && !self.is_target_valid() {
            return Err(RelabelError::BadTarget { target: self.target_label.clone(), action });
        }
        if self.ignores_replacement() && self.replacement != DEFAULT_REPLACEMENT {
            return Err(RelabelError::ReplacementSet(action));
        }
        if action == Action::LabelMap && !self.is_template_valid(&self.replacement) {
            return Err(RelabelError::BadReplacement { replacement: self.replacement.clone(), action });
        }
        self.validate_absences()
    }

    /// The actions that read few fields refuse all others.
    fn validate_absences(&self) -> Result<(), RelabelError> {
        let plain = self.modulus == 0
            && self.separator == DEFAULT_SEPARATOR
            && self.replacement == DEFAULT_REPLACEMENT;
        match self.action {
            Action::KeepEqual | Action::DropEqual if !plain || self.regex.is_some() => {
                Err(RelabelError::OnlySourceAndTarget(self.action))
            }
            Action::LabelDrop | Action::LabelKeep
                if !plain || !self.source_labels.is_empty() || !self.target_label.is_empty() =>
            {
                Err(RelabelError::OnlyRegex(self.action))
            }
            _ => Ok(()),
        }
    }

    fn writes_target(&self) -> bool {
        self.action == Action::Replace || self.action == Action::HashMod || self.ignores_replacement()
    }

    fn ignores_replacement(&self) -> bool {
        matches!(self.action, Action::Lowercase | Action::Uppercase | Action::KeepEqual | Action::DropEqual)
    }

    fn is_target_valid(&self) -> bool {
        if self.action == Action::Replace && self.target_label.contains('$') {
            return self.is_template_valid(&self.target_label);
        }
        self.is_name_valid(&self.target_label)
    }

    /// Whether `name` may be written as a label name.
    pub(crate) fn is_name_valid(&self, name: &str) -> bool {
        match self.name_validation {
            NameValidation::Utf8 => !name.is_empty(),
            NameValidation::Legacy => is_legacy_label_name(name),
        }
    }

    /// Whether a template could expand to a label name. In UTF-8 names `$` and braces are ordinary characters.
    fn is_template_valid(&self, template: &str) -> bool {
        match self.name_validation {
            NameValidation::Utf8 => !template.is_empty(),
            NameValidation::Legacy => is_legacy_template(template),
        }
    }
}

/// Letters, digits, underscores, `$name` and `${name}`; no digit at the start.
fn is_legacy_template(template: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if template.is_empty() || template.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if !before.chars().all(is_word) {
            return false;
        }
        match after.strip_prefix('{') {
            None if after.starts_with(is_word) => rest = after,
            None => return false,
            Some(braced) => match braced.split_once('}') {
                Some((name, tail)) if !name.is_empty() && name.chars().all(is_word) => rest = tail,
                _ => return false,
            },
        }
    }
    rest.chars().all(is_word)
}
