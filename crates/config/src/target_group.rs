//! A target group: what discovery emits and `static_configs` lists.

use narthex_model::Labels;

/// Targets that share labels and come from one source.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetGroup {
    /// The labels of each target; `__address__` is always among them.
    pub targets: Vec<Labels>,
    /// Labels of all targets of the group.
    pub labels: Labels,
    /// Names the group within its provider; a later group with the same source replaces it. Static groups are numbered.
    pub source: String,
}
