//! Which steps are refused, and in which words.

use narthex_model::{NameValidation, Regex};
use narthex_relabel::{Action, RelabelConfig};

use NameValidation::{Legacy, Utf8};

#[track_caller]
fn check(step: &RelabelConfig, want: &str) {
    let got = step.validate().err().map_or_else(String::new, |e| e.to_string());
    assert_eq!(got, want, "{step:?}");
}

fn step(action: Action, target: &str, names: NameValidation) -> RelabelConfig {
    RelabelConfig {
        action,
        target_label: target.to_owned(),
        name_validation: names,
        modulus: u64::from(action == Action::HashMod),
        ..RelabelConfig::default()
    }
}

#[test]
fn actions_are_read_in_any_case() {
    assert_eq!("LabelMap".parse(), Ok(Action::LabelMap));
    for action in Action::ALL {
        assert_eq!(action.as_str().parse(), Ok(action));
    }
    let bad = "la\"bel".parse::<Action>().unwrap_err();
    assert_eq!(bad.to_string(), r#"unknown relabel action "la\"bel""#);
}

#[test]
fn actions_that_write_need_a_valid_target() {
    for action in [
        Action::Replace,
        Action::HashMod,
        Action::Lowercase,
        Action::Uppercase,
        Action::KeepEqual,
        Action::DropEqual,
    ] {
        check(
            &step(action, "", Utf8),
            &format!("relabel configuration for {action} action requires 'target_label' value"),
        );
        check(
            &step(action, "a.b", Legacy),
            &format!("\"a.b\" is invalid 'target_label' for {action} action"),
        );
        check(&step(action, "a.b", Utf8), "");
        check(&step(action, "ab", Legacy), "");
    }
    check(&step(Action::Lowercase, "${3}", Utf8), "");
    check(
        &step(Action::Lowercase, "${3}", Legacy),
        "\"${3}\" is invalid 'target_label' for lowercase action",
    );
    for action in [Action::Keep, Action::Drop, Action::LabelMap, Action::LabelDrop, Action::LabelKeep] {
        check(&step(action, "", Legacy), "");
    }
}

#[test]
fn legacy_targets_may_hold_references() {
    for (target, valid) in [
        ("-label", false),
        ("label", true),
        ("label${1}", true),
        ("${1}label", true),
        ("${1}", true),
        ("${", false),
        ("$", false),
        ("${}", false),
        ("foo${", false),
        ("$1", true),
        ("asd$2asd", true),
        ("-foo${1}bar-", false),
        ("bar.foo${1}bar", false),
        ("_${1}_", true),
        ("foo${bar}foo", true),
        ("1$1", false),
        ("$1$2", true),
        ("$$1", false),
        ("a$1.", false),
    ] {
        let want = if valid {
            String::new()
        } else {
            format!("\"{target}\" is invalid 'target_label' for replace action")
        };
        check(&step(Action::Replace, target, Legacy), &want);
        check(&step(Action::Replace, target, Utf8), "");
    }
}

#[test]
fn hashmod_needs_a_modulus() {
    check(
        &RelabelConfig { modulus: 0, ..step(Action::HashMod, "a", Utf8) },
        "relabel configuration for hashmod requires non-zero modulus",
    );
}

#[test]
fn fields_that_an_action_ignores_must_not_be_set() {
    let replaced =
        |action, target: &str| RelabelConfig { replacement: "x".to_owned(), ..step(action, target, Utf8) };
    check(&replaced(Action::Uppercase, "a"), "'replacement' can not be set for uppercase action");
    check(&replaced(Action::KeepEqual, "a"), "'replacement' can not be set for keepequal action");
    check(&replaced(Action::LabelDrop, ""), "labeldrop action requires only 'regex', and no other fields");
    check(&step(Action::LabelKeep, "a", Utf8), "labelkeep action requires only 'regex', and no other fields");
    let regex = Some(Regex::new_wrapped("(.*)").unwrap());
    check(
        &RelabelConfig { regex, ..step(Action::DropEqual, "a", Utf8) },
        "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
    );
}

#[test]
fn labelmap_needs_a_replacement_that_can_be_a_name() {
    let map = |replacement: &str, names| RelabelConfig {
        replacement: replacement.to_owned(),
        ..step(Action::LabelMap, "", names)
    };
    check(&map("a-$1", Legacy), "\"a-$1\" is invalid 'replacement' for labelmap action");
    check(&map("${1}", Legacy), "");
    check(&map("a-$1", Utf8), "");
    check(&map("", Utf8), "\"\" is invalid 'replacement' for labelmap action");
}
