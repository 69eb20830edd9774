//! One data directory goes from server to server while it has blocks, mapped chunks and logs, and loses nothing.
//!
//! Blocks of five seconds make what takes hours in life happen in half a minute.

use std::path::Path;
use std::time::Duration;

use crate::dump::{Dump, count, missing};
use crate::process::{Server, free_port, narthex, peer, wait};
use crate::storage::served;
use crate::target;

const SHORT_BLOCKS: [&str; 3] = [
    "--storage.tsdb.min-block-duration=5s",
    "--storage.tsdb.max-block-duration=15s",
    "--storage.tsdb.retention.time=1d",
];

/// A server over the directory; ours looks for work each second, as the real one does at commits.
fn start(binary: &Path, folder: &Path, config: &str) -> Server {
    let more = if binary == narthex() { &["--storage.tsdb.block-reload-interval=1s"][..] } else { &[] };
    Server::prometheus(binary, folder, config, free_port(), &[&SHORT_BLOCKS[..], more].concat())
}

fn config(target: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nstorage: {{tsdb: {{out_of_order_time_window: 1h}}}}\n\
         scrape_configs:\n- job_name: stored\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
}

/// Blocks in the directory, finished ones only.
fn blocks(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder.join("data")).unwrap();
    entries.filter(|e| e.as_ref().unwrap().path().join("meta.json").is_file()).count()
}

/// Lets a server run until it has made blocks, ends it with SIGKILL, and gives what it served last.
fn live(binary: &Path, folder: &Path, target: u16) -> Dump {
    let server = start(binary, folder, &config(target));
    let before = blocks(folder);
    wait("blocks", Duration::from_secs(90), || {
        (blocks(folder) >= before.max(1) + 2 || made(&server) >= 3.0).then_some(())
    });
    let last = served(&server);
    server.kill();
    last
}

/// Compactions of the head so far.
fn made(server: &Server) -> f64 {
    let (_, metrics) = server.get("/metrics").unwrap();
    let line = metrics.lines().find_map(|l| l.strip_prefix("prometheus_tsdb_compactions_total "));
    line.map_or(0.0, |count| count.parse().unwrap())
}

/// Everything in `earlier` is served by `server`.
#[track_caller]
fn check_serves(server: &Server, earlier: &[Dump]) {
    let now = served(server);
    for dump in earlier {
        assert!(count(dump) > 300, "only {} samples were compared", count(dump));
        assert_eq!(missing(dump, &now), Vec::<String>::new());
    }
}

#[test]
fn a_directory_goes_from_narthex_to_prometheus_and_back() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let target = target::start(20);
    let mut earlier = vec![live(&narthex(), folder.path(), target)];
    earlier.push(live(&prometheus, folder.path(), target));
    earlier.push(live(&narthex(), folder.path(), target));
    let quiet = "global: {scrape_interval: 1h}\n";
    for binary in [&prometheus, &narthex()] {
        let server = start(binary, folder.path(), quiet);
        check_serves(&server, &earlier);
        server.stop();
    }
}
