//! The loss test: the real binary scrapes and ships 2,000 series a second while it is killed, stopped and reloaded, its receiver
//! fails in every way, series come and go, and head and log lose their oldest part all the time. Then everything that it committed
//! must be at the receiver, in order, and twice only where the sender could not know that it had arrived.
//!
//! Runs in a short form with all tests, and for `SOAK_MINUTES` by `make soak`; `SOAK_SEED` repeats the order of events of a run,
//! `SOAK_KEEP` keeps data and logs of one that failed.
//! Receivers are our own (`recorder`, which also sees order and duplicates), a real Prometheus and a real VictoriaMetrics.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../peers/process.rs"]
#[allow(dead_code, reason = "the other suites use the rest")]
mod process;

mod checks;
mod far;
mod ledger;
mod native;
mod real;
mod recorder;
mod run;
mod sender;
mod target;
mod verdict;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use real::{Kind, Real};
use recorder::Recorder;
use run::{Plan, V1, V2, run};

/// A plan of this length, or as the environment has it.
fn plan(name: &'static str, series: u64, seconds: u64) -> Plan {
    let set = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    let soak = set("SOAK_MINUTES").filter(|minutes| *minutes > 0.0);
    Plan {
        name,
        series,
        length: soak.map_or(Duration::from_secs(seconds), |minutes| Duration::from_secs_f64(minutes * 60.0)),
        stretch: if soak.is_some() { 6 } else { 1 },
        protocols: &[V1, V2],
        seed: set("SOAK_SEED").map_or_else(|| fastrand::u64(..1 << 32), |seed| seed as u64),
        short_hold: false,
    }
}

/// A folder that goes at the end, but not after a failure when `SOAK_KEEP` is set.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("SOAK_KEEP").is_some() {
            self.0.disable_cleanup(true);
            eprintln!("data and logs are kept in {}", self.0.path().display());
        }
    }
}

#[test]
fn nothing_is_lost_on_the_way_to_the_recorder() {
    let (folder, plan) = (Folder::new(), plan("recorder", 2000, 15));
    run(&plan, &folder.at("sender"), &mut Recorder::start(plan.seed));
}

/// Outages are longer than the log is held; the stretches are long enough for that.
#[test]
fn nothing_is_lost_when_the_log_is_not_held_for_long() {
    let folder = Folder::new();
    let plan = plan("recorder, short wal_hold", 500, 12);
    let plan = Plan { short_hold: true, stretch: plan.stretch.max(4), ..plan };
    run(&plan, &folder.at("sender"), &mut Recorder::start(plan.seed));
}

#[test]
fn nothing_is_lost_on_the_way_to_prometheus() {
    let folder = Folder::new();
    let Some(mut receiver) = Real::start(Kind::Prometheus, &folder.at("receiver")) else { return };
    run(&plan("Prometheus", 500, 10), &folder.at("sender"), &mut receiver);
}

/// It does not know 2.0, so that is where the sender falls back, after each start.
#[test]
fn nothing_is_lost_on_the_way_to_victoria_metrics() {
    let folder = Folder::new();
    let Some(mut receiver) = Real::start(Kind::Victoria, &folder.at("receiver")) else { return };
    let plan = Plan { protocols: &[V2], ..plan("VictoriaMetrics", 500, 10) };
    run(&plan, &folder.at("sender"), &mut receiver);
}
