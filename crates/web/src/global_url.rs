//! The URL of a target as users outside can reach it.
//!
//! Facts: Prometheus' `globalUrl`: a target on localhost is shown under the external host name; when its port is our own,
//! it is us, and scheme and port are replaced too.

use crate::site::SiteOptions;

/// Rewrites the URL of a target on localhost; others stay as they are.
pub(crate) fn global_url(url: &str, options: &SiteOptions) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = split_port(authority);
    if !matches!(host, "127.0.0.1" | "localhost" | "::1") {
        return url.to_owned();
    }
    if port.and_then(|p| p.parse().ok()) == Some(options.own_port) {
        return format!("{}://{}{path}", options.external_scheme, options.external_host);
    }
    let (outside, _) = split_port(&options.external_host);
    let outside = if outside.contains(':') { format!("[{outside}]") } else { outside.to_owned() };
    let port = port.map_or_else(String::new, |p| format!(":{p}"));
    format!("{scheme}://{outside}{port}{path}")
}

/// Host (IPv6 without brackets) and port.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, after.strip_prefix(':'));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_becomes_the_external_host() {
        let options = SiteOptions {
            external_host: "mon.example:443".to_owned(),
            external_scheme: "https".to_owned(),
            own_port: 9090,
            ..crate::tests::options()
        };
        for (url, expected) in [
            ("http://10.0.0.1:9100/metrics", "http://10.0.0.1:9100/metrics"),
            ("http://localhost:9090/metrics?a=b", "https://mon.example:443/metrics?a=b"),
            ("http://127.0.0.1:9100/metrics", "http://mon.example:9100/metrics"),
            ("http://[::1]:9100/metrics", "http://mon.example:9100/metrics"),
            ("http://localhost/metrics", "http://mon.example/metrics"),
        ] {
            assert_eq!(global_url(url, &options), expected);
        }
    }
}
