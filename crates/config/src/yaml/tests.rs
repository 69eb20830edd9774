//! YAML as go-yaml reads it: types of scalars, aliases, merges, bounds; and libyaml fed with rubbish.

use super::event::{Body, Events};
use super::*;

#[track_caller]
fn check_scalar(text: &str, expected: &Resolved) {
    assert_eq!(resolve("", text, true).as_ref(), Ok(expected), "{text}");
}

#[test]
fn plain_scalars_have_the_types_of_yaml_1_1() {
    for text in ["y", "Yes", "ON", "true"] {
        check_scalar(text, &Resolved::Bool(true));
    }
    for text in ["n", "No", "OFF", "false"] {
        check_scalar(text, &Resolved::Bool(false));
    }
    for (text, value) in [
        ("0755", 493),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("-0b101", -5),
        ("1_000", 1000),
        ("+12", 12),
    ] {
        check_scalar(text, &Resolved::Int(value));
    }
    for (text, value) in [("1.0", 1.0), (".5", 0.5), ("1e+3", 1000.0), ("-1_0.5", -10.5), ("089", 89.0)] {
        check_scalar(text, &Resolved::Float(value));
    }
    check_scalar("18446744073709551615", &Resolved::Uint(u64::MAX));
    check_scalar("-9223372036854775808", &Resolved::Int(i64::MIN));
    check_scalar("2020-01-02", &Resolved::Timestamp);
    for text in ["", "~", "Null"] {
        check_scalar(text, &Resolved::Null);
    }
    for text in ["1.2.3", "1h", "0x", "<<", "yEs", "1e", "-", "+", "_1", "12:30"] {
        check_scalar(text, &Resolved::Str);
    }
    assert_eq!(resolve("", "12", false), Ok(Resolved::Str));
    assert_eq!(resolve("tag:yaml.org,2002:str", "12", false), Ok(Resolved::Str));
    assert_eq!(resolve("tag:yaml.org,2002:binary", "aGk=", false), Ok(Resolved::Binary(b"hi".to_vec())));
    let wrong = Err("cannot decode !!str `x` as a !!int".to_owned());
    assert_eq!(resolve("tag:yaml.org,2002:int", "x", false), wrong);
}

#[track_caller]
fn check_syntax(text: &str, expected: &str) {
    let e = Tree::parse(text.as_bytes()).expect_err("it is no YAML");
    let line = e.shown_line.map(|l| format!("line {l}: ")).unwrap_or_default();
    assert_eq!(format!("{line}{}", e.problem), expected);
}

#[test]
fn syntax_errors_are_in_libyamls_words_on_gos_lines() {
    check_syntax("a: 1\nb: @x\n", "line 2: found character that cannot start any token");
    check_syntax("a: 1\n b: 2\n", "line 2: mapping values are not allowed in this context");
    check_syntax("a: [1\nb: 2\n", "line 1: did not find expected ',' or ']'");
    check_syntax("a: *x\n", "unknown anchor 'x' referenced");
    check_syntax("a: \x01\n", "control characters are not allowed");
}

#[test]
fn only_the_first_document_is_read() {
    let tree = Tree::parse(b"a: 1\n---\n@@@\n").expect("the first is fine").expect("there is one");
    assert!(tree.root().get("a").is_some());
    assert!(Tree::parse(b"# nothing\n").expect("fine").is_none());
}

#[test]
fn depth_costs_no_stack_and_has_a_bound() {
    let deep = "[".repeat(9_000) + &"]".repeat(9_000);
    assert!(Tree::parse(deep.as_bytes()).is_ok());
    check_syntax(&"[".repeat(11_000), "exceeded max depth of 10000");
}

#[test]
fn rubbish_never_crashes_the_parser() {
    let seed = 42;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let alphabet = b"ab:-?[]{},&*!|>'\"%@`#\n\t 01~<\xc3\xa9\xff\xef\xbb\xbf\xfe\x00\\.";
    for _ in 0..20_000 {
        let length = random.usize(..60);
        let bytes: Vec<u8> = (0..length).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        let mut events = Events::new(&bytes);
        for _ in 0..1_000 {
            match events.next() {
                Ok(event) if matches!(event.body, Body::StreamEnd) => break,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

#[test]
fn every_text_reads_back_as_it_was_printed() {
    let seed = 7;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let alphabet: Vec<char> =
        "ab12 :-?#,[]{}&*!|>'\"%@`\n\t~<=.\\\u{e9}\u{1f600}\u{85}\u{2028}\u{feff}\r\0".chars().collect();
    for _ in 0..8_000 {
        let length = if random.u8(..4) == 0 { random.usize(60..200) } else { random.usize(..12) };
        let narrow = random.usize(4..=alphabet.len());
        let text: String = (0..length).map(|_| alphabet[random.usize(..narrow)]).collect();
        let nested = Yaml::List(vec![Yaml::Text(text.clone())]);
        let document = Yaml::Map(vec![("k".to_owned(), Yaml::Text(text.clone())), ("l".to_owned(), nested)]);
        let printed = write(&document);
        let tree =
            Tree::parse(printed.as_bytes()).unwrap_or_else(|e| panic!("{e:?} for {text:?} in\n{printed}"));
        let root = tree.as_ref().expect("a document").root();
        let item = root.get("l").and_then(|list| list.items().next());
        for node in [root.get("k"), item].into_iter().flatten() {
            let Kind::Scalar { value, plain } = node.kind() else { panic!("no scalar in\n{printed}") };
            assert_eq!(value, &text, "\n{printed}");
            assert_eq!(resolve(node.tag(), value, *plain), Ok(Resolved::Str), "\n{printed}");
        }
    }
}
