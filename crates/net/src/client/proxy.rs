//! Which proxy, if any, a request goes through.
//!
//! Facts: Go `golang.org/x/net/http/httpproxy`: hosts of `NO_PROXY` may be `*`, a name (which covers its subdomains), a name
//! that begins with a dot (subdomains only), an address or a network, each with an optional port. Loopback targets never use a proxy that
//! comes from the environment or stands beside a `no_proxy`.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use narthex_config::ProxyConfig;
use url::Url;

use super::ClientError;
use super::auth::sensitive;

/// The proxies of one client.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
    loopback_direct: bool,
    /// Headers of `CONNECT`.
    pub(super) connect_headers: HeaderMap,
}

#[derive(Debug, PartialEq)]
enum Exception {
    All,
    Network { base: IpAddr, bits: u32 },
    Address { ip: IpAddr, port: Option<u16> },
    Domain { suffix: String, itself: bool, port: Option<u16> },
}

impl Proxies {
    pub(super) fn new(config: &ProxyConfig) -> Result<Self, ClientError> {
        let mut proxies = Self::default();
        if config.proxy_from_environment {
            let read = |name: &str| std::env::var(name).or_else(|_| std::env::var(name.to_lowercase())).ok();
            proxies.http = read("HTTP_PROXY").and_then(|text| parse_proxy(&text));
            proxies.https = read("HTTPS_PROXY").and_then(|text| parse_proxy(&text));
            proxies.exceptions = parse_exceptions(&read("NO_PROXY").unwrap_or_default());
            proxies.loopback_direct = true;
        } else if let Some(url) = &config.proxy_url {
            let parsed = parse_proxy(url.expose());
            let parsed =
                parsed.ok_or_else(|| ClientError::Header(format!("proxy_url {url} is no proxy URL")))?;
            proxies.http = Some(parsed.clone());
            proxies.https = Some(parsed);
            proxies.exceptions = parse_exceptions(&config.no_proxy);
            proxies.loopback_direct = !config.no_proxy.is_empty();
        }
        for (name, values) in &config.proxy_connect_header {
            let bad = || ClientError::Header(format!("proxy_connect_header: {name:?} is no header name"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            for value in values {
                let value = sensitive(value.expose()).map_err(ClientError::Header)?;
                proxies.connect_headers.append(name.clone(), value);
            }
        }
        Ok(proxies)
    }

    /// One proxy for everything, for tests.
    #[cfg(test)]
    pub(super) fn to(proxy: &str) -> Self {
        let url = parse_proxy(proxy);
        Self { http: url.clone(), https: url, ..Self::default() }
    }

    /// The proxy for a host (without brackets), if it is to be asked through one.
    pub(super) fn choose(&self, tls: bool, host: &str, port: u16) -> Option<&Url> {
        let proxy = if tls { &self.https } else { &self.http }.as_ref()?;
        let ip: Option<IpAddr> = host.parse().ok();
        let loopback = host.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback());
        let direct =
            (self.loopback_direct && loopback) || self.exceptions.iter().any(|e| e.covers(host, ip, port));
        (!direct).then_some(proxy)
    }
}

impl Exception {
    fn covers(&self, host: &str, ip: Option<IpAddr>, to_port: u16) -> bool {
        let port_fits = |port: &Option<u16>| port.is_none_or(|p| p == to_port);
        match self {
            Self::All => true,
            Self::Network { base, bits } => ip.is_some_and(|ip| same_network(*base, ip, *bits)),
            Self::Address { ip: only, port } => ip == Some(*only) && port_fits(port),
            Self::Domain { suffix, itself, port } => {
                let host = host.to_ascii_lowercase();
                let under = host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (under || (*itself && host == *suffix)) && port_fits(port)
            }
        }
    }
}

fn same_network(base: IpAddr, ip: IpAddr, bits: u32) -> bool {
    let shifted = |a: u128, b: u128, width: u32| a.checked_shr(width - bits) == b.checked_shr(width - bits);
    match (base, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => shifted(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => shifted(a.to_bits(), b.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

fn parse_proxy(text: &str) -> Option<Url> {
    let known = |url: &Url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host();
    let parsed = Url::parse(text).ok().filter(known);
    parsed.or_else(|| Url::parse(&format!("http://{text}")).ok().filter(known))
}

fn parse_exceptions(text: &str) -> Vec<Exception> {
    text.split(',').filter_map(|entry| parse_exception(&entry.trim().to_ascii_lowercase())).collect()
}

fn parse_exception(entry: &str) -> Option<Exception> {
    if entry.is_empty() {
        return None;
    }
    if entry == "*" {
        return Some(Exception::All);
    }
    if let Some((base, bits)) = entry.split_once('/')
        && let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse())
    {
        let width = if base.is_ipv4() { 32 } else { 128 };
        return (bits <= width).then_some(Exception::Network { base, bits });
    }
    if let Ok(ip) = entry.parse() {
        return Some(Exception::Address { ip, port: None });
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => (host, Some(port.parse().ok()?)),
        _ => (entry, None),
    };
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return Some(Exception::Address { ip, port });
    }
    let host = host.strip_prefix('*').unwrap_or(host);
    let (suffix, itself) = host.strip_prefix('.').map_or((host, true), |rest| (rest, false));
    Some(Exception::Domain { suffix: suffix.to_owned(), itself, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(no_proxy: &str, host: &str, port: u16, direct: bool) {
        let url = Url::parse("http://proxy:3128").unwrap();
        let proxies = Proxies {
            http: Some(url.clone()),
            https: Some(url),
            exceptions: parse_exceptions(no_proxy),
            loopback_direct: !no_proxy.is_empty(),
            connect_headers: HeaderMap::new(),
        };
        assert_eq!(proxies.choose(false, host, port).is_none(), direct, "{no_proxy} {host}:{port}");
    }

    #[test]
    fn exceptions_follow_go_rules() {
        check("example.com", "example.com", 80, true);
        check("example.com", "a.example.com", 80, true);
        check("example.com", "badexample.com", 80, false);
        check(".example.com", "example.com", 80, false);
        check("*.example.com", "a.example.com", 80, true);
        check("example.com:81", "example.com", 80, false);
        check("10.0.0.0/8, foo", "10.1.2.3", 9100, true);
        check("10.0.0.0/8, foo", "11.1.2.3", 9100, false);
        check("0.0.0.0/0", "11.1.2.3", 9100, true);
        check("[2001:db8::1]:443", "2001:db8::1", 443, true);
        check("1.2.3.4", "1.2.3.4", 1, true);
        check("*", "anything", 1, true);
        check("foo", "localhost", 9090, true);
        check("", "localhost", 9090, false);
    }
}
