//! The URL of a target, spelled as Go spells it, because users see it and errors quote it.
//!
//! Facts: Go `net/url`: `URL.String` and `Values.Encode`.

use std::collections::BTreeMap;

use narthex_config::ScrapeConfig;
use narthex_model::Labels;

use crate::target_labels::{ADDRESS, METRICS_PATH, PARAM_PREFIX, SCHEME, UNIX_SOCKET};

/// Scheme, address, path and parameters of a target as a URL.
pub(crate) fn target_url(config: &ScrapeConfig, labels: &Labels) -> String {
    let mut params: BTreeMap<&str, Vec<&str>> =
        config.params.iter().map(|(k, v)| (k.as_str(), v.iter().map(String::as_str).collect())).collect();
    for (name, value) in labels {
        let Some(key) = name.strip_prefix(PARAM_PREFIX) else { continue };
        let values = params.entry(key).or_default();
        match values.first_mut() {
            Some(first) => *first = value,
            None => values.push(value),
        }
    }
    let address = labels.value(ADDRESS);
    let through_socket = address.is_empty() && labels.get(UNIX_SOCKET).is_some();
    let path = labels.value(METRICS_PATH);
    let mut url =
        format!("{}://{}", labels.value(SCHEME), if through_socket { "localhost" } else { address });
    if !path.is_empty() && !path.starts_with('/') {
        url.push('/');
    }
    escape(&mut url, path, |b| b"-_.~$&+,/:;=@".contains(&b), "%20");
    let mut separator = '?';
    for (key, value) in params.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value))) {
        url.push(separator);
        separator = '&';
        escape(&mut url, key, |b| b"-_.~".contains(&b), "+");
        url.push('=');
        escape(&mut url, value, |b| b"-_.~".contains(&b), "+");
    }
    url
}

fn escape(out: &mut String, text: &str, plain: impl Fn(u8) -> bool, blank: &str) {
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || plain(b) => out.push(char::from(b)),
            b' ' => out.push_str(blank),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: &str) {
        let config = ScrapeConfig {
            params: [("q".to_owned(), vec!["a b".to_owned(), "c".to_owned()])].into(),
            ..ScrapeConfig::default()
        };
        assert_eq!(target_url(&config, &Labels::from_pairs(pairs.iter().copied())), expected);
    }

    #[test]
    fn urls_are_spelled_as_go_spells_them() {
        check(
            &[(ADDRESS, "h:1"), (SCHEME, "http"), (METRICS_PATH, "/metrics")],
            "http://h:1/metrics?q=a+b&q=c",
        );
        check(
            &[(ADDRESS, "h"), (SCHEME, "https"), (METRICS_PATH, "m?x y"), ("__param_q", "z&")],
            "https://h/m%3Fx%20y?q=z%26&q=c",
        );
        check(
            &[(ADDRESS, "[::1]:9"), (SCHEME, "http"), (METRICS_PATH, "/"), ("__param_a", "ü")],
            "http://[::1]:9/?a=%C3%BC&q=a+b&q=c",
        );
        check(
            &[(UNIX_SOCKET, "/run/x"), (SCHEME, "http"), (METRICS_PATH, "/m")],
            "http://localhost/m?q=a+b&q=c",
        );
    }
}
