//! What of a valid configuration has no effect in this version, as names for one warning.
//!
//! Facts: the parts themselves; a name goes from here in the change that makes the part act on it. Whole sections and the kinds
//! of discovery are named by the configuration.

use narthex_config::{Config, RemoteWriteConfig};
use narthex_model::quote_go;

/// The names, in the order of the file's reference.
#[must_use]
pub(crate) fn idle_parts(config: &Config) -> Vec<String> {
    let mut names = config.not_acted_on();
    for endpoint in &config.remote_write {
        let name = match &endpoint.name {
            name if name.is_empty() => String::new(),
            name => format!(" {}", quote_go(name)),
        };
        names.extend(of_endpoint(endpoint).map(|field| format!("{field} of remote_write{name}")));
    }
    names
}

fn of_endpoint(endpoint: &RemoteWriteConfig) -> impl Iterator<Item = &'static str> {
    used([
        (endpoint.failed_request_logging, "failed_request_logging"),
        (endpoint.sigv4.is_some(), "sigv4"),
        (endpoint.azuread.is_some(), "azuread"),
        (endpoint.google_iam.is_some(), "google_iam"),
    ])
}

fn used<const N: usize>(parts: [(bool, &'static str); N]) -> impl Iterator<Item = &'static str> {
    parts.into_iter().filter_map(|(used, name)| used.then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(yaml: &str, expected: &[&str]) {
        assert_eq!(idle_parts(&Config::parse(yaml, "x.yml").unwrap()), expected, "{yaml}");
    }

    #[test]
    fn what_has_no_effect_is_named_with_its_place() {
        check("", &[]);
        check("global: {query_log_file: a}", &[]);
        check("scrape_configs: [{job_name: a, static_configs: [{targets: [x]}]}]", &[]);
        check("storage: {tsdb: {retention: {time: 1d}, stale_series_compaction_threshold: 0.5}}", &[]);
        check("remote_write: [{url: 'http://a'}]", &[]);
        check(
            "remote_write: [{url: 'http://a', name: b, failed_request_logging: true}]",
            &["failed_request_logging of remote_write \"b\""],
        );
    }
}
