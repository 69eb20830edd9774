//! Rule files as typed values with places; what the expressions and templates mean is for those who can parse them.
//!
//! Always true: the structure is right and no field is unknown; nothing else is checked here.
//! Facts: Prometheus `docs/configuration/recording_rules.md`, `alerting_rules.md`; go-yaml v3 with known fields.

use std::collections::BTreeMap;

use crate::ConfigErrors;
use crate::codec::{Codec, Object};
use crate::decode::{Check, Decoder, Dialect};
use crate::error::Problem;
use crate::section::section;
use crate::yaml::{NodeRef, Tree};

section! {
    /// A rule file.
    pub struct RuleFile("rulefmt.RuleGroups") {
        /// The groups, in order.
        groups: Vec<RuleGroup> = Vec::new() => "groups" show List<Object<RuleGroup>>,
    }
}

section! {
    /// Rules that are evaluated in order and share an interval.
    pub struct RuleGroup("rulefmt.RuleGroup") {
        /// The name.
        name: String = String::new() => "name" show Text,
        /// How often the group is evaluated; 0: as `global` says.
        interval_ms: i64 = 0 => "interval" omit Duration,
        /// How far in the past the rules look; `None`: as `global` says.
        query_offset_ms: Option<i64> = None => "query_offset" omit MaybeDuration,
        /// The most alerts or series of a rule; 0: no limit.
        limit: i64 = 0 => "limit" omit Int,
        /// The rules.
        rules: Vec<Rule> = Vec::new() => "rules" show List<Object<Rule>>,
        /// Labels of all rules.
        labels: BTreeMap<String, String> = BTreeMap::new() => "labels" omit TextMap,
    }
}

section! {
    /// A recording or an alerting rule.
    pub struct Rule("rulefmt.Rule") {
        /// The metric that a recording rule writes.
        record: String = String::new() => "record" omit Text,
        /// The name of an alerting rule.
        alert: String = String::new() => "alert" omit Text,
        /// The expression.
        expr: String = String::new() => "expr" show Text,
        /// How long the expression must hold before the alert fires.
        for_ms: i64 = 0 => "for" omit Duration,
        /// How long the alert goes on firing afterwards.
        keep_firing_for_ms: i64 = 0 => "keep_firing_for" omit Duration,
        /// Labels to add.
        labels: BTreeMap<String, String> = BTreeMap::new() => "labels" omit TextMap,
        /// Annotations of an alert.
        annotations: BTreeMap<String, String> = BTreeMap::new() => "annotations" omit TextMap,
    }
    beside {
        /// Where the value of `record` stands.
        record_at: Place = Place::default(),
        /// Where the value of `alert` stands.
        alert_at: Place = Place::default(),
        /// Where the value of `expr` stands.
        expr_at: Place = Place::default(),
    }
}

/// A place in a file, counted from 1; `0:0` when the field is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Check for RuleFile {}
impl Check for RuleGroup {}

impl Check for Rule {
    fn check(&mut self, at: NodeRef<'_>, _: &mut Decoder) {
        let place = |key: &str| {
            at.get(key).map_or_else(Place::default, |node| {
                let mark = node.mark();
                Place { line: mark.line + 1, column: mark.column + 1 }
            })
        };
        self.record_at = place("record");
        self.alert_at = place("alert");
        self.expr_at = place("expr");
    }
}

impl RuleFile {
    /// Reads a rule file; an empty one has no groups. `ignore_unknown_fields` leaves unknown fields out silently.
    ///
    /// # Errors
    /// When anything in the structure is wrong; all problems at once.
    pub fn parse(bytes: &[u8], file_name: &str, ignore_unknown_fields: bool) -> Result<Self, ConfigErrors> {
        let fail = |problems| ConfigErrors::without_prefix(file_name, problems);
        let tree = Tree::parse(bytes).map_err(|e| fail(vec![Problem::of_syntax_v3(e)]))?;
        let Some(tree) = tree else { return Ok(Self::default()) };
        let mut d = Decoder::new("");
        d.dialect = Dialect::V3 { ignore_unknown_fields };
        let file = Object::<Self>::read(tree.root(), &mut d);
        let problems = d.into_problems();
        if problems.is_empty() { Ok(file.unwrap_or_default()) } else { Err(fail(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fails(text: &str, expected: &str) {
        let e = RuleFile::parse(text.as_bytes(), "r.yml", false).expect_err("it is wrong");
        assert_eq!(e.as_prometheus(), expected);
    }

    #[test]
    fn rules_keep_their_places() {
        let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n    for: 5m\n";
        let file = RuleFile::parse(text.as_bytes(), "r.yml", false).expect("it is right");
        let rule = &file.groups[0].rules[0];
        assert_eq!((rule.expr.as_str(), rule.for_ms), ("up == 0", 300_000));
        let places = [rule.alert_at, rule.expr_at, rule.record_at].map(|p| p.to_string());
        assert_eq!(places, ["4:12", "5:11", "0:0"]);
    }

    #[test]
    fn the_third_dialect_differs_on_nulls_and_duplicates() {
        check_fails(
            "groups:\n- name: a\n  name: b\n",
            "yaml: unmarshal errors:\n  line 3: mapping key \"name\" already defined at line 2",
        );
        check_fails(
            "groups:\n- nam: a\n",
            "yaml: unmarshal errors:\n  line 2: field nam not found in type rulefmt.RuleGroup",
        );
        check_fails(
            "groups: [{rules: [{labels: {a: b, a: c}}]}]",
            "yaml: unmarshal errors:\n  line 1: mapping key \"a\" already defined at line 1",
        );
        check_fails("groups: [{interval: x}]\n", "not a valid duration string: \"x\"");
        let ok = |text: &str, ignore| RuleFile::parse(text.as_bytes(), "r.yml", ignore).expect("it is right");
        assert!(ok("", false).groups.is_empty());
        assert!(ok("groups:\n", false).groups.is_empty());
        assert_eq!(ok("groups: [{nam: a}]", true).groups.len(), 1);
        assert_eq!(
            ok("groups: [{interval: null, query_offset: 0s}]", false).groups[0].query_offset_ms,
            Some(0)
        );
    }
}
