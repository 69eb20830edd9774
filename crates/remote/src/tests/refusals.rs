//! Endpoints that refuse much or all, and reloads while what they refuse is looked for: all is delivered or kept, for few requests.

use std::collections::BTreeMap;

use super::*;
use crate::dead_letter::Selection;

const LETTERS: &str = "prometheus_remote_storage_dead_letters_total";

/// How often each sample is among the letters.
fn letters(remote: &RemoteWrite) -> BTreeMap<(String, i64), usize> {
    let mut letters = BTreeMap::new();
    let keep = |letter: crate::dead_letter::DeadLetter| {
        let sample = (Labels::from_pairs(&letter.labels).to_string(), letter.content.t_ms().unwrap());
        *letters.entry(sample).or_default() += 1;
        std::ops::ControlFlow::Continue(())
    };
    remote.each_letter("", &Selection::default(), keep).unwrap();
    letters
}

/// What was written, without and with the series whose number is a multiple of this.
fn parted(feed: &Feed, of: u64) -> (Samples, Vec<(String, i64)>) {
    let is_poison = |labels: &String| (1..=1000).any(|n| feed::labels(n * of).to_string() == *labels);
    let (bad, good): (Samples, Samples) = feed.written.clone().into_iter().partition(|(l, _)| is_poison(l));
    let times = |(labels, samples): (String, Vec<(i64, u64)>)| {
        samples.into_iter().map(move |(t_ms, _)| (labels.clone(), t_ms))
    };
    (good, bad.into_iter().flat_map(times).collect())
}

/// Live scrapes, and then many at once, to a receiver that refuses each series whose number is a multiple of `of`.
async fn check_cost(of: u64, most_a_sample: f64) {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::RefuseMultiples(of)).await;
    let mut config = config(&receiver);
    config.remote_timeout_ms = 20_000;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config]).await;
    for scrapes in [1, 1, 1, 1, 1, 7] {
        feed.scrapes(scrapes);
        let (good, bad) = parted(&feed, of);
        until("all is delivered or kept", || {
            receiver.has_all(&good) && metric(&registry, LETTERS) == bad.len() as f64
        })
        .await;
    }
    let tip = feed.writer.position();
    until("the cursor is at the tip", || remote.wal_hold() == Some(tip)).await;
    let requests = receiver.requests() as f64 / 1200.0;
    assert!(requests <= most_a_sample, "one in {of} refused: {requests} requests a sample");
    let (good, bad) = parted(&feed, of);
    assert!(letters(&remote).into_iter().eq(bad.into_iter().map(|sample| (sample, 1))));
    assert_eq!(receiver.count(), good.values().map(Vec::len).sum::<usize>());
    receiver.set(Mode::Accept);
    let seen = receiver.requests();
    feed.written.clear();
    feed.scrapes(1);
    until("all is accepted again", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert!(receiver.requests() - seen <= 100, "as many as there are samples at most");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_refuses_everything_gets_each_sample_twice_at_most() {
    check_cost(1, 2.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_refuses_every_other_series_costs_no_more_than_what_it_refuses() {
    check_cost(2, 1.0).await;
}

/// A change of the section, which ends the endpoint and starts it again.
async fn reload(remote: &RemoteWrite, config: &mut RemoteWriteConfig) {
    config.queue_config.batch_send_deadline_ms += 1;
    remote.apply_config(std::slice::from_ref(config), &Labels::empty()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_while_refused_samples_are_looked_for_send_and_keep_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::RefuseMultiples(3)).await;
    let mut config = config(&receiver);
    config.remote_timeout_ms = 20_000;
    let (remote, _) = start(dir.path(), feed.tip(), &[config.clone()]).await;
    for _ in 0..4 {
        let seen = receiver.requests();
        feed.scrapes(5);
        until("some requests", || receiver.requests() > seen + 20).await;
        reload(&remote, &mut config).await;
    }
    let (good, bad) = parted(&feed, 3);
    until("all others", || receiver.has_all(&good)).await;
    until("all letters", || letters(&remote).len() == bad.len()).await;
    remote.stop().await;
    assert!(letters(&remote).into_iter().eq(bad.into_iter().map(|sample| (sample, 1))));
    assert_eq!(receiver.taken(|taken| taken.doubles), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_while_it_refuses_and_fails_by_turns_lose_nothing() {
    for seed in 0..2 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::new(dir.path(), 100);
        let receiver = Receiver::start(Mode::RefuseMultiples(7)).await;
        let mut config = config(&receiver);
        config.remote_timeout_ms = 20_000;
        let (remote, _) = start(dir.path(), feed.tip(), &[config.clone()]).await;
        let modes =
            [Mode::RefuseMultiples(7), Mode::Status(503, None), Mode::Status(429, Some("600")), Mode::Close];
        for _ in 0..8 {
            let seen = receiver.requests();
            feed.scrapes(rng.usize(1..6));
            // One that was told to wait for ten minutes makes no further request.
            let waits = || remote.endpoints()[0].failing().is_some();
            until("a request", || receiver.requests() > seen || waits()).await;
            receiver.set(modes[rng.usize(..modes.len())]);
            reload(&remote, &mut config).await;
        }
        receiver.set(Mode::RefuseMultiples(7));
        reload(&remote, &mut config).await;
        let (good, bad) = parted(&feed, 7);
        until(&format!("all others, seed {seed}"), || receiver.has_all(&good)).await;
        until(&format!("all letters, seed {seed}"), || letters(&remote).len() == bad.len()).await;
        remote.stop().await;
        assert!(letters(&remote).into_keys().eq(bad), "seed {seed}");
    }
}

/// What was accepted of a request came again behind the reload; refused then, as the endpoint had it, it became a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_of_a_request_that_a_reload_gave_up_is_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 10);
    let receiver = Receiver::start(Mode::RefuseMultiplesThenFail(10)).await;
    let mut config = config(&receiver);
    config.remote_timeout_ms = 20_000;
    config.queue_config.batch_send_deadline_ms = 200;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config.clone()]).await;
    feed.scrapes(4);
    until("a failure behind a part that was accepted", || {
        receiver.count() > 0 && remote.endpoints()[0].failing().is_some()
    })
    .await;
    reload(&remote, &mut config).await;
    receiver.set(Mode::InOrder);
    until("all samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(metric(&registry, LETTERS), 0.0);
    assert!(metric(&registry, "prometheus_remote_storage_in_doubt_total") > 0.0);
}
