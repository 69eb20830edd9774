//! Shipping: every sample that the sender committed is at the receiver, whatever happened to either of them.
//!
//! The sender scrapes 200 series each second and is killed three times with -9; the receiver, a real Prometheus, is away for a
//! minute; the configuration is reloaded once. What must arrive is counted from the sender's own WAL, by real promtool.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{Server, free_port, narthex, peer, wait};
use crate::{dump, target};

const OUTAGE: Duration = Duration::from_secs(60);

fn sender_config(target: u16, receiver: u16, send: u32) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n- job_name: shipped\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n\
         remote_write:\n- url: http://127.0.0.1:{receiver}/api/v1/write\n  \
         queue_config: {{max_samples_per_send: {send}, max_backoff: 1s}}\n"
    )
}

fn start_receiver(binary: &Path, folder: &Path, port: u16) -> Server {
    let config = "global: {scrape_interval: 1h}\n";
    Server::prometheus(binary, folder, config, port, &["--web.enable-remote-write-receiver"])
}

/// How many samples of the target's series the server committed in all (it may have restarted in between).
fn scrapes(server: &Server) -> Option<u64> {
    let data = server.api("/api/v1/query?query=count_over_time(shipped%7Bnumber%3D%220%22%7D%5B1h%5D)");
    data["result"][0]["value"][1].as_str()?.parse().ok()
}

/// Lets the sender run until it has committed `more` further scrapes.
fn run_for(server: &Server, more: u64) {
    let goal = wait("a first scrape", Duration::from_secs(20), || scrapes(server)) + more;
    wait("further scrapes", Duration::from_secs(60), || scrapes(server).filter(|n| *n >= goal));
}

#[test]
fn every_committed_sample_arrives_through_kills_an_outage_and_a_reload() {
    let (Some(prometheus), Some(promtool)) = (peer("prometheus"), peer("promtool")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (sending, receiving) = (folder.path().join("sender"), folder.path().join("receiver"));
    let (target, receiver_port, port) = (target::start(200), free_port(), free_port());
    let config = sender_config(target, receiver_port, 2000);
    let start_sender = || Server::prometheus(&narthex(), &sending, &config, port, &[]);

    let receiver = start_receiver(&prometheus, &receiving, receiver_port);
    let sender = start_sender();
    run_for(&sender, 5);
    sender.kill();
    let sender = start_sender();
    run_for(&sender, 3);
    receiver.stop();
    let away = Instant::now();
    run_for(&sender, 3);
    // Killed while nothing can be delivered: the cursor alone knows what is owed.
    sender.kill();
    let sender = start_sender();
    wait("the end of the outage", OUTAGE * 2, || (away.elapsed() > OUTAGE).then_some(()));
    let receiver = start_receiver(&prometheus, &receiving, receiver_port);
    std::fs::write(sending.join("config.yml"), sender_config(target, receiver_port, 500)).unwrap();
    sender.signal("HUP");
    run_for(&sender, 3);
    // Killed in the middle of catching up.
    sender.kill();
    let sender = start_sender();
    run_for(&sender, 5);
    let status = sender.stop();
    assert!(status.success(), "the sender ends with {status}");

    let committed = dump::dump(&promtool, &sending.join("data"));
    assert!(dump::count(&committed) > 200 * 60, "only {} samples were committed", dump::count(&committed));
    assert!(receiver.stop().success());
    let arrived = dump::dump(&promtool, &receiving.join("data"));
    let lost = dump::missing(&committed, &arrived);
    assert!(
        lost.is_empty(),
        "{} of {} lost, first {:?}",
        lost.len(),
        dump::count(&committed),
        &lost[..lost.len().min(5)]
    );
    println!("{} samples committed, all arrived", dump::count(&committed));
}
