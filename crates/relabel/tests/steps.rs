//! What each relabel action does to a label set, as data: labels before, steps, labels after (`DROPPED` when it goes).
//!
//! Steps are written as in a configuration file, `field: value` separated by commas; text between backquotes is verbatim.

use narthex_model::{Labels, LabelsBuilder, NameValidation, Regex};
use narthex_relabel::{RelabelConfig, process, trace};

const DROPPED: &str = "dropped";

/// Reads `action: replace, source: a b, regex: `…`` into a step.
#[track_caller]
fn step(text: &str, names: NameValidation) -> RelabelConfig {
    let mut step = RelabelConfig { name_validation: names, ..RelabelConfig::default() };
    for field in text.split(", ") {
        let (name, value) = field.split_once(": ").unwrap_or_else(|| panic!("no value: {field}"));
        let value = value.trim_matches('`');
        match name {
            "action" => step.action = value.parse().expect("the field parses"),
            "source" => step.source_labels = value.split(' ').map(str::to_owned).collect(),
            "separator" => step.separator = value.to_owned(),
            "regex" => step.regex = Some(Regex::new_wrapped(value).expect("the regex compiles")),
            "modulus" => step.modulus = value.parse().expect("the field parses"),
            "target" => step.target_label = value.to_owned(),
            "replacement" => step.replacement = value.to_owned(),
            other => panic!("no such field: {other}"),
        }
    }
    step
}

/// Reads `a=1 b=2`; `\n` is a line break and `_` in values stays.
fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split_whitespace().map(|pair| {
        let (name, value) = pair.split_once('=').expect("a pair has =");
        (name.to_owned(), value.replace("\\n", "\n"))
    }))
}

#[track_caller]
fn check_with(names: NameValidation, before: &str, steps: &[&str], after: &str) {
    let steps: Vec<RelabelConfig> = steps.iter().map(|text| step(text, names)).collect();
    for step in &steps {
        step.validate().expect("the step is valid");
    }
    let mut builder = LabelsBuilder::from_labels(&labels(before));
    let kept = process(&mut builder, &steps);
    match after {
        DROPPED => assert!(!kept, "kept {:?}", builder.labels()),
        after => {
            assert!(kept, "dropped");
            assert_eq!(builder.labels(), labels(after));
        }
    }
}

#[track_caller]
fn check(before: &str, steps: &[&str], after: &str) {
    check_with(NameValidation::Utf8, before, steps, after);
}

#[test]
fn replace_expands_groups_of_a_whole_match() {
    check(
        "a=foo",
        &["source: a, regex: `f(.*)`, target: d, replacement: `ch${1}-ch${1}`"],
        "a=foo d=choo-choo",
    );
    check(
        "a=foo b=bar",
        &["source: a b, regex: `f(.*);(.*)r`, target: a, replacement: `b${1}${2}m`"],
        "a=boobam b=bar",
    );
    check("a=abc", &["source: a, regex: `.*(b).*`, target: d"], "a=abc d=b");
    check("a=boo", &["source: a, regex: f, target: b, replacement: bar"], "a=boo");
    check("a=l1\\nl2", &["source: a, regex: `l1.*l2`, target: d, replacement: `m${1}`"], "a=l1\\nl2 d=m");
    check("a=x-y", &["source: a, regex: `(.*)-(?P<last>.*)`, target: b, replacement: `$last`"], "a=x-y b=y");
    check("a=x", &["source: a, target: b, replacement: `$1x`"], "a=x");
    check("a=x", &["source: a, target: b, replacement: `$$1-$`"], "a=x b=$1-$");
    check("a=1 b=2", &["source: a b c, separator: `-`, target: d"], "a=1 b=2 d=1-2-");
}

#[test]
fn replace_with_an_empty_result_deletes_the_target() {
    check("a=foo f=baz", &["source: a, regex: `(f).*`, target: `$1`, replacement: `$2`"], "a=foo");
    check("a=foo", &["target: a, replacement: ``"], "");
    check("a=foo", &["source: absent, target: a"], "");
}

#[test]
fn replace_without_a_source_sets_a_constant() {
    check("a=foo", &["target: b, replacement: x"], "a=foo b=x");
    check("a=foo", &["target: `b${0}`, replacement: x"], "a=foo b=x");
    check("a=foo", &["target: `${0}`, replacement: x"], "a=foo");
}

#[test]
fn a_target_that_expands_to_no_label_name_is_skipped() {
    let steps = ["source: a, regex: `s-([^-]+)-([^,]+)`, target: `${3}`, replacement: `${1}`"];
    check("a=s-n-0", &steps, "a=s-n-0");
    let dotted = ["source: a, target: `${1}`, replacement: v"];
    check("a=x.y", &dotted, "a=x.y x.y=v");
    check_with(NameValidation::Legacy, "a=x.y", &dotted, "a=x.y");
    check_with(NameValidation::Legacy, "a=x_y", &dotted, "a=x_y x_y=v");
}

#[test]
fn utf8_names_are_read_and_written() {
    check("k8s.pod=x", &["source: k8s.pod, target: `größe.${1}`, replacement: 1"], "k8s.pod=x größe.x=1");
}

#[test]
fn keep_and_drop_look_at_the_whole_source() {
    for (regex, matches) in [(".*o.*", true), ("f|o", false), ("no-match", false), ("f.*", true), ("", false)]
    {
        let (keep, drop) = if matches { ("a=foo", DROPPED) } else { (DROPPED, "a=foo") };
        check("a=foo", &[&format!("action: keep, source: a, regex: `{regex}`")], keep);
        check("a=foo", &[&format!("action: drop, source: a, regex: `{regex}`")], drop);
    }
    check("a=foo", &["action: drop, source: absent, regex: ``"], DROPPED);
}

#[test]
fn steps_after_a_drop_do_not_run_and_tmp_labels_carry_between_steps() {
    check(
        "a=x",
        &[
            "source: a, target: __tmp, replacement: `t$1`",
            "source: __tmp, target: b",
            "action: labeldrop, regex: __tmp",
        ],
        "a=x b=tx",
    );
    check("a=x", &["action: drop, source: a", "target: b, replacement: y"], DROPPED);
}

#[test]
fn keepequal_and_dropequal_compare_source_and_target() {
    let port = "__tmp_port=1234 __port1=1234 __port2=5678";
    check(port, &["action: keepequal, source: __tmp_port, target: __port1"], port);
    check(port, &["action: keepequal, source: __tmp_port, target: __port2"], DROPPED);
    check(port, &["action: dropequal, source: __tmp_port, target: __port1"], DROPPED);
    check(port, &["action: dropequal, source: __tmp_port, target: __port2"], port);
    check("a=1", &["action: keepequal, source: x, target: y"], "a=1");
}

#[test]
fn hashmod_is_the_tail_of_md5() {
    check("c=baz", &["action: hashmod, source: c, target: d, modulus: 1000"], "c=baz d=976");
    check("a=foo\\nbar", &["action: hashmod, source: a, target: b, modulus: 1000"], "a=foo\\nbar b=734");
}

#[test]
fn labelmap_copies_names_that_match() {
    check(
        "a=f b1=r b2=z",
        &["action: labelmap, regex: `(b.*)`, replacement: `bar_${1}`"],
        "a=f b1=r b2=z bar_b1=r bar_b2=z",
    );
    check("__m_a=1 __m_b=2 c=3", &["action: labelmap, regex: `__m_(.+)`"], "__m_a=1 __m_b=2 c=3 a=1 b=2");
    check(
        "a=1",
        &[
            "action: labelmap, regex: `a`, replacement: `aa`",
            "action: labelmap, regex: `a`, replacement: `$0`",
        ],
        "a=1 aa=1",
    );
}

#[test]
fn labeldrop_and_labelkeep_look_at_names() {
    check("a=f b1=r b2=z", &["action: labelkeep, regex: `(b.*)`"], "b1=r b2=z");
    check("a=f b1=r b2=z", &["action: labeldrop, regex: `(b.*)`"], "a=f");
    check("ab=f b=r", &["action: labeldrop, regex: `^b$`"], "ab=f");
}

#[test]
fn lowercase_and_uppercase_map_character_by_character() {
    check(
        "f=bAr1ß",
        &["action: uppercase, source: f, target: u", "action: lowercase, source: f, target: l"],
        "f=bAr1ß u=BAR1ß l=bar1ß",
    );
    check("u=x", &["action: uppercase, source: absent, target: u"], "");
}

#[test]
fn a_trace_shows_each_step_and_nothing_after_a_drop() {
    let steps: Vec<RelabelConfig> =
        ["target: x, replacement: `1`", "action: drop, source: x, regex: `1`", "target: y, replacement: `2`"]
            .map(|text| step(text, NameValidation::Utf8))
            .into();
    let before = Labels::from_pairs([("a", "b")]);
    let after = Labels::from_pairs([("a", "b"), ("x", "1")]);
    assert_eq!(trace(&before, &steps), [(after, true), (Labels::empty(), false), (Labels::empty(), false)]);
    assert!(trace(&before, &[]).is_empty());
}
