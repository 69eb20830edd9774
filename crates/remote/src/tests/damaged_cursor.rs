//! A cursor that cannot be read at the start: the endpoint goes on from what the log holds, says so, and loses nothing of it.

use std::path::PathBuf;

use narthex_config::StartFrom;

use super::world::{World, tempdir};
use super::*;

const GAPS: &str = "prometheus_remote_storage_gaps_total";
const LETTERS: &str = "prometheus_remote_storage_dead_letters_total";

/// The cursor of the only endpoint.
fn cursor(dir: &Path) -> PathBuf {
    let files = dir.join("remote_write").read_dir().unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "cursor")).unwrap()
}

/// Everything before the damage was delivered, what was committed behind it was not. The endpoint takes nothing twice or out of order.
async fn check(what: &str, damage: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let dir = tempdir();
    let mut feed = Feed::new(dir.path(), 20);
    let receiver = Receiver::start(Mode::InOrder).await;
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(3);
    until("what was before", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    feed.scrapes(3);
    let path = cursor(dir.path());
    std::fs::write(&path, damage(std::fs::read(&path).unwrap())).unwrap();
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    until(&format!("{what}: what was committed meanwhile"), || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!((metric(&registry, GAPS), metric(&registry, LETTERS)), (1.0, 0.0), "{what}");
    // It is damaged only once.
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(1);
    until(&format!("{what}: what came at last"), || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!((metric(&registry, GAPS), metric(&registry, LETTERS)), (0.0, 0.0), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_whose_cursor_is_damaged_sends_what_the_log_holds() {
    check("empty", |_| Vec::new()).await;
    check("cut off", |bytes| bytes[..33_000].to_vec()).await;
    check("zeros", |bytes| vec![0; bytes.len()]).await;
    check("garbage", |bytes| bytes.iter().map(|byte| byte ^ 0x5a).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_start_from_a_damaged_cursor_goes_back_to_there_in_the_database() {
    let dir = tempdir();
    let mut world = World::new(dir.path(), 8, 86_400_000);
    let receiver = Receiver::start(Mode::Hang).await;
    let from_the_oldest = RemoteWriteConfig {
        start_from: StartFrom::Oldest,
        send_native_histograms: true,
        ..config(&receiver)
    };
    let (remote, _) = world.start(std::slice::from_ref(&from_the_oldest)).await;
    remote.apply_config(&[], &Labels::empty()).await.unwrap();
    let before = world.first_segment();
    for _ in 0..10 {
        world.scrapes(20);
        world.db.maintain().unwrap();
    }
    assert!(world.first_segment() > before, "some is in blocks alone");
    std::fs::write(cursor(dir.path()), "").unwrap();
    receiver.set(Mode::Accept);
    let (remote, registry) = world.start(&[from_the_oldest]).await;
    world.scrapes(10);
    until("everything", || world.is_all_at(&receiver)).await;
    remote.stop().await;
    assert_eq!(metric(&registry, GAPS), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_cannot_be_opened_stops_its_own_endpoint_alone_and_until_it_can() {
    let dir = tempdir();
    let mut feed = Feed::new(dir.path(), 20);
    let (one, other) = (Receiver::start(Mode::Accept).await, Receiver::start(Mode::Accept).await);
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&one)]).await;
    feed.scrapes(3);
    until("what was before", || one.has_all(&feed.written)).await;
    remote.stop().await;
    let (path, aside) = (cursor(dir.path()), dir.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir(&path).unwrap();

    let configs = [config(&one), config(&other)];
    let remote = super::remote(dir.path(), feed.tip(), &Registry::new());
    let error = remote.apply_config(&configs, &Labels::empty()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("remote write cannot open {}", path.display()));
    let before = std::mem::take(&mut feed.written);
    feed.scrapes(3);
    until("what the other one gets", || other.has_all(&feed.written)).await;
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    remote.apply_config(&configs, &Labels::empty()).await.unwrap();
    until("what was committed meanwhile", || one.has_all(&feed.written)).await;
    remote.stop().await;
    assert!(one.has_all(&before));
    assert_eq!(one.taken(|taken| taken.doubles), 0);
}
