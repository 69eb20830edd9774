//! Both servers with the same flags, and their answers side by side, headers included.
//!
//! 3.5.3 answers as 3.14 but for two things: an unclean path is led on with status 301, in 3.14 with 307, and also when only its
//! unescaped form is unclean, which in 3.14 stays below the directory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::process::{Server, free_port, narthex, wait};

const CONFIG: &str = "global: {scrape_interval: 1h}\n";

/// Status, the headers that matter in order of name, body.
pub(crate) type Answer = (u16, Vec<String>, String);

/// Sends a request, and reads to the end; status 0 when nobody listens.
pub(crate) fn ask(port: u16, request: &str) -> Answer {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return (0, Vec::new(), String::new());
    };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
    const PASSED_OVER: [&str; 6] =
        ["date", "content-length", "transfer-encoding", "connection", "accept-ranges", "last-modified"];
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let pairs = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim()));
    let mut headers: Vec<String> = pairs
        .filter(|(name, _)| !PASSED_OVER.contains(&name.as_str()))
        // 3.14 says so even where it does not compress.
        .filter(|(name, value)| name != "vary" || *value != "Accept-Encoding")
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    headers.sort();
    (status, headers, body.to_owned())
}

/// Both servers with the same flags.
pub(crate) struct Pair {
    pub(crate) ours: Server,
    pub(crate) theirs: Server,
}

impl Pair {
    /// `ready` says whether a server on a port is.
    pub(crate) fn start(
        prometheus: &Path,
        folder: &Path,
        flags: &[&str],
        ready: impl Fn(u16) -> bool,
    ) -> Self {
        let start = |binary: &Path, name: &str| {
            let (own, port) = (folder.join(name), free_port());
            std::fs::create_dir_all(&own).unwrap();
            std::fs::write(own.join("config.yml"), CONFIG).unwrap();
            let mut args = vec![
                format!("--config.file={}", own.join("config.yml").display()),
                format!("--storage.tsdb.path={}", own.join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ];
            args.extend(flags.iter().map(|flag| (*flag).to_owned()));
            let server = Server::start(binary, &args, port, own.join("log"));
            wait(&format!("{name}: {}", server.log_text()), Duration::from_secs(60), || {
                ready(port).then_some(())
            });
            server
        };
        Self { ours: start(&narthex(), "ours"), theirs: start(prometheus, "theirs") }
    }

    /// What both answer.
    #[track_caller]
    pub(crate) fn same(&self, request: &str) -> Answer {
        let ours = ask(self.ours.port, request);
        let mut theirs = ask(self.theirs.port, request);
        if ours.0 == 307 && theirs.0 == 301 {
            theirs.0 = 307;
            theirs.2 = theirs.2.replace("Moved Permanently", "Temporary Redirect");
        }
        assert_eq!(ours, theirs, "{request}");
        ours
    }
}

/// A request without a body, after which the connection ends; `more` are header lines.
pub(crate) fn request(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}Content-Length: 0\r\n\r\n")
}
