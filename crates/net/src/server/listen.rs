//! Addresses as `--web.listen-address` gives them, and the sockets behind them; or those that systemd handed over.
//!
//! Facts: Go's `net.Listen("tcp", address)`: `host:port`, an empty host means every address of both families, port 0 takes a
//! free one, ports may be names (we take numbers only).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is not `host:port`.
    #[error("listen address {address:?} is not host:port (for example 0.0.0.0:9090 or :9090): {reason}")]
    BadAddress {
        /// As given.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host has no address.
    #[error("cannot look up the host of listen address {address:?}")]
    Lookup {
        /// As given.
        address: String,
        /// The resolver's reason.
        #[source]
        source: std::io::Error,
    },
    /// The system refused the socket.
    #[error("listen tcp {address}: bind: {}", reason(.source))]
    Bind {
        /// As given.
        address: String,
        /// The system's reason, mostly "address in use".
        source: std::io::Error,
    },
    /// Whoever started the process was to hand over sockets.
    #[error("{0}")]
    Inherited(String),
}

/// The system's reason in Go's form: without the error's number, and with a small first letter.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or("");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Bound sockets. Clients can already connect; nobody answers until the server starts.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<(TcpListener, SocketAddr)>,
}

impl Listeners {
    /// Binds every address.
    ///
    /// # Errors
    /// See [`ListenError`]; the first address that fails counts.
    pub fn bind(addresses: &[String]) -> Result<Self, ListenError> {
        let sockets = addresses.iter().map(|a| bind_one(a)).collect::<Result<_, _>>()?;
        Ok(Self { sockets })
    }

    /// Takes the sockets that systemd opened.
    ///
    /// # Errors
    /// [`ListenError::Inherited`] when there are none, or one is not a TCP socket that listens.
    pub fn inherited() -> Result<Self, ListenError> {
        Ok(Self { sockets: super::inherited::sockets()? })
    }

    /// The bound addresses in the order given, with real ports.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(_, address)| *address).collect()
    }

    /// Hands the sockets to the current tokio runtime.
    pub(super) fn into_tokio(self) -> Result<Vec<tokio::net::TcpListener>, ListenError> {
        let hand_over = |(socket, address): (TcpListener, SocketAddr)| {
            let to_error = |source| ListenError::Bind { address: address.to_string(), source };
            socket.set_nonblocking(true).map_err(to_error)?;
            tokio::net::TcpListener::from_std(socket).map_err(to_error)
        };
        self.sockets.into_iter().map(hand_over).collect()
    }
}

fn bind_one(address: &str) -> Result<(TcpListener, SocketAddr), ListenError> {
    let candidates = resolve(address)?;
    let to_error = |source| ListenError::Bind { address: address.to_owned(), source };
    let socket = TcpListener::bind(&*candidates).map_err(to_error)?;
    let bound = socket.local_addr().map_err(to_error)?;
    Ok((socket, bound))
}

/// The socket addresses to try in order: an empty host is every IPv6 address (which takes IPv4 too), or else every IPv4 one.
fn resolve(address: &str) -> Result<Vec<SocketAddr>, ListenError> {
    let bad = |reason| ListenError::BadAddress { address: address.to_owned(), reason };
    let (host, port) = address.rsplit_once(':').ok_or_else(|| bad("missing port in address"))?;
    let port: u16 = port.parse().map_err(|_| bad("the port must be a number from 0 to 65535"))?;
    if host.is_empty() {
        let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        return Ok(any.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err(bad("too many colons; write an IPv6 address in square brackets"));
    }
    let lookup = |source| ListenError::Lookup { address: address.to_owned(), source };
    let mut found: Vec<SocketAddr> =
        (bare.unwrap_or(host), port).to_socket_addrs().map_err(lookup)?.collect();
    // COMPAT: of a name's addresses Go takes the first of IPv4, or else the first.
    found.sort_by_key(|address| !address.is_ipv4());
    found.truncate(1);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: &str) {
        let got = resolve(address).map_or_else(|e| e.to_string(), |found| format!("{found:?}"));
        assert!(got.contains(expected), "{address:?}: {got}");
    }

    #[test]
    fn addresses_are_host_and_port_as_in_go() {
        check(":9090", "[[::]:9090, 0.0.0.0:9090]");
        check("127.0.0.1:0", "[127.0.0.1:0]");
        check("[::1]:80", "[[::1]:80]");
        check("localhost:1", "[127.0.0.1:1]");
        check("localhost", "missing port in address");
        check("::1:80", "square brackets");
        check("127.0.0.1:http", "number from 0 to 65535");
        check("127.0.0.1:70000", "number from 0 to 65535");
    }

    #[test]
    fn an_address_in_use_is_named_in_the_error() {
        let first = Listeners::bind(&["127.0.0.1:0".to_owned()]).unwrap();
        let taken = first.addresses()[0].to_string();
        let error = Listeners::bind(std::slice::from_ref(&taken)).unwrap_err().to_string();
        assert_eq!(error, format!("listen tcp {taken}: bind: address already in use"));
    }
}
