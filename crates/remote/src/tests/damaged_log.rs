//! A log that cannot be read in a place: what it lacks comes from the database where there is one, and a record says so.

use super::feed::Feed;
use super::outage::{DAY_MS, count};
use super::world::{self, World};
use super::*;

/// Changes bytes in the middle of the third segment that is left.
fn damage(dir: &Path) {
    let wal = dir.join("wal");
    let segments = narthex_wal::list_segments(&wal).unwrap();
    let path = narthex_wal::segment_path(&wal, segments[2]);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_damaged_log_lacks_comes_from_the_database_and_a_record_says_so() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 5, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let patient = RemoteWriteConfig { send_native_histograms: true, ..config(&receiver) };
    log_with_a_fault(&mut world, &receiver, &patient).await;
    receiver.set(Mode::Accept);
    let (remote, registry) = world.start(&[patient]).await;
    world.scrapes(5);
    until("all that came in order", || receiver.has_all(&world.in_order())).await;
    remote.stop().await;
    assert_eq!(count(&registry, "gaps_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overlap_after_a_fault_in_the_log_is_no_gap_where_the_database_begins_later() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 8, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut patient = RemoteWriteConfig { send_native_histograms: true, ..config(&receiver) };
    // All that lies before the fault is read before any of it is sent: the database is asked from the first samples on.
    patient.queue_config.capacity = 10_000;
    log_with_a_fault(&mut world, &receiver, &patient).await;
    receiver.set(Mode::Hang);
    let (remote, registry) = world.start(&[patient]).await;
    until("the fault is met", || count(&registry, "gaps_total") > 0.0).await;
    receiver.set(Mode::Accept);
    until("all that came in order", || receiver.has_all(&world.in_order())).await;
    remote.stop().await;
    assert_eq!(count(&registry, "gaps_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_far_behind_the_others_comes_whole_though_the_log_before_it_is_damaged() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 7, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut patient = RemoteWriteConfig { send_native_histograms: true, ..config(&receiver) };
    // Few others wait with that series, and there is room for them, but not for all that lies before the fault.
    patient.queue_config.max_samples_per_send = 2;
    patient.queue_config.capacity = 500;
    log_with_a_fault(&mut world, &receiver, &patient).await;
    // What others sent is minutes newer than what waits of this one when the fault is met.
    receiver.set(Mode::HangWith("29"));
    let (remote, registry) = world.start(&[patient]).await;
    until("the fault is met", || count(&registry, "gaps_total") > 0.0).await;
    receiver.set(Mode::Accept);
    world.scrapes(5);
    until("all that came in order", || receiver.has_all(&world.in_order())).await;
    remote.stop().await;
    assert_eq!(count(&registry, "gaps_total"), 1.0);
}

/// Sends a little, and leaves the rest in a log that cannot be read in the middle of its third segment.
async fn log_with_a_fault(world: &mut World, receiver: &Receiver, config: &RemoteWriteConfig) {
    let (remote, _) = world.start(std::slice::from_ref(config)).await;
    world.scrapes(5);
    until("the first samples", || world.is_all_at(receiver)).await;
    receiver.set(Mode::Close);
    drop(remote);
    while narthex_wal::list_segments(&world.dir.join("wal")).unwrap().len() < 6 {
        world.scrapes(20);
    }
    damage(&world.dir);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_what_a_damaged_log_lacks_is_a_gap() {
    let dir = world::tempdir();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = super::start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(5);
    until("the first samples", || receiver.has_all(&feed.written)).await;
    drop(remote);
    while narthex_wal::list_segments(&dir.path().join("wal")).unwrap().len() < 6 {
        feed.scrapes(20);
    }
    damage(dir.path());
    feed.written.clear();
    feed.writer.next_segment().unwrap();
    feed.scrapes(20);
    let (remote, registry) = super::start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    until("what follows", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(count(&registry, "gaps_total"), 1.0);
    let files = dir.path().join("remote_write").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let gaps: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".gaps.jsonl")).collect();
    let text = std::fs::read_to_string(&gaps[0]).unwrap();
    assert!(text.contains("WAL from 000000") && text.contains("corrupt"), "{text}");
}
