//! Endpoints that take nothing out of order, and samples that are sent again because nobody knew whether they had arrived.

use narthex_storage::SeriesRef;
use narthex_wal::record::RefSample;

use super::*;
use crate::dead_letter::Selection;

async fn patient(dir: &Path, series: u64) -> (Feed, Receiver, RemoteWriteConfig) {
    let feed = Feed::new(dir, series);
    let receiver = Receiver::start(Mode::InOrder).await;
    let mut config = config(&receiver);
    config.name = "one".into();
    config.remote_timeout_ms = 20_000;
    (feed, receiver, config)
}

fn letters(remote: &RemoteWrite, store: &str) -> usize {
    let mut letters = 0;
    let count = |_| {
        letters += 1;
        std::ops::ControlFlow::Continue(())
    };
    remote.each_letter(store, &Selection::default(), count).unwrap();
    letters
}

fn counts(registry: &Registry) -> [f64; 3] {
    ["in_doubt_total", "dead_letters_total", "samples_failed_total"]
        .map(|name| metric(registry, &format!("prometheus_remote_storage_{name}")))
}

/// They used to become dead letters, though they were delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_flight_at_a_kill_and_is_refused_is_no_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, config) = patient(dir.path(), 10).await;
    let (remote, _) = start(dir.path(), feed.tip(), std::slice::from_ref(&config)).await;
    feed.scrapes(1);
    until("the first", || receiver.has_all(&feed.written)).await;
    receiver.set(Mode::TakeAndHang);
    feed.scrapes(4);
    until("samples that wait for their answer", || receiver.count() > 10).await;
    drop(remote);
    receiver.set(Mode::InOrder);
    feed.scrapes(2);
    let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
    until("all samples", || receiver.has_all(&feed.written)).await;
    // Of each series that was taken before the kill all but the newest are refused.
    until("the refused ones", || counts(&registry)[0] > 0.0).await;
    // From here on nothing is in doubt any more: a late sample is refused like any other.
    until("nothing waits", || remote.states()[0].lag_samples == 0).await;
    feed.scrapes(1);
    until("all samples", || receiver.has_all(&feed.written)).await;
    let late = RefSample { series: SeriesRef(1), t_ms: feed.t_ms - 3500, start_ms: 0, value: 1.0 };
    feed.log_samples(&[late]);
    until("the late one", || counts(&registry)[1] == 1.0).await;
    assert_eq!((letters(&remote, ""), letters(&remote, "one")), (1, 1));
    let in_doubt = counts(&registry)[0];
    assert_eq!(letters(&remote, "one (in doubt)") as f64, in_doubt);
    remote.stop().await;
    assert_eq!(counts(&registry), [in_doubt, 1.0, 1.0]);
}

/// The same while the process lives: the answer does not come, and the request is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_no_answer_and_is_refused_is_no_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, mut config) = patient(dir.path(), 10).await;
    config.remote_timeout_ms = 300;
    config.queue_config.batch_send_deadline_ms = 200;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
    receiver.set(Mode::TakeAndHang);
    feed.scrapes(4);
    until("samples that wait for their answer", || receiver.count() > 10).await;
    receiver.set(Mode::InOrder);
    until("all samples", || receiver.has_all(&feed.written)).await;
    until("nothing waits", || remote.states()[0].lag_samples == 0).await;
    remote.stop().await;
    let [in_doubt, dead, failed] = counts(&registry);
    assert_eq!((in_doubt > 0.0, dead, failed), (true, 0.0, 0.0));
}

/// After an end in order nothing is in doubt, so what is refused then is a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_end_in_order_nothing_is_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, config) = patient(dir.path(), 10).await;
    let (remote, _) = start(dir.path(), feed.tip(), std::slice::from_ref(&config)).await;
    feed.scrapes(3);
    until("the first", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    let late = RefSample { series: SeriesRef(1), t_ms: feed.t_ms - 1500, start_ms: 0, value: 1.0 };
    feed.log_samples(&[late]);
    let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
    until("the late one", || counts(&registry)[1] == 1.0).await;
    remote.stop().await;
    assert_eq!(counts(&registry), [0.0, 1.0, 1.0]);
}
