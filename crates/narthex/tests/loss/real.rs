//! Real receivers: Prometheus and VictoriaMetrics, which are stopped, killed, frozen and started again, and read back at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::far::Far;
use crate::process::{Server, encode, free_port, peer, wait};
use crate::sender::dump;
use crate::verdict::Samples;
use crate::wire;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Well,
    Frozen,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Prometheus,
    Victoria,
}

/// A receiver in a folder of its own.
pub(crate) struct Real {
    kind: Kind,
    binary: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Option<Server>,
    state: State,
}

impl Real {
    /// `None` after saying loudly that the programs are absent.
    pub(crate) fn start(kind: Kind, folder: &Path) -> Option<Self> {
        let binary = peer(match kind {
            Kind::Prometheus => "prometheus",
            Kind::Victoria => "victoria-metrics",
        })?;
        std::fs::create_dir_all(folder).unwrap();
        let port = free_port();
        let folder = folder.to_owned();
        let mut real = Self { kind, binary, folder, port, server: None, state: State::Gone };
        real.up();
        Some(real)
    }

    fn up(&mut self) {
        let data = self.folder.join("data").display().to_string();
        let (port, log) = (self.port, self.folder.join("log"));
        let args = match self.kind {
            Kind::Prometheus => {
                let config = self.folder.join("config.yml");
                std::fs::write(&config, "global: {scrape_interval: 1h}\n").unwrap();
                vec![
                    format!("--config.file={}", config.display()),
                    format!("--storage.tsdb.path={data}"),
                    format!("--web.listen-address=127.0.0.1:{port}"),
                    "--web.enable-remote-write-receiver".to_owned(),
                    "--enable-feature=exemplar-storage,native-histograms".to_owned(),
                ]
            }
            Kind::Victoria => vec![
                format!("-storageDataPath={data}"),
                format!("-httpListenAddr=127.0.0.1:{port}"),
                "-retentionPeriod=100y".to_owned(),
            ],
        };
        self.server = Some(Server::start(&self.binary, &args, port, log));
        self.state = State::Well;
    }

    fn wait_ready(&self) {
        wait("the receiver", PATIENCE, || {
            self.server.as_ref().expect("it runs").get("/metrics").ok().filter(|(status, _)| *status == 200)
        });
    }

    /// Ends it in order. One that has just begun does not know SIGTERM yet.
    fn down(&mut self) {
        self.wait_ready();
        let status = self.server.take().expect("it runs").stop();
        assert!(status.success(), "{:?} ends with {status}", self.kind);
        self.state = State::Gone;
    }

    /// Everything in VictoriaMetrics, by its export.
    fn export(&self) -> Samples {
        let server = self.server.as_ref().expect("it runs");
        server.get("/internal/force_flush").unwrap();
        // Without an end it is the last full second.
        let path = format!(
            "/api/v1/export?reduce_mem_usage=1&end=9000000000&match[]={}",
            encode("{__name__!=\"\"}")
        );
        let (status, body) = server.get(&path).unwrap();
        assert_eq!(status, 200, "{body:.500}");
        let mut samples = Samples::new();
        for line in body.lines() {
            let series: serde_json::Value = serde_json::from_str(line).unwrap();
            let labels = series["metric"].as_object().unwrap();
            let name = wire::series(labels.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())));
            let times = series["timestamps"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap());
            let values = series["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN));
            samples.entry(name).or_default().extend(times.zip(values));
        }
        for its in samples.values_mut() {
            its.sort_by_key(|(t_ms, _)| *t_ms);
            // What was sent twice is there twice.
            its.dedup_by(|a, b| a.0 == b.0 && a.1.to_bits() == b.1.to_bits());
        }
        samples
    }
}

impl Far for Real {
    fn port(&self) -> u16 {
        self.port
    }

    fn trouble(&mut self, rng: &mut fastrand::Rng) -> String {
        match rng.u32(0..3) {
            0 => {
                self.server.as_ref().expect("it runs").signal("STOP");
                self.state = State::Frozen;
                "frozen".to_owned()
            }
            // VictoriaMetrics acknowledges what it has in memory only.
            1 if self.kind == Kind::Prometheus => {
                self.server.take().expect("it runs").kill();
                self.state = State::Gone;
                "kill -9".to_owned()
            }
            _ => {
                self.down();
                "stopped".to_owned()
            }
        }
    }

    fn heal(&mut self) {
        match self.state {
            State::Well => {}
            State::Frozen => {
                self.server.as_ref().expect("it runs").signal("CONT");
                self.state = State::Well;
            }
            State::Gone => self.up(),
        }
    }

    fn takes_histograms(&self) -> bool {
        self.kind == Kind::Prometheus
    }

    /// VictoriaMetrics keeps values as decimal numbers.
    fn tolerance(&self) -> f64 {
        match self.kind {
            Kind::Prometheus => 0.0,
            Kind::Victoria => 1e-12,
        }
    }

    fn samples(&mut self) -> Samples {
        match self.kind {
            Kind::Victoria => {
                self.wait_ready();
                self.export()
            }
            // By our own reader: promtool 3.5.3 leaves out native histograms of earlier runs, which its server shows.
            Kind::Prometheus => {
                self.down();
                dump(&self.folder.join("data"))
            }
        }
    }
}
