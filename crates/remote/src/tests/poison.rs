//! Series that are refused for ever: what arrives, what is kept, what it costs, and that a replay delivers it.

use narthex_model::{Exemplar, Histogram};
use narthex_storage::SeriesRef;
use narthex_wal::record::{HistogramSample, encode_exemplars, encode_histograms};

use super::*;
use crate::dead_letter::{DeadLetter, Selection};
use crate::{ReplayBounds, Replayed};

const SERIES: u64 = 4000;

/// Offers all letters, without bounds that matter.
async fn replay(remote: &Arc<RemoteWrite>, wanted: Selection, letters: u64) -> Replayed {
    let remote = Arc::clone(remote);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let replay = move || remote.replay_letters("", &wanted, ReplayBounds { letters, deadline });
    tokio::task::spawn_blocking(replay).await.unwrap().unwrap()
}

fn letters(remote: &RemoteWrite) -> Vec<DeadLetter> {
    let mut letters = Vec::new();
    let keep = |letter| {
        letters.push(letter);
        std::ops::ControlFlow::Continue(())
    };
    remote.each_letter("", &Selection::default(), keep).unwrap();
    letters
}

/// Series of which one in a thousand is refused, at 500 samples a request.
async fn poisoned(dir: &Path) -> (Feed, Receiver, Arc<RemoteWrite>, Registry) {
    let feed = Feed::new(dir, SERIES);
    let receiver = Receiver::start(Mode::RefuseMultiples(1000)).await;
    let mut config = config(&receiver);
    config.queue_config.max_samples_per_send = 500;
    config.queue_config.capacity = 2000;
    config.send_exemplars = true;
    config.send_native_histograms = true;
    config.remote_timeout_ms = 20_000;
    let (remote, registry) = start(dir, feed.tip(), &[config]).await;
    (feed, receiver, Arc::new(remote), registry)
}

/// Takes the refused series out of what was written.
fn without_poison(feed: &Feed) -> feed::Samples {
    let mut good = feed.written.clone();
    (1..=SERIES / 1000).for_each(|n| drop(good.remove(&feed::labels(n * 1000).to_string())));
    good
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_series_in_a_thousand_costs_few_requests_and_a_replay_delivers_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, remote, registry) = poisoned(dir.path()).await;
    let arrived = |count: u64| {
        let (receiver, registry) = (&receiver, &registry);
        move |good: &feed::Samples| {
            receiver.has_all(good)
                && metric(registry, "prometheus_remote_storage_dead_letters_total") == count as f64
        }
    };
    feed.scrapes(4);
    let good = without_poison(&feed);
    until("all others", || arrived(16)(&good)).await;
    let before = receiver.requests();
    for scrape in 1..=10 {
        feed.scrapes(1);
        let good = without_poison(&feed);
        until("all others again", || arrived(16 + 4 * scrape)(&good)).await;
    }
    let live = receiver.requests() - before;
    feed.scrapes(20);
    let good = without_poison(&feed);
    until("all others at once", || arrived(136)(&good)).await;
    let at_once = receiver.requests() - before - live;
    // 40,000 samples are 80 full requests, and each of the 40 that are refused needs one of its own.
    assert!(live < 160, "{live} requests");
    // 80,000 samples are 160, and each of the 80 needs one of its own, or two.
    assert!(at_once < 320, "{at_once} requests");

    for letter in letters(&remote) {
        assert_eq!(letter.status, 400);
        assert_eq!(letter.reason, "server returned HTTP status 400 Bad Request: series is not welcome");
        assert_eq!(letter.labels["n"].parse::<u64>().unwrap() % 1000, 0);
    }
    receiver.set(Mode::Accept);
    let done = replay(&remote, Selection::default(), u64::MAX).await;
    assert_eq!((done.accepted, done.refused, done.more), (136, 0, false), "{done:?}");
    feed.scrapes(2);
    until("everything, in order", || receiver.has_all(&feed.written)).await;
    assert!(letters(&remote).is_empty());
    assert_eq!(metric(&registry, "prometheus_remote_storage_dead_letters_replayed_total"), 136.0);
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_keeps_order_and_bits_and_what_is_refused_again_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, remote, registry) = poisoned(dir.path()).await;
    receiver.set(Mode::Status(400, None));
    let stale = |n| narthex_wal::record::RefSample {
        series: SeriesRef(n),
        t_ms: 1,
        start_ms: 0,
        value: narthex_model::STALE_NAN,
    };
    feed.log_samples(&[stale(1), stale(1000)]);
    for t_ms in [5, 6, 7] {
        feed.log_samples(&[narthex_wal::record::RefSample { t_ms, value: -0.0, ..stale(1) }]);
    }
    let (mut histograms, mut exemplars) = (Vec::new(), Vec::new());
    let histogram = Histogram { count: 4, sum: 2.5, schema: 1, ..Histogram::default() };
    let sample = HistogramSample { series: SeriesRef(2), t_ms: 7, start_ms: 0, histogram: &histogram };
    encode_histograms(&[sample], &mut histograms, |_| {});
    let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value: 3.0, t_ms: Some(8) };
    encode_exemplars(&[(SeriesRef(3), &exemplar)], &mut exemplars);
    feed.writer.log(&[&histograms, &exemplars]).unwrap();
    until("all letters", || metric(&registry, "prometheus_remote_storage_dead_letters_total") == 7.0).await;
    let kept = letters(&remote);

    receiver.set(Mode::RefuseMultiples(1000));
    let done = replay(&remote, Selection::default(), u64::MAX).await;
    assert_eq!((done.accepted, done.refused, done.more), (6, 1, false), "{done:?}");
    let left = letters(&remote);
    let [left] = &left[..] else { panic!("{left:?}") };
    assert_eq!(left.reason, "server returned HTTP status 400 Bad Request: series is not welcome");
    let before = kept.iter().find(|letter| letter.labels["n"] == "1000").unwrap();
    assert_eq!((left.id, &left.labels), (before.id, &before.labels), "number and labels stay");
    assert!(left.refused_ms >= before.refused_ms);
    receiver.taken(|taken| {
        assert!(taken.disorder.is_empty(), "{:?}", taken.disorder);
        let samples = &taken.samples[&feed::labels(1).to_string()];
        assert_eq!(samples, &feed.written[&feed::labels(1).to_string()]);
        let histogram = taken.series.iter().find_map(|series| series.histograms.first()).unwrap();
        assert_eq!((histogram.timestamp, histogram.sum, histogram.schema), (7, 2.5, 1));
        let exemplar = taken.series.iter().find_map(|series| series.exemplars.first()).unwrap();
        assert_eq!((exemplar.timestamp, &*exemplar.labels[0].value), (8, "x"));
    });
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_bounded_goes_on_where_it_ended_and_stops_when_the_endpoint_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, remote, registry) = poisoned(dir.path()).await;
    receiver.set(Mode::Status(400, None));
    feed.log_samples(
        &(1..=1200)
            .map(|n| narthex_wal::record::RefSample {
                series: SeriesRef(n),
                t_ms: 9,
                start_ms: 0,
                value: 1.0,
            })
            .collect::<Vec<_>>(),
    );
    until("all letters", || metric(&registry, "prometheus_remote_storage_dead_letters_total") == 1200.0)
        .await;
    receiver.set(Mode::RefuseMultiples(2));
    let (mut after, mut accepted, mut calls) = (0, 0, 0);
    loop {
        let done = replay(&remote, Selection { after, ..Selection::default() }, 500).await;
        (after, accepted, calls) = (done.last, accepted + done.accepted, calls + 1);
        assert!(done.accepted + done.refused <= 500, "{done:?}");
        if !done.more {
            break;
        }
    }
    assert_eq!((accepted, calls, letters(&remote).len()), (600, 3, 600));

    receiver.set(Mode::Status(503, None));
    let slow = Arc::clone(&remote);
    let deadline = tokio::time::Instant::now() + Duration::from_millis(100);
    let bounds = ReplayBounds { letters: 500, deadline };
    let replay = move || slow.replay_letters("", &Selection::default(), bounds);
    let done = tokio::task::spawn_blocking(replay).await.unwrap().unwrap();
    assert_eq!(
        (done.accepted, done.more, done.stopped.as_deref()),
        (
            0,
            true,
            Some(
                "the endpoint does not answer as it should: server returned HTTP status 503 Service Unavailable: not now"
            )
        )
    );
    let error = remote.replay_letters("", &Selection::default(), bounds).unwrap_err().to_string();
    assert!(error.contains("fails now, nothing was replayed"), "{error}");
    assert_eq!(letters(&remote).len(), 600);
    let id = remote.letter_stores().unwrap()[0].id.clone();
    // Which series has which number depends on which request was answered first.
    let some = letters(&remote)[0].id;
    // The endpoint goes, its letters do not.
    remote.apply_config(&[], &Labels::empty()).await.unwrap();
    let stores = remote.letter_stores().unwrap();
    assert_eq!((stores[0].is_configured, stores[0].summary.letters, &stores[0].id), (false, 600, &id));
    let error = remote.replay_letters(&id, &Selection::default(), bounds).unwrap_err().to_string();
    assert!(error.contains("is not configured any more"), "{error}");
    let one = Selection { ids: vec![(some, some)], ..Selection::default() };
    assert_eq!(remote.drop_letters(&id, &one).unwrap(), 1);
    assert_eq!(remote.drop_letters(&id, &Selection::default()).unwrap(), 599);
    assert!(remote.letter_stores().unwrap().is_empty());
    let error = remote.drop_letters("nobody", &one).unwrap_err().to_string();
    assert!(error.starts_with("no endpoint of remote write, and no dead letters, have the name"), "{error}");
    remote.stop().await;
}

/// A disk that takes no letter, as a full one: a directory lies where the file would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_the_disk_does_not_take_waits_and_is_kept_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 200);
    let receiver = Receiver::start(Mode::RefuseMultiples(200)).await;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    let store = dir.path().join("remote_write");
    let obstacle = store.join(format!("{}.dead.{:016}.jsonl", remote.states()[0].id, 1));
    std::fs::create_dir_all(obstacle.join("full")).unwrap();
    let hold = remote.wal_hold();
    feed.scrapes(1);
    until("the request with it is put off", || remote.states()[0].in_flight == 1 && receiver.count() > 100)
        .await;
    // Series that were not in that request go on.
    let before = receiver.count();
    feed.scrapes(1);
    until("others", || receiver.count() > before).await;
    assert_eq!(metric(&registry, "prometheus_remote_storage_dead_letters_total"), 0.0);
    assert!(remote.wal_hold() <= hold, "the log is held for what is not kept");
    std::fs::remove_dir_all(&obstacle).unwrap();
    let mut good = feed.written.clone();
    let bad = good.remove(&feed::labels(200).to_string()).unwrap();
    let letters_now = || metric(&registry, "prometheus_remote_storage_dead_letters_total");
    until("all", || receiver.has_all(&good) && letters_now() == bad.len() as f64).await;
    remote.stop().await;
    let kept: Vec<_> = letters(&remote).iter().map(|letter| letter.content.t_ms().unwrap()).collect();
    assert!(kept.iter().eq(bad.iter().map(|(t_ms, _)| t_ms)), "{kept:?}");
}
