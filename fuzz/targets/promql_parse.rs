//! Query text, series descriptions and test scripts: a tree or an error with places inside the text; what is printed parses to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_promql::parser::{ParseErrors, ParseOptions, parse, parse_metric_selector};
use narthex_promql::prettier::prettify;
use narthex_promql::script::Script;

fn inside(text: &str, errors: &ParseErrors) {
    assert!(!errors.errors.is_empty());
    for error in &errors.errors {
        assert!(error.span.start <= error.span.end && error.span.end as usize <= text.len(), "{error:?}");
    }
    let _ = errors.to_string();
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(errors) = parse_metric_selector(text) {
        inside(text, &errors);
    }
    let _ = Script::parse(text);
    if let Err(errors) = parse(text, &ParseOptions::default()) {
        inside(text, &errors);
    }
    let expr = match parse(text, &ParseOptions::all()) {
        Ok(expr) => expr,
        Err(errors) => return inside(text, &errors),
    };
    let printed = expr.to_string();
    let again = parse(&printed, &ParseOptions::all()).unwrap_or_else(|e| panic!("{text}\n{printed}\n{e}"));
    assert_eq!(again.to_string(), printed, "{text}");
    let pretty = prettify(&expr);
    let again = parse(&pretty, &ParseOptions::all()).unwrap_or_else(|e| panic!("{text}\n{pretty}\n{e}"));
    assert_eq!(again.to_string(), printed, "{text}");
});
