//! Mutated queries: whatever the bytes, the parser returns, and positions lie in the text on character boundaries.
//!
//! The seed is fixed and printed on failure with the text; `NARTHEX_FUZZ_ROUNDS` raises the number of rounds.

use crate::ast::{Expr, Span};
use crate::conformance;
use crate::parser::{ParseOptions, parse, parse_metric, parse_metric_selector};
use crate::prettier::prettify;
use crate::series_desc::{parse_series, parse_start_offsets};

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A small random generator (xorshift), so that a run can be repeated from its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

const PIECES: [&str; 40] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "{{",
    "}}",
    ",",
    ":",
    "5m",
    "0x",
    "1e",
    ".",
    "_",
    "x3",
    "\"",
    "'",
    "`",
    "\\",
    "\\x",
    "\\u12",
    "\n",
    "#",
    "é",
    "\u{fffd}",
    "𝄞",
    " offset ",
    " @ ",
    "-",
    "^",
    "!",
    "=~",
    " and ",
    " by ",
    "step()",
    " fill(",
    " anchored",
    " group_left ",
    "sum(",
];

fn mutate(text: &str, other: &str, chance: &mut Chance) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                let from = chance.below(other.len() + 1);
                bytes.extend_from_slice(&other.as_bytes()[from..]);
            }
            4 => bytes.insert(at, chance.below(256) as u8),
            _ => drop(bytes.splice(at..at, PIECES[chance.below(PIECES.len())].bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn check_span(span: Span, text: &str) {
    let (start, end) = (span.start as usize, span.end as usize);
    assert!(
        start <= end && text.is_char_boundary(start) && text.is_char_boundary(end),
        "{span:?} of {text:?}"
    );
    assert!(!span.line_column(text).starts_with("invalid"), "{span:?} of {text:?}");
}

fn check_tree(expr: &Expr, within: Span, text: &str) {
    let span = expr.span();
    check_span(span, text);
    // COMPAT: the span of a range vector's or subquery's modifiers counts from its selector; nothing reaches out otherwise.
    assert!(within.start <= span.start && span.end <= within.end, "{span:?} of {within:?} of {text:?}");
    expr.for_each_child(|child| check_tree(child, span, text));
}

fn check(text: &str) {
    for options in [ParseOptions::all(), ParseOptions::default()] {
        match parse(text, &options) {
            Ok(expr) => {
                check_tree(&expr, Span::new(0, text.len()), text);
                let printed = expr.to_string();
                let again = parse(&printed, &options).unwrap_or_else(|e| panic!("{text:?} {printed:?} {e}"));
                assert_eq!(again.to_string(), printed, "{text:?}");
                assert!(parse(&prettify(&expr), &options).is_ok(), "{text:?}");
            }
            Err(errors) => {
                assert!(!errors.to_string().is_empty());
                errors.errors.iter().for_each(|e| check_span(e.span, text));
            }
        }
    }
    let _ = parse_metric(text);
    let _ = parse_metric_selector(text);
    let _ = parse_start_offsets(text);
    if let Err(errors) = parse_series(text, &|a, _, _| Ok(a.clone())) {
        errors.errors.iter().for_each(|e| check_span(e.span, text));
    }
}

#[test]
fn no_text_makes_the_parser_panic_or_point_outside() {
    let mut queries = conformance::queries();
    queries.extend([
        "sum by (a) (rate(b{c=\"d\"}[5m])) / 1e3".to_owned(),
        "é{a='\u{263a}'} offset 1h".to_owned(),
    ]);
    let rounds = std::env::var("NARTHEX_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut chance = Chance(SEED);
    for _ in 0..rounds {
        for query in &queries {
            let other = &queries[chance.below(queries.len())];
            let text = mutate(query, other, &mut chance);
            if let Err(panic) = std::panic::catch_unwind(|| check(&text)) {
                eprintln!("seed {SEED:#x}, text {text:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}
