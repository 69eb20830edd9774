//! The readable form against Prometheus' cases, and as a form that can be read again.

use super::{prettify, prettify_within};
use crate::conformance;
use crate::parser::{ParseOptions, parse};

#[test]
fn lines_break_where_prometheus_breaks_them() {
    let Some(cases) = conformance::cases("prettier-cases.json") else { return };
    for case in cases.as_array().expect("a list of cases") {
        let (query, expected) = (case["query"].as_str(), case["output"].as_str());
        let (query, expected) = query.zip(expected).expect("a query and its form");
        let expr = parse(query, &ParseOptions::all()).expect(query);
        assert_eq!(prettify_within(&expr, 10), expected, "{query}");
    }
}

#[test]
fn the_readable_form_is_the_same_query() {
    for query in conformance::queries() {
        let Ok(expr) = parse(&query, &ParseOptions::all()) else { continue };
        for pretty in [prettify(&expr), prettify_within(&expr, 10)] {
            let again = parse(&pretty, &ParseOptions::all()).expect(&pretty);
            assert_eq!(again.to_string(), expr.to_string(), "{query}\n{pretty}");
        }
    }
}

#[test]
fn a_hundred_bytes_fit_on_a_line() {
    let fits = format!("a + {}", "b".repeat(96));
    let long = format!("{fits}b");
    let pretty = |query: &str| prettify(&parse(query, &ParseOptions::default()).expect("a query"));
    assert_eq!(pretty(&fits), fits);
    assert_eq!(pretty(&long), format!("  a\n+\n  {}", "b".repeat(97)));
}
