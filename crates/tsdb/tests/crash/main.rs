//! Crashes: a process that writes is killed, at random and at every named point, and all it acknowledged must be there, once.
//!
//! The child is this program (see `child`), what it writes a function of the batch's number (`load`), so that the parent can
//! count (`check`). A power cut is simulated from the journal of what was synced (`power`).
//! `NARTHEX_CRASH_KILLS` sets the number of random kills (default 60), `NARTHEX_CRASH_SEED` their seed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on may end where it stands"
)]

mod check;
mod child;
mod load;
mod points;
mod power;

use std::time::Duration;

use self::check::check;
use self::child::{Run, listen};

/// Not a test: the process that the others kill.
#[test]
fn child() {
    child::run();
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_acknowledged_sample_survives_kills_at_random() {
    let kills = from_env("NARTHEX_CRASH_KILLS", 60);
    let seed = from_env("NARTHEX_CRASH_SEED", fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut killed, mut batches) = (0, 0);
    while killed < kills {
        let dir = tempfile::tempdir().unwrap();
        let mut count = 0;
        for round in 0..8 {
            let after = Duration::from_millis(random.u64(60..700));
            let heard = listen(&Run { kill_after: Some(after), ..Run::new(dir.path(), count) });
            count = heard.acknowledged(count);
            check(dir.path(), count, &format!("seed {seed}, kill {killed}, round {round} of its directory"));
            killed += 1;
        }
        batches += count;
    }
    eprintln!("seed {seed}: {killed} kills, {batches} batches survived");
}
