//! Starting servers on free ports, asking them over HTTP, waiting for what they promise.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test: ours, or the one that `NARTHEX_BIN` names (a release build, or another server to compare with).
pub(crate) fn narthex() -> PathBuf {
    std::env::var_os("NARTHEX_BIN").map_or_else(|| env!("CARGO_BIN_EXE_narthex").into(), PathBuf::from)
}

/// A real program, or `None` after saying loudly that it is absent.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let folders =
        [std::env::var("PEERS_BIN").unwrap_or_default(), format!("{cache}/prometheus-peers/root/usr/bin")];
    let found = folders.iter().map(|f| Path::new(f).join(name)).find(|p| p.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{name} must be there in CI: run shared/tools/get-peers.sh"
        );
        eprintln!("SKIPPED: this test needs the real {name}; run shared/tools/get-peers.sh");
    }
    found
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Calls `check` until it gives something, or panics with `what` after `limit`.
#[track_caller]
pub(crate) fn wait<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A server that ends with its value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    log: PathBuf,
}

impl Server {
    /// Starts a Prometheus-like binary on `config` and `data` and waits until it is ready.
    pub(crate) fn prometheus(binary: &Path, folder: &Path, config: &str, port: u16, more: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let file = folder.join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut args = vec![
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        args.extend(more.iter().map(|a| (*a).to_owned()));
        let server = Self::start(binary, &args, port, folder.join("log"));
        server.wait_ready();
        server
    }

    /// Starts any program; its output goes to the end of `log`.
    pub(crate) fn start(binary: &Path, args: &[String], port: u16, log: PathBuf) -> Self {
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(binary);
        command.args(args).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {}: {e}", binary.display()));
        Self { child, port, log }
    }

    /// Waits until it says that it is ready.
    pub(crate) fn wait_ready(&self) {
        let ready = || matches!(self.get("/-/ready"), Ok((200, _))).then_some(());
        wait(&format!("/-/ready; log:\n{}", self.log_text()), Duration::from_secs(60), ready);
    }

    pub(crate) fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        get(self.port, path)
    }

    /// `data` of an API answer that must be a success.
    #[track_caller]
    pub(crate) fn api(&self, path: &str) -> Value {
        let (status, body) = self.get(path).unwrap();
        let mut answer: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"));
        assert_eq!((status, answer["status"].as_str()), (200, Some("success")), "{path}: {body}");
        answer["data"].take()
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -{name}");
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.terminate()
    }

    /// SIGTERM, and waits for the end; the log can be looked at afterwards.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        wait("the end after SIGTERM", Duration::from_secs(120), || self.child.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended servers give an error here, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP/1.0 request: status and body.
pub(crate) fn get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    get_with(port, path, "")
}

/// The same with header lines, each with its end.
pub(crate) fn get_with(port: u16, path: &str, headers: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{headers}\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let bad = || std::io::Error::other(format!("not an HTTP answer: {answer:.80}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(bad)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(bad)?;
    Ok((status, body.to_owned()))
}

/// Percent-encodes a query parameter.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
