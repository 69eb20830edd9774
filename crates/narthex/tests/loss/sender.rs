//! The sender under test: the real binary, with a configuration that changes, through starts, kills, stops and reloads.
//!
//! Always true: each start, and each reload that changes what is sent, begins a new *life* with the next number, which every
//! request carries in a header; `ends` says how the earlier ones ended.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::ledger::End;
use crate::process::{Server, free_port, narthex};
use crate::verdict::Samples;
use crate::wire;

/// After this a request is tried again; `recorder` counts on it.
pub(crate) const TIMEOUT: &str = "5s";
const PATIENCE: Duration = Duration::from_secs(120);
/// What relabeling drops at times.
const OPTIONAL: &str = "loss_optional";
/// Blocks so short that head and log lose their oldest part all the time.
const FLAGS: [&str; 6] = [
    "--storage.tsdb.min-block-duration=4s",
    "--storage.tsdb.max-block-duration=36s",
    "--storage.tsdb.retention.time=30d",
    "--storage.remote.flush-deadline=100s",
    "--web.enable-lifecycle",
    "--enable-feature=exemplar-storage,native-histograms",
];

/// What of the `remote_write` section changes from reload to reload.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) queue: String,
    /// The value of a label that relabeling adds.
    pub(crate) phase: u32,
    /// The value of the external label.
    pub(crate) site: u32,
    /// Whether relabeling drops `loss_optional`.
    pub(crate) drop: bool,
    pub(crate) protocol: &'static str,
    pub(crate) histograms: bool,
    pub(crate) short_hold: bool,
}

impl Section {
    /// Enough for everything that waits to leave soon.
    pub(crate) fn wide(protocol: &'static str, histograms: bool) -> Self {
        Self {
            queue:
                "capacity: 10000, max_shards: 10, max_samples_per_send: 2000, batch_send_deadline: 100ms, \
                    min_backoff: 30ms, max_backoff: 500ms"
                    .to_owned(),
            phase: 0,
            site: 0,
            drop: false,
            protocol,
            histograms,
            short_hold: false,
        }
    }

    /// Another queue, narrow ones among them.
    pub(crate) fn turn_queue(&mut self, rng: &mut fastrand::Rng) {
        let mut one_of = |choices: [u32; 4]| choices[rng.usize(..4)];
        let send = one_of([50, 300, 1000, 5000]);
        self.queue = format!(
            "capacity: {}, max_shards: {}, max_samples_per_send: {send}, batch_send_deadline: {}ms, \
             min_backoff: 30ms, max_backoff: {}ms",
            send * one_of([1, 2, 3, 5]),
            one_of([1, 3, 10, 50]),
            one_of([20, 100, 500, 2000]),
            one_of([100, 500, 1000, 2000])
        );
    }

    /// Other relabeling and external labels.
    pub(crate) fn turn_labels(&mut self, rng: &mut fastrand::Rng) {
        self.phase = rng.u32(0..4);
        self.site = rng.u32(0..3);
        self.drop = rng.bool();
    }
}

pub(crate) struct Sender {
    folder: PathBuf,
    targets: Vec<u16>,
    receiver: u16,
    port: u16,
    pub(crate) section: Section,
    server: Option<Server>,
    life: usize,
    pub(crate) ends: Vec<End>,
    /// The metric that relabeling dropped at some time.
    pub(crate) dropped: Option<&'static str>,
    /// How many reloads changed something that no endpoint sees.
    idle_reloads: u32,
}

impl Sender {
    /// Not started yet.
    pub(crate) fn new(folder: &Path, targets: &[u16], receiver: u16, section: Section) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        Self {
            folder: folder.to_owned(),
            targets: targets.to_vec(),
            receiver,
            port: free_port(),
            section,
            server: None,
            life: 0,
            ends: Vec::new(),
            dropped: None,
            idle_reloads: 0,
        }
    }

    /// Starts it; it need not be ready yet.
    pub(crate) fn start(&mut self) {
        self.configure();
        let mut args = vec![
            format!("--config.file={}", self.folder.join("config.yml").display()),
            format!("--storage.tsdb.path={}", self.data().display()),
            format!("--web.listen-address=127.0.0.1:{}", self.port),
        ];
        args.extend(FLAGS.iter().map(|flag| (*flag).to_owned()));
        self.server = Some(Server::start(&narthex(), &args, self.port, self.folder.join("log")));
    }

    /// The running server, once it is ready.
    pub(crate) fn ready(&self) -> &Server {
        let server = self.server.as_ref().expect("it was started");
        server.wait_ready();
        server
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.server.take().expect("it was started").kill();
        self.end_life(End::Killed);
    }

    /// SIGTERM, which must end it well.
    pub(crate) fn stop(&mut self) {
        self.ready();
        let mut server = self.server.take().expect("it was started");
        let status = server.terminate();
        assert!(status.success(), "the sender ends with {status}:\n{}", server.log_text());
        self.end_life(End::InOrder);
    }

    /// A reload that begins a new life.
    pub(crate) fn reload(&mut self) {
        self.ready();
        self.end_life(End::InOrder);
        if self.section.drop {
            self.dropped = Some(OPTIONAL);
        }
        self.configure();
        self.post_reload();
    }

    /// A reload that changes nothing of the endpoint.
    pub(crate) fn idle_reload(&mut self) {
        self.ready();
        self.idle_reloads += 1;
        self.configure();
        self.post_reload();
    }

    /// A reload after which nothing is scraped any more.
    pub(crate) fn quiet(&mut self) {
        self.targets.clear();
        self.reload();
    }

    fn end_life(&mut self, end: End) {
        self.ends.push(end);
        self.life += 1;
    }

    fn post_reload(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"POST /-/reload HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.split(' ').nth(1), Some("200"), "{answer}");
    }

    fn configure(&self) {
        let section = &self.section;
        let mut text = format!(
            "global: {{scrape_interval: 1s, external_labels: {{site: s{}}}}}\nscrape_configs:\n\
             - job_name: idle-{}\n",
            section.site, self.idle_reloads
        );
        if !self.targets.is_empty() {
            let targets: Vec<String> =
                self.targets.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
            let _ =
                writeln!(text, "- job_name: loss\n  static_configs: [{{targets: [{}]}}]", targets.join(", "));
        }
        let hold = if section.short_hold { "  wal_hold: {bytes: 0, age: 1s}\n" } else { "" };
        let drop = match section.drop {
            true => format!("\n  - {{source_labels: [__name__], regex: {OPTIONAL}, action: drop}}"),
            false => String::new(),
        };
        let _ = writeln!(
            text,
            "remote_write:\n- url: http://127.0.0.1:{}/api/v1/write\n  remote_timeout: {TIMEOUT}\n  \
             headers: {{X-Life: '{}'}}\n  protobuf_message: {}\n  send_exemplars: true\n  \
             send_native_histograms: {}\n  queue_config: {{{}}}\n{hold}  write_relabel_configs:\n  \
             - {{target_label: phase, replacement: p{}}}{drop}",
            self.receiver, self.life, section.protocol, section.histograms, section.queue, section.phase
        );
        std::fs::write(self.folder.join("config.yml"), text).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What was refused for good, or was sent again and refused. The other lines of the files say whose they are.
    pub(crate) fn dead_letters(&self, in_doubt: bool) -> Vec<serde_json::Value> {
        let files =
            std::fs::read_dir(self.data().join("remote_write")).unwrap().map(|file| file.unwrap().path());
        let mut dead: Vec<_> = files.filter(|path| path.to_string_lossy().contains(".dead.")).collect();
        dead.retain(|path| path.to_string_lossy().contains("-in-doubt.") == in_doubt);
        let texts: Vec<String> = dead.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        let values = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        values.filter(|value| value.get("labels").is_some()).collect()
    }

    /// What it committed over all its lives, by its own `tsdb dump`. It must have ended.
    pub(crate) fn committed(&self) -> Samples {
        assert!(self.server.is_none(), "its directory is still in use");
        dump(&self.data())
    }
}

/// What a data directory holds that nobody writes to. Lines of a dump are `{labels} value time`; the value of a histogram is its sum.
pub(crate) fn dump(data: &Path) -> Samples {
    let mut child =
        Command::new(narthex()).args(["tsdb", "dump"]).arg(data).stdout(Stdio::piped()).spawn().unwrap();
    let mut samples = Samples::new();
    let (mut last, mut name) = (String::new(), String::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (labels, rest) = line.split_once("} ").unwrap_or_else(|| panic!("line {line:?}"));
        let (value, t_ms) = rest.rsplit_once(' ').unwrap_or_else(|| panic!("line {line:?}"));
        if labels != last {
            labels.clone_into(&mut last);
            name = series_of(labels);
        }
        let sample = (t_ms.parse().unwrap(), number(value));
        samples.entry(name.clone()).or_default().push(sample);
    }
    assert!(child.wait().unwrap().success(), "the dump failed");
    for its in samples.values_mut() {
        // One series of ours is several of the receiver's when reloads changed what was added to its labels.
        its.sort_by_key(|(t_ms, _)| *t_ms);
        its.dedup_by(|a, b| a.0 == b.0 && a.1.to_bits() == b.1.to_bits());
    }
    samples
}

/// The name of a series from its text without the closing brace. Values have no quotes and no commas.
fn series_of(labels: &str) -> String {
    let pairs = labels.trim_start_matches('{').split(", ").filter_map(|pair| pair.split_once('='));
    wire::series(pairs.map(|(name, value)| (name, value.trim_matches('"'))))
}

fn number(text: &str) -> f64 {
    let number = match text.split_once("sum:") {
        Some((_, sum)) => sum.split(['}', ',']).next().unwrap_or_default(),
        None => text,
    };
    number.parse().unwrap_or_else(|_| panic!("value {text:?}"))
}
