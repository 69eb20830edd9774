//! Reloads that change an endpoint: what was acknowledged is never sent again, however the endpoint is at that moment.

use super::*;

/// Another section with the same cursor.
fn turn(config: &mut RemoteWriteConfig, round: i64) {
    config.queue_config.batch_send_deadline_ms = 5 + round;
}

/// The cursor used to know whole blocks of the log alone; what was sent of one in part came again. The more is behind, the more of
/// a series is in one block.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_while_it_catches_up_send_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Status(503, None)).await;
    let mut config = config(&receiver);
    config.remote_timeout_ms = 20_000;
    config.queue_config.max_shards = 3;
    let (remote, _) = start(dir.path(), feed.tip(), &[config.clone()]).await;
    feed.scrapes(300);
    until("the failure shows", || remote.endpoints()[0].failing().is_some()).await;
    receiver.set(Mode::Accept);
    for round in 0..12 {
        let seen = receiver.requests();
        until("some requests", || receiver.requests() > seen + 20 || receiver.count() == 30_000).await;
        turn(&mut config, round);
        remote.apply_config(&[config.clone()], &Labels::empty()).await.unwrap();
    }
    assert!(receiver.count() < 30_000, "it was still behind");
    until("all samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(receiver.taken(|taken| taken.doubles), 0);
}

/// While the endpoint failed, a reload used to wait for no answer at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_under_way_counts_though_the_endpoint_failed_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut config = config(&receiver);
    config.remote_timeout_ms = 20_000;
    let (remote, _) = start(dir.path(), feed.tip(), &[config.clone()]).await;
    for round in 0..5 {
        receiver.set(Mode::Status(503, None));
        feed.scrapes(3);
        until("the failure shows", || remote.endpoints()[0].failing().is_some()).await;
        receiver.set(Mode::TakeSlowly(Duration::from_millis(100)));
        let seen = receiver.count();
        until("a request that waits for its answer", || receiver.count() > seen).await;
        turn(&mut config, round);
        remote.apply_config(&[config.clone()], &Labels::empty()).await.unwrap();
    }
    receiver.set(Mode::Accept);
    until("all samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(receiver.taken(|taken| taken.doubles), 0);
}

/// What the endpoint took without an answer is in doubt, and is sent again; a reload does not wait for it for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_does_not_wait_for_an_endpoint_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::TakeAndHang).await;
    let mut config = config(&receiver);
    config.remote_timeout_ms = 20_000;
    let (remote, _) = start(dir.path(), feed.tip(), &[config.clone()]).await;
    feed.scrapes(1);
    until("a request that waits for its answer", || receiver.count() > 0).await;
    turn(&mut config, 0);
    let started = Instant::now();
    remote.apply_config(&[config.clone()], &Labels::empty()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    receiver.set(Mode::Accept);
    until("all samples", || receiver.has_all(&feed.written) && receiver.taken(|taken| taken.doubles) > 0)
        .await;
    remote.stop().await;
}
