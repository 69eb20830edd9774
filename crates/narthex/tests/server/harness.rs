//! A server under test in a folder of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use crate::process::{narthex, wait};

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Scrapes nothing.
pub(crate) const EMPTY: &str = "global: {scrape_interval: 1s}\n";

/// A running server; killed when dropped.
pub(crate) struct Narthex {
    child: Child,
    folder: PathBuf,
    pub(crate) port: u16,
}

impl Narthex {
    /// Starts on `folder` (configuration, data and log in it) and waits until it listens.
    pub(crate) fn start(folder: &Path, config: &str, flags: &[&str]) -> Self {
        Self::start_on(folder, config, flags, 0)
    }

    /// Like `start` on a given port.
    pub(crate) fn start_on(folder: &Path, config: &str, flags: &[&str], port: u16) -> Self {
        std::fs::write(folder.join("narthex.yml"), config).unwrap();
        let log = folder.join("log");
        let before = std::fs::read_to_string(&log).map_or(0, |text| text.len());
        let mut server =
            Self { child: command(folder, flags, port).spawn().unwrap(), folder: folder.to_owned(), port };
        server.port = wait("the port in the log", SOON, || listening_port(&server.log()[before..]));
        server
    }

    /// Starts what must end by itself: its exit status and what it wrote.
    pub(crate) fn run_to_end(folder: &Path, flags: &[&str]) -> (Option<i32>, String) {
        let log = folder.join("log");
        let before = std::fs::read_to_string(&log).map_or(0, |text| text.len());
        let mut child = command(folder, flags, 0).spawn().unwrap();
        let status = wait("its end", SOON, || child.try_wait().unwrap());
        (status.code(), std::fs::read_to_string(&log).unwrap()[before..].to_owned())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Writes another configuration.
    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.folder.join("narthex.yml"), config).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Lets [`Self::peak_memory_bytes`] begin with what is resident now.
    pub(crate) fn reset_peak_memory(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// The most memory that was resident at a time so far.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        wait("the end", SOON, || self.child.try_wait().unwrap())
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn wait_ready(&self) {
        wait("readiness", SOON, || (self.get("/-/ready").0 == 200).then_some(()));
    }

    /// Status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        crate::process::get(self.port, path).unwrap_or((0, String::new()))
    }

    /// The value of the first series that an instant query finds.
    pub(crate) fn query(&self, text: &str) -> Option<f64> {
        let (status, body) = self.get(&format!("/api/v1/query?query={}", crate::process::encode(text)));
        let answer: serde_json::Value = serde_json::from_str(&body).ok()?;
        let value = answer["data"]["result"][0]["value"][1].as_str().map(|v| v.parse().unwrap());
        if status == 200 { value } else { None }
    }

    /// Status and body of a POST without a body.
    pub(crate) fn post(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Narthex {
    fn drop(&mut self) {
        // A server that already ended gives errors here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, flags: &[&str], port: u16) -> Command {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(narthex());
    command
        .arg(format!("--config.file={}", folder.join("narthex.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(flags)
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command
}

/// The port of the line `… msg="Listening on" … address=127.0.0.1:PORT`, in either log format.
fn listening_port(log: &str) -> Option<u16> {
    let line = log.lines().find(|l| l.contains("Listening on"))?;
    let (_, after) = line.split_once("127.0.0.1:")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A configuration that scrapes the server itself on `port` each second.
pub(crate) fn scraping(port: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: self\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    )
}
