//! An endpoint that is away for longer than the log is held for it: the log gets shorter, blocks are made, the sender is killed, and
//! still every sample arrives, in order.

use std::time::Duration;

use crate::harness::{EMPTY, Narthex, SOON};
use crate::process::{free_port, wait};
use crate::target;

const RECEIVER: &str = "--web.enable-remote-write-receiver";
const SHORT_BLOCKS: [&str; 3] = [
    "--storage.tsdb.min-block-duration=2s",
    "--storage.tsdb.max-block-duration=20s",
    "--storage.tsdb.block-reload-interval=1s",
];
/// Blocks, a truncation and what follows come in their own time.
const LONG: Duration = Duration::from_secs(90);

fn sender_config(target: u16, receiver: u16) -> String {
    format!(
        "global: {{scrape_interval: 100ms, external_labels: {{from: here}}}}\n\
         scrape_configs:\n- job_name: shipped\n  scrape_timeout: 100ms\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n\
         remote_write:\n- url: http://127.0.0.1:{receiver}/api/v1/write\n  wal_hold: {{bytes: 0, age: 2s}}\n  \
         queue_config: {{max_backoff: 100ms, batch_send_deadline: 100ms}}\n"
    )
}

/// The value of a metric that the server tells of itself.
fn own_metric(server: &Narthex, name: &str) -> Option<f64> {
    let (_, text) = server.get("/metrics");
    let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().find(of)?.rsplit_once(' ')?.1.parse().ok()
}

fn remote_metric(server: &Narthex, name: &str) -> Option<f64> {
    own_metric(server, &format!("prometheus_remote_storage_{name}"))
}

/// How many samples of the target's series a server has up to a moment.
fn count(server: &Narthex, at_s: f64) -> Option<f64> {
    server.query(&format!("sum(count_over_time(shipped[1h] @ {at_s}))"))
}

fn first_segment(folder: &std::path::Path) -> Option<u32> {
    let names = std::fs::read_dir(folder.join("data/wal")).ok()?.flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).min()
}

#[test]
fn an_outage_longer_than_the_hold_ends_with_every_sample_at_the_endpoint() {
    let (sending, receiving) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (target, port) = (target::start(20), free_port());
    let config = sender_config(target, port);
    let receiver = Narthex::start_on(receiving.path(), EMPTY, &[RECEIVER], port);
    receiver.wait_ready();
    let sender = Narthex::start(sending.path(), &config, &SHORT_BLOCKS);
    wait("samples at the receiver", SOON, || receiver.query("count(shipped)").filter(|n| *n > 19.0));
    receiver.signal("TERM");
    receiver.ended();
    let held = first_segment(sending.path());
    // What the database has of the time fits into memory, so that the endpoint soon waits at the end of the log again.
    wait("the log is left", LONG, || sender.log().contains("it goes on from the database").then_some(()));
    wait("the log gets shorter", LONG, || (first_segment(sending.path()) > held).then_some(()));
    // What the endpoint has not got is in blocks and head alone now.
    sender.kill();
    let sender = Narthex::start(sending.path(), &config, &SHORT_BLOCKS);
    sender.wait_ready();
    let segment = first_segment(sending.path());
    wait("the log gets shorter again", LONG, || (first_segment(sending.path()) > segment).then_some(()));
    let receiver = Narthex::start_on(receiving.path(), EMPTY, &[RECEIVER], port);
    receiver.wait_ready();
    wait("the log is met", LONG, || {
        remote_metric(&sender, "backlog_timestamp_seconds").filter(|t| *t == 0.0)
    });
    let now_s = sender.query("vector(time())").unwrap();
    let all = wait("a count", SOON, || count(&sender, now_s));
    wait("every sample", LONG, || count(&receiver, now_s).filter(|n| *n >= all));
    assert_eq!(count(&receiver, now_s), Some(all), "and none more");
    assert_eq!(receiver.query("count(shipped{from=\"here\"}) == count(shipped)"), Some(20.0));
    // The receiver takes nothing out of order; what it refused would be here.
    assert_eq!(remote_metric(&sender, "dead_letters_total"), Some(0.0));
    assert_eq!(remote_metric(&sender, "gaps_total"), Some(0.0));
    println!("{all} samples, all arrived");
}
