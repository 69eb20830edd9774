//! Go's meaning and words as data; the shortcuts against the program alone over random expressions.

use regex_automata::meta;

use super::{Regex, Shape};

#[track_caller]
fn check(source: &str, matching: &[&str], others: &[&str]) {
    for regex in [Regex::new_anchored(source), Regex::new_wrapped(source)] {
        let regex = regex.expect(source);
        for value in matching {
            assert!(regex.is_match(value), "{source} should match {value:?}");
            assert!(regex.find(value).is_some(), "the program of {source} should match {value:?}");
        }
        for value in others {
            assert!(!regex.is_match(value), "{source} should not match {value:?}");
            assert!(regex.find(value).is_none(), "the program of {source} should not match {value:?}");
        }
    }
}

#[track_caller]
fn check_error(source: &str, want: &str) {
    let got = Regex::new_anchored(source).expect_err(source).to_string();
    assert_eq!(got, format!("error parsing regexp: {want}"));
}

#[test]
fn matches_span_the_whole_value_and_a_dot_takes_line_breaks() {
    check("f|o", &["f", "o"], &["foo", "fo", ""]);
    check("a.b", &["a\nb", "aéb"], &["ab", "a\n\nb"]);
    check("(?-s)a.b", &["axb"], &["a\nb"]);
    check("", &[""], &["a"]);
    check("a$|^b", &["a", "b"], &["ab"]);
    check("(?m)a$\n^b", &["a\nb"], &["a\nbc"]);
    check("[^a]*", &["b\nc", ""], &["ba"]);
}

#[test]
fn perl_classes_and_word_boundaries_are_ascii() {
    check(r"\d+", &["19"], &["٣"]);
    check(r"\w", &["a", "_"], &["é"]);
    check(r"\s", &[" ", "\t", "\x0c"], &["\u{a0}", "\x0b"]);
    check(r"é\bx", &["éx"], &[]);
    check(r"\W\D\S", &["é-é"], &["a--"]);
    check(r"[[:space:]]", &["\x0b"], &["\u{a0}"]);
    check(r"[[:^alpha:]]\B.", &["--", "é-"], &["-a"]);
    check(r"[\d\-x]+", &["1-x"], &["y"]);
    check("(?i)\\w", &["\u{17f}", "\u{212a}"], &["é"]);
}

#[test]
fn go_syntax_that_rust_does_not_know_is_read() {
    check(r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"]);
    check(r"\Qa|b\E", &["a|b"], &["a"]);
    check("a{,2}{", &["a{,2}{"], &["aa"]);
    check("x{2}{", &["xx{"], &[]);
    check("a]}b", &["a]}b"], &[]);
    check(r"\101\x41\x{41}\0", &["AAA\0"], &[]);
    check(r"\_\-\/\ \<", &["_-/ <"], &[]);
    check("[]a]+[a-]", &["]a-", "]a"], &["b"]);
    check("[[a&&b~~-]+", &["[a&b~-"], &["c"]);
    check("a(?i)b|C", &["ab", "aB", "C", "c"], &["Ab"]);
    check("(?i:a)b", &["Ab"], &["AB"]);
    check("(?i)k", &["K", "\u{212a}"], &[]);
    check("(a(?i))*b", &["aab"], &["aaB"]);
    check("a(?i)*", &["aaa"], &["A"]);
    check(r"\x{D800}|a", &["a"], &["\u{fffd}"]);
    check(r"(?:^)*a(?:$){2}", &["a"], &[]);
}

#[test]
fn unicode_classes_go_by_exact_names() {
    check(r"\pL\p{Greek}\p{^Lu}\PN", &["éωax"], &["éωAx"]);
    check(r"\p{Any}\pZ\p{Nd}", &["x ٣"], &[]);
    check(r"(?i)\p{Lu}", &["a"], &["1"]);
    for bad in [r"\p{greek}", r"\p{Letter}", r"\pX", r"\p{}", r"\p{L", r"\p"] {
        check_error(bad, &format!("invalid character class range: `{bad}`"));
    }
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    for (source, want) in [
        ("(", "missing closing ): `(`"),
        ("(abc", "missing closing ): `(abc`"),
        ("a)", "unexpected ): `a)`"),
        ("x)|(y", "unexpected ): `x)|(y`"),
        ("[a", "missing closing ]: `[a`"),
        ("b[", "missing closing ]: `[`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:x:]]", "invalid character class range: `[:x:]`"),
        (r"[a-\d]", r"invalid escape sequence: `\d`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a|+?", "missing argument to repetition operator: `+?`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        ("(*)", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*?+", "invalid nested repetition operator: `*?+`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a++", "invalid nested repetition operator: `++`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{3,2}", "invalid repeat count: `{3,2}`"),
        ("a{2,99999999999}", "invalid repeat count: `{2,99999999999}`"),
        ("(?:a{100}){11}", "invalid repeat count: `{11}`"),
        ("((a{10}){10}){11}", "invalid repeat count: `{11}`"),
        (r"\", "trailing backslash at end of expression: ``"),
        (r"\q", r"invalid escape sequence: `\q`"),
        (r"a\1", r"invalid escape sequence: `\1`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\u{41}", r"invalid escape sequence: `\u`"),
        (r"\é", r"invalid escape sequence: `\é`"),
        (r"\xg1", r"invalid escape sequence: `\xg1`"),
        (r"\x", r"invalid escape sequence: `\x`"),
        (r"\x{}", r"invalid escape sequence: `\x{}`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        (r"[\b]", r"invalid escape sequence: `\b`"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?<=a)", "invalid named capture: `(?<=a)`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
        ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(?P<>a)", "invalid named capture: `(?P<>`"),
        ("(?<n-m>a)", "invalid named capture: `(?<n-m>`"),
    ] {
        check_error(source, want);
    }
}

#[test]
fn wrapped_sources_show_the_wrapping_in_errors_and_may_escape_it() {
    let error = Regex::new_wrapped("abc(def").expect_err("the group is open").to_string();
    assert_eq!(error, "error parsing regexp: missing closing ): `^(?s:abc(def)$`");
    let regex = Regex::new_wrapped("a)|(b").expect("two halves");
    assert!(regex.is_match("axxx") && regex.is_match("xxb") && !regex.is_match("xax"));
    assert_eq!(regex.replace_all("a--b", "<$0>"), "<a>--<b>");
}

#[test]
fn deep_and_large_expressions_are_refused_and_shallow_ones_are_not() {
    let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(Regex::new_anchored(&nested(900)).expect("900 levels").is_match("a"));
    check_error(&nested(1001), &format!("expression nests too deeply: `{}`", nested(1001)));
    let open = "(".repeat(100_000);
    check_error(&open, &format!("missing closing ): `{open}`"));
    assert!(Regex::new_anchored(".{1000}").is_ok() && Regex::new_anchored(r"\w{1000}").is_ok());
    assert!(Regex::new_anchored(r"(\pL{10}){100}|(\PL{30}){30}|(\pL{31}){30}\PM{1000}\PC{1000}").is_err());
}

#[test]
fn groups_expand_by_go_rules() {
    for (source, value, template, want) in [
        ("(a)(b)?", "a", "$0-$1-$2-$3", "a-a--"),
        ("(.)(.)", "ab", "$1x|${1}x|$2$1", "|ax|ba"),
        ("(?P<first>.)(?<second>.)", "ab", "${second}$first", "ba"),
        ("(?P<n>x)|(?P<n>y)", "y", "[$n]", "[y]"),
        ("(.)", "a", "$$1 $ ${1 ${} $-${é}$01$999999999", "$1 $ ${1 ${} $-"),
        ("(.*?)(b*)", "abb", "$1,$2", "a,bb"),
        ("(?U)(.*)(b*)", "abb", "$1,$2", "a,bb"),
        ("(a|ab)(c|bcd)?(d*)", "abcd", "$1,$2,$3", "a,bcd,"),
    ] {
        let mut out = String::new();
        assert!(Regex::new_wrapped(source).expect(source).expand(value, template, &mut out), "{source}");
        assert_eq!(out, want, "{source} {template}");
    }
}

#[test]
fn finite_languages_are_listed_exactly() {
    for (source, want) in [
        ("a|b|c", Some(vec!["a", "b", "c"])),
        ("foo(bar|baz)", Some(vec!["foobar", "foobaz"])),
        ("v[12]?", Some(vec!["v", "v1", "v2"])),
        ("^(?:x|^y$)$", Some(vec!["x", "y"])),
        ("(a|)b{2,3}", Some(vec!["abb", "abbb", "bb", "bbb"])),
        ("(?i)ab", Some(vec!["AB", "Ab", "aB", "ab"])),
        ("", Some(vec![""])),
        (r"a\.b", Some(vec!["a.b"])),
        ("é|[àâ]", Some(vec!["à", "â", "é"])),
        ("[a-z][a-z]", None),
        ("a.*", None),
        ("a^b", None),
        (r"\ba", None),
        ("(?i)production", None),
        ("[^a]", None),
    ] {
        let regex = Regex::new_anchored(source).expect(source);
        let got = regex.literals().map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(got, want, "{source}");
    }
}

#[test]
fn literals_with_gaps_need_no_program() {
    for source in
        [".*", ".+", "a.*", ".*b", "a.+b", ".*a.*", "(.*)", "a.*|b.*|c", "(a|b).*x(.*)", "p-.*|p-x", "^a.*$"]
    {
        let regex = Regex::new_anchored(source).expect(source);
        assert!(matches!(regex.inner.shape, Shape::Pieces(_)), "{source}");
    }
    check("a.+b", &["axb", "aéb", "abb"], &["ab", "b"]);
    check(".+a.+a", &["xaxa", "aaaa"], &["aa", "axa"]);
    check(".*aab.*", &["aaab"], &["aaa"]);
    check(".+.+", &["éé"], &["é"]);
    check("ab.*ba", &["abba"], &["aba"]);
}

#[test]
fn a_known_prefix_begins_every_match() {
    for (source, want) in [
        ("ab.*", "ab"),
        ("(ab)+c", "ab"),
        ("^ab[xy]{300}", "ab"),
        ("a|b.*", ""),
        ("(?i)a.*", ""),
        ("a*b", ""),
    ] {
        assert_eq!(Regex::new_anchored(source).expect(source).prefix(), want, "{source}");
    }
}

/// A random expression over few letters, of a syntax that Go and the engine's own parser read alike.
fn random_source(random: &mut fastrand::Rng, depth: u32) -> String {
    const ATOMS: [&str; 12] = ["a", "b", "ab", ".*", ".+", ".", "[ab]", "[^a]", "é", "^", "$", "c"];
    let mut source = String::new();
    for _ in 0..random.u32(0..4) {
        match random.u32(0..8) {
            0 if depth > 0 => source += &format!("({})", random_source(random, depth - 1)),
            1 if depth > 0 => {
                source += &format!(
                    "(?:{}){}",
                    random_source(random, depth - 1),
                    ["?", "*", "+", "{2}", "{0,2}"][random.usize(0..5)]
                );
            }
            2 if depth > 0 => source += &format!("(?i:{})", random_source(random, depth - 1)),
            3 => source.push('|'),
            _ => source += ATOMS[random.usize(0..ATOMS.len())],
        }
    }
    source
}

#[test]
fn shortcuts_agree_with_the_program_and_with_the_engines_own_parser() {
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..1500 {
        let source = random_source(&mut random, 2);
        let regex = Regex::new_anchored(&source).expect(&source);
        let twin = meta::Regex::new(&format!("^(?s:{source})$")).expect(&source);
        for _ in 0..20 {
            let value: String = (0..random.usize(0..7))
                .map(|_| ['a', 'b', 'c', 'é', '\n', 'A'][random.usize(0..6)])
                .collect();
            let want = twin.is_match(&value);
            assert_eq!(regex.is_match(&value), want, "{source:?} on {value:?} (seed {seed}, round {round})");
            assert_eq!(
                regex.find(&value).is_some(),
                want,
                "program of {source:?} on {value:?} (seed {seed})"
            );
            assert!(!want || value.starts_with(regex.prefix()), "prefix of {source:?} on {value:?}");
        }
    }
}

#[test]
fn no_source_panics() {
    let seed = 11;
    let mut random = fastrand::Rng::with_seed(seed);
    const PARTS: [&str; 30] = [
        "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "^", "$", "\\", "-", ",", "1", "9", "a", "é", ":",
        "<", ">", "P", "p", "Q", "E", "x", "(?", "[:", "i",
    ];
    for _ in 0..10_000 {
        let source: String = (0..random.usize(0..12)).map(|_| PARTS[random.usize(0..PARTS.len())]).collect();
        if let Ok(regex) = Regex::new_wrapped(&source) {
            let _ = (regex.is_match("a1é"), regex.literals());
        }
    }
}

#[test]
fn a_search_finds_anywhere_and_replaces_within_bounds() {
    let regex = Regex::new_search("a+").unwrap();
    assert!(regex.is_match("xaay") && !regex.is_match("xy"));
    assert!(!Regex::new_search("a.b").unwrap().is_match("a\nb"), "a point stops at a line's end");
    assert!(
        Regex::new_search("^b$").unwrap().is_match("b") && !Regex::new_search("^b$").unwrap().is_match("ab")
    );
    assert_eq!(regex.replace_all("baaac", "<$0>"), "b<aaa>c");
    assert_eq!(Regex::new_search("a*").unwrap().replace_all("baaac", "X"), "XbXcX");
    assert_eq!(regex.replace_all_within("baaac", "<$0>", 7).as_deref(), Some("b<aaa>c"));
    assert_eq!(regex.replace_all_within("abababab", "xxxxxxxx", 20), None);
}
