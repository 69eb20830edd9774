//! The one-line form against Prometheus' cases, and parse and print as each other's inverse.

use crate::conformance;
use crate::parser::{ParseOptions, parse};

#[test]
fn the_form_is_that_of_prometheus() {
    let Some(cases) = conformance::cases("printer-cases.json") else { return };
    for case in cases.as_array().expect("a list of cases") {
        let (query, expected) = (case["query"].as_str(), case["output"].as_str());
        let (query, expected) = query.zip(expected).expect("a query and its form");
        let expr = parse(query, &ParseOptions::all()).expect(query);
        assert_eq!(expr.to_string(), expected, "{query}");
    }
}
