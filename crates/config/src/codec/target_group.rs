//! Target groups that stand in the file.

use narthex_model::Labels;

use super::list::read_list;
use super::{Codec, Object};
use crate::TargetGroup;
use crate::decode::{Check, Decoder};
use crate::section::section;
use crate::yaml::{NodeRef, Yaml};

/// The label that holds a target's address.
const ADDRESS: &str = "__address__";

section! {
    /// A group as written.
    struct WrittenGroup("struct { Targets []string \"yaml:\\\"targets\\\"\"; Labels model.LabelSet \"yaml:\\\"labels\\\"\" }") {
        /// Addresses.
        targets: Vec<String> = Vec::new() => "targets" show List<Text>,
        /// Labels of all of them.
        labels: Labels = Labels::empty() => "labels" omit LabelSet,
    }
}

impl Check for WrittenGroup {}

/// The groups of `static_configs`, numbered.
pub(crate) struct TargetGroups;

impl Codec for TargetGroups {
    type Value = Vec<TargetGroup>;
    const GO_TYPE: &'static str = "[]*targetgroup.Group";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let before = d.problem_count();
        if let Some(null) = d.visit(node)?.items().find(|item| item.resolved().is_null()) {
            d.rule(null.mark(), "empty or null section in static_configs");
        }
        let groups = read_list::<Object<WrittenGroup>>(node, d, Self::GO_TYPE)?;
        let meant = |(i, w): (usize, WrittenGroup)| TargetGroup {
            targets: w.targets.iter().map(|address| Labels::from_pairs([(ADDRESS, address)])).collect(),
            labels: w.labels,
            source: i.to_string(),
        };
        (d.problem_count() == before).then(|| groups.into_iter().enumerate().map(meant).collect())
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Vec::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        let written = |g: &TargetGroup| WrittenGroup {
            targets: g.targets.iter().map(|t| t.value(ADDRESS).to_owned()).collect(),
            labels: g.labels.clone(),
        };
        Yaml::List(value.iter().map(|g| Object::<WrittenGroup>::print(&written(g))).collect())
    }
}

/// Whether addresses are hosts and ports; a path or URL in one is a frequent slip.
pub(crate) fn check_addresses(groups: &[TargetGroup]) -> Result<(), String> {
    for target in groups.iter().flat_map(|g| &g.targets) {
        let address = target.value(ADDRESS);
        if address.contains('/') {
            return Err(format!("{} is not a valid hostname", narthex_model::quote_go(address)));
        }
    }
    Ok(())
}
