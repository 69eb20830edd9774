//! Host names and ports.
//!
//! Facts: Go's `net.SplitHostPort` and `net.ParseIP`: brackets around IPv6 addresses, exactly one colon outside of them.

use std::net::IpAddr;

/// Host and port of `host:port` or `[host]:port`; `None` when the text is neither.
fn split(text: &str) -> Option<(&str, &str)> {
    let colon = text.rfind(':')?;
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let end = inner.find(']')?;
        if inner[end + 1..].strip_prefix(':').is_none() || end + 2 != colon {
            return None;
        }
        (&inner[..end], &text[colon + 1..])
    } else {
        (&text[..colon], &text[colon + 1..])
    };
    let bracketed = text.starts_with('[');
    let bad = (!bracketed && host.contains(':')) || host.contains(['[', ']']) || port.contains(['[', ']']);
    (!bad).then_some((host, port))
}

pub(super) fn strip_port(text: &str) -> String {
    split(text).map_or(text, |(host, _)| host).to_owned()
}

/// The first label of the host name; addresses stay.
pub(super) fn strip_domain(text: &str) -> String {
    let (host, port) = split(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    match (port, host.contains(':')) {
        ("", _) => host.to_owned(),
        (port, true) => format!("[{host}]:{port}"),
        (port, false) => format!("{host}:{port}"),
    }
}
