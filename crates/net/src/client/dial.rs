//! From a URL to an open connection: name look-up, TCP or unix socket, proxy tunnel, TLS.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use url::Url;

use super::Inner;
use super::auth::basic_header;
use super::error::{Cause, DialError};
use super::http1;
use super::proxy::Proxies;
use super::stream::Stream;
use super::tls::{Offer, Tls};

/// Prometheus' bound on a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a request goes and by which way.
#[derive(Debug)]
pub(super) struct Route {
    /// The key of the connection pool: two requests with the same key can share a connection.
    pub(super) key: String,
    /// Whether the target itself speaks TLS.
    pub(super) tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) via: Via,
}

/// The way.
#[derive(Debug)]
pub(super) enum Via {
    Direct,
    Unix(PathBuf),
    Proxy(Url),
}

impl Route {
    pub(super) fn new(url: &Url, unix_socket: Option<&Path>, proxies: &Proxies) -> Result<Self, Cause> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(Cause::BadUrl(format!("unsupported protocol scheme \"{other}\""))),
        };
        let host = url.host_str().ok_or_else(|| Cause::BadUrl("http: no Host in request URL".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let via = match unix_socket {
            Some(path) => Via::Unix(path.to_owned()),
            None => proxies.choose(tls, &host, port).map_or(Via::Direct, |proxy| Via::Proxy(proxy.clone())),
        };
        let scheme = url.scheme();
        let key = match &via {
            Via::Direct => format!("{scheme}://{host}:{port}"),
            Via::Unix(path) => format!("unix:{}|{scheme}://{host}:{port}", path.display()),
            // Plain requests to different hosts share a connection to their proxy.
            Via::Proxy(proxy) if !tls && is_http(proxy) => format!("{proxy}|"),
            Via::Proxy(proxy) => format!("{proxy}|{scheme}://{host}:{port}"),
        };
        Ok(Self { key, tls, host, port, via })
    }

    /// Whether the request line names the whole URL: plain HTTP through an HTTP proxy.
    pub(super) fn is_absolute_form(&self) -> bool {
        !self.tls && matches!(&self.via, Via::Proxy(proxy) if is_http(proxy))
    }

    /// The proxy's own credentials for a request in absolute form.
    pub(super) fn proxy_authorization(&self) -> Option<http::HeaderValue> {
        match &self.via {
            Via::Proxy(proxy) if self.is_absolute_form() => user_info(proxy),
            Via::Direct | Via::Unix(_) | Via::Proxy(_) => None,
        }
    }
}

fn is_http(proxy: &Url) -> bool {
    matches!(proxy.scheme(), "http" | "https")
}

/// User and password of a URL as a `Basic` header.
pub(super) fn user_info(url: &Url) -> Option<http::HeaderValue> {
    let decode = |text: &str| percent_decode(text);
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    basic_header(&decode(url.username()), &decode(url.password().unwrap_or_default())).ok()
}

fn percent_decode(text: &str) -> String {
    // `form_urlencoded` decodes `%XX` as wanted; a `+` stands for itself here.
    url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
        .next()
        .map_or_else(String::new, |(k, _)| k.into_owned())
}

/// Opens a connection along a route.
pub(super) async fn dial(route: &Route, client: &Inner) -> Result<Stream, DialError> {
    let stream = match &route.via {
        Via::Direct => {
            Stream::Tcp(tcp(&route.host, route.port, client.turn()).await?, client.counters.tally())
        }
        Via::Unix(path) => Stream::Unix(unix(path).await?, client.counters.tally()),
        Via::Proxy(proxy) => through(proxy, route, client).await?,
    };
    if !route.tls {
        return Ok(stream);
    }
    let offer = if client.http2 { Offer::Http2OrHttp1 } else { Offer::Http1 };
    handshake(&client.tls, stream, &route.host, offer).await
}

async fn handshake(tls: &Tls, stream: Stream, host: &str, offer: Offer) -> Result<Stream, DialError> {
    let connected = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.connect(stream, host, offer)).await;
    connected.unwrap_or_else(|_| Err(DialError::Tls("net/http: TLS handshake timeout".to_owned())))
}

async fn tcp(host: &str, port: u16, turn: usize) -> Result<TcpStream, DialError> {
    let connected = match host.parse::<IpAddr>() {
        Ok(ip) => TcpStream::connect(SocketAddr::new(ip, port)).await,
        Err(_) => {
            let mut found: Vec<SocketAddr> =
                tokio::net::lookup_host((host, port)).await.map_err(|e| no_host(host, &e))?.collect();
            begin_at(&mut found, turn);
            TcpStream::connect(&*found).await
        }
    };
    let stream = connected.map_err(|source| DialError::Connect {
        network: "tcp",
        address: authority(host, port),
        source,
    })?;
    // Requests are written whole, waiting for more to send would only delay them. Failure costs speed, not correctness.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Whose turn it is comes first; the others follow in case it does not answer. The resolver may give them in any order.
fn begin_at(addresses: &mut [SocketAddr], turn: usize) {
    if turn > 0 && !addresses.is_empty() {
        addresses.sort_unstable();
        addresses.rotate_left(turn % addresses.len());
    }
}

fn no_host(host: &str, error: &std::io::Error) -> DialError {
    let text = error.to_string();
    let missing = text.contains("not known") || text.contains("No address");
    let reason = if missing { "no such host".to_owned() } else { text };
    DialError::Lookup { host: host.to_owned(), reason }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn unix(path: &Path) -> Result<UnixStream, DialError> {
    let address = path.display().to_string();
    UnixStream::connect(path).await.map_err(|source| DialError::Connect { network: "unix", address, source })
}

async fn through(proxy: &Url, route: &Route, client: &Inner) -> Result<Stream, DialError> {
    let host = proxy.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let default_port = if is_http(proxy) { proxy.port_or_known_default() } else { Some(1080) };
    let port = proxy.port().or(default_port).unwrap_or(80);
    let mut stream = Stream::Tcp(tcp(host, port, client.turn()).await?, client.counters.tally());
    match proxy.scheme() {
        "socks5" | "socks5h" => {
            return Err(DialError::Proxy("socks5 proxies are not supported yet".to_owned()));
        }
        "https" => stream = handshake(&client.tls, stream, host, Offer::Http1).await?,
        _ => {}
    }
    if route.tls { connect_tunnel(stream, proxy, route, &client.proxies).await } else { Ok(stream) }
}

async fn connect_tunnel(
    mut stream: Stream,
    proxy: &Url,
    route: &Route,
    proxies: &Proxies,
) -> Result<Stream, DialError> {
    let target = authority(&route.host, route.port);
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    let own = user_info(proxy);
    let own = own.iter().map(|value| (&http::header::PROXY_AUTHORIZATION, value));
    for (name, value) in proxies.connect_headers.iter().chain(own) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let failed = |reason: String| DialError::Proxy(reason);
    http1::write_request(&mut stream, head, b"").await.map_err(|e| failed(e.to_string()))?;
    let (answer, rest) = http1::read_head(stream, false).await.map_err(|e| failed(e.to_string()))?;
    if answer.status != 200 {
        return Err(failed(if answer.reason.is_empty() { answer.status.to_string() } else { answer.reason }));
    }
    rest.into_tunnel().ok_or_else(|| failed("unexpected bytes after CONNECT".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_comes_first_in_its_turn_and_none_is_lost() {
        let all: Vec<SocketAddr> = (1..4).map(|n| SocketAddr::from(([127, 0, 0, n], 80))).collect();
        let begun = |turn| {
            let mut some = vec![all[1], all[0], all[2]];
            begin_at(&mut some, turn);
            some
        };
        assert_eq!(begun(0), [all[1], all[0], all[2]], "the resolver's order");
        assert_eq!((begun(1), begun(2)), (vec![all[1], all[2], all[0]], vec![all[2], all[0], all[1]]));
        assert_eq!((begun(3), begun(usize::MAX)[0]), (all.clone(), all[usize::MAX % 3]));
        begin_at(&mut [], 1);
    }
}
