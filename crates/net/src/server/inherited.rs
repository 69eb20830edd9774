//! Sockets that whoever started the process opened for it: systemd's socket activation.
//!
//! Always true: only sockets that listen for TCP are taken. Each is duplicated through the process' own pidfd, because adopting a number
//! as a descriptor cannot be done safely; the original stays open, as systemd keeps it anyway. Needs Linux 5.6.
//! Facts: sd_listen_fds(3): `LISTEN_PID` is the process, `LISTEN_FDS` the count; the numbers begin at 3.

use std::net::{SocketAddr, TcpListener};

use rustix::net::sockopt;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::listen::ListenError;

/// The number of the first.
const FIRST: i32 = 3;
/// More than anybody opens; a bound on what a wrong environment can ask for.
const MOST: i32 = 1024;

/// The sockets that the environment tells of, with their addresses.
pub(super) fn sockets() -> Result<Vec<(TcpListener, SocketAddr)>, ListenError> {
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    let count = count(&text("LISTEN_PID"), &text("LISTEN_FDS"), getpid().as_raw_nonzero().get());
    let count = count.map_err(|reason| {
        // COMPAT: the first words are those of exporters.
        let advice = "start the server by a systemd .socket unit, or leave --web.systemd-socket out";
        ListenError::Inherited(format!("no socket activation file descriptors found: {reason}; {advice}"))
    })?;
    (FIRST..FIRST + count).map(adopt).collect()
}

fn count(pid: &str, count: &str, own_pid: i32) -> Result<i32, String> {
    if pid.parse() != Ok(own_pid) {
        return Err(format!("LISTEN_PID is {pid:?}, not this process {own_pid}"));
    }
    let found = count.parse().ok().filter(|count| (1..=MOST).contains(count));
    found.ok_or_else(|| format!("LISTEN_FDS is {count:?}, not a number from 1 to {MOST}"))
}

fn adopt(number: i32) -> Result<(TcpListener, SocketAddr), ListenError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        ListenError::Inherited(format!("socket activation file descriptor {number}: {what}: {error}"))
    };
    let own = pidfd_open(getpid(), PidfdFlags::empty()).map_err(|e| failed("pidfd_open", &e))?;
    let socket =
        pidfd_getfd(&own, number, PidfdGetfdFlags::empty()).map_err(|e| failed("pidfd_getfd", &e))?;
    if !sockopt::socket_acceptconn(&socket).map_err(|e| failed("not a socket", &e))? {
        return Err(failed("not a socket that listens", &"use ListenStream= in the unit"));
    }
    let listener = TcpListener::from(socket);
    // Fails for sockets of other families.
    let address = listener.local_addr().map_err(|e| failed("not a TCP socket", &e))?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn the_environment_must_mean_this_process() {
        assert_eq!(count("7", "2", 7), Ok(2));
        for (pid, fds) in
            [("8", "2"), ("", "2"), ("7", ""), ("7", "0"), ("7", "-1"), ("7", "2000"), ("7", "x")]
        {
            assert!(count(pid, fds, 7).is_err(), "{pid} {fds}");
        }
    }

    #[test]
    fn only_tcp_sockets_that_listen_are_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (taken, address) = adopt(listener.as_raw_fd()).unwrap();
        assert_eq!(address, listener.local_addr().unwrap());
        drop(listener);
        std::net::TcpStream::connect(address).unwrap();
        drop(taken);
        let reason = |number: i32| adopt(number).unwrap_err().to_string();
        let file = tempfile::tempfile().unwrap();
        assert!(reason(file.as_raw_fd()).contains("not a socket"));
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(reason(datagrams.as_raw_fd()).contains("listen"));
        let folder = tempfile::tempdir().unwrap();
        let unix = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        assert!(reason(unix.as_raw_fd()).contains("not a TCP socket"));
        assert!(reason(100_000).contains("pidfd_getfd"));
    }
}
