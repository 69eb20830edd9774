//! What an endpoint promises while the process lives.

use narthex_model::{Exemplar, Histogram, Metadata, STALE_NAN};
use narthex_storage::SeriesRef;
use narthex_wal::record::{HistogramSample, RefSample, encode_exemplars, encode_histograms};
use std::sync::Arc;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_arrives_once_and_in_order_at_each_endpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 300);
    let (one, two) = (Receiver::start(Mode::Accept).await, Receiver::start(Mode::Accept).await);
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&one), config(&two)]).await;
    for _ in 0..20 {
        feed.scrapes(10);
        tokio::task::yield_now().await;
    }
    until("both have all", || one.has_all(&feed.written) && two.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(metric(&registry, "prometheus_remote_storage_samples_total"), 2.0 * 60_000.0);
    assert_eq!(metric(&registry, "prometheus_remote_storage_samples_in_total"), 60_000.0);
    assert_eq!(metric(&registry, "prometheus_remote_storage_samples_pending"), 0.0);
    assert!(one.most_in_flight() <= 8, "{}", one.most_in_flight());
    assert!(one.most_in_flight() > 1, "the number in flight follows the backlog");
}

#[track_caller]
fn check_outage(mode: Mode) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::new(dir.path(), 100);
        let receiver = Receiver::start(Mode::Accept).await;
        let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
        feed.scrapes(10);
        until("the first samples", || receiver.has_all(&feed.written)).await;
        receiver.set(mode);
        let before = receiver.requests();
        feed.scrapes(100);
        until("some tries", || receiver.requests() > before + 5).await;
        until("the failure shows", || remote.endpoints()[0].failing().is_some()).await;
        until("the lag shows", || remote.states()[0].lag > Some(Duration::from_secs(1))).await;
        let state = remote.states().remove(0);
        assert!(state.failing_for.is_some() && state.last_error.is_some(), "{state:?}");
        assert!(state.lag_samples >= state.pending && state.pending > 0, "{state:?}");
        assert!(state.cursor < state.tip && state.in_flight > 0 && state.allowed > 0, "{state:?}");
        receiver.set(Mode::Accept);
        feed.scrapes(10);
        until("all samples", || receiver.has_all(&feed.written)).await;
        until("no failure shows", || remote.endpoints()[0].failing().is_none()).await;
        until("no lag shows", || {
            let state = remote.states().remove(0);
            state.lag == Some(Duration::ZERO) && state.lag_samples == 0
        })
        .await;
        let state = remote.states().remove(0);
        assert!(state.failing_for.is_none() && state.last_error.is_some(), "{state:?}");
        assert_eq!(state.backoff, Duration::ZERO, "{state:?}");
        remote.stop().await;
        let count = |name: &str| metric(&registry, &format!("prometheus_remote_storage_{name}"));
        assert!(count("samples_retried_total") > 0.0, "{mode:?}");
        assert_eq!((count("samples_failed_total"), count("dead_letters_total")), (0.0, 0.0), "{mode:?}");
        assert_eq!(count("samples_total"), 12_000.0, "{mode:?}");
    });
}

#[test]
fn no_outage_loses_or_reorders_a_sample() {
    for mode in [
        Mode::Close,
        Mode::Hang,
        Mode::Status(503, None),
        Mode::Status(500, Some("0")),
        Mode::Status(429, Some("0")),
        Mode::Status(401, None),
        Mode::Status(404, None),
    ] {
        check_outage(mode);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_series_goes_to_the_dead_letters_and_all_others_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Refuse("17")).await;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(8);
    let mut good = feed.written.clone();
    let bad = good.remove(&feed::labels(17).to_string()).unwrap();
    until("all others", || receiver.has_all(&good)).await;
    until("eight letters", || metric(&registry, "prometheus_remote_storage_dead_letters_total") == 8.0).await;
    remote.stop().await;
    assert_eq!(metric(&registry, "prometheus_remote_storage_samples_failed_total"), 8.0);
    let mut times = Vec::new();
    let letters = crate::dead_letter::summaries(&dir.path().join("remote_write")).unwrap();
    let look = |letter: crate::dead_letter::DeadLetter| {
        assert_eq!((&*letter.labels["n"], letter.status), ("17", 400));
        assert_eq!(letter.reason, "server returned HTTP status 400 Bad Request: out of order sample");
        times.push(letter.content.t_ms().unwrap());
        std::ops::ControlFlow::Continue(())
    };
    crate::dead_letter::each(&dir.path().join("remote_write"), &letters[0].0, look).unwrap();
    assert!(times.iter().eq(bad.iter().map(|(t_ms, _)| t_ms)), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_does_not_slow_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 200);
    let (dead, alive) = (Receiver::start(Mode::Hang).await, Receiver::start(Mode::Accept).await);
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&dead), config(&alive)]).await;
    let hold = remote.wal_hold().unwrap();
    feed.scrapes(200);
    until("the other one has all", || alive.has_all(&feed.written)).await;
    assert_eq!(dead.count(), 0);
    assert_eq!(remote.wal_hold(), Some(hold), "the log is kept for the one that lags");
    let pending = metric(&registry, "prometheus_remote_storage_samples_pending");
    assert!(pending < 200.0 * 8.0 + 16_500.0, "what waits is bounded: {pending}");
    dead.set(Mode::Accept);
    until("the dead one catches up", || dead.has_all(&feed.written)).await;
    remote.stop().await;
    assert!(remote.wal_hold() > Some(hold), "the cursors stay after the end, and what they need");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_endpoint_starts_at_the_tip_and_needs_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 10);
    feed.scrapes(50);
    feed.written.clear();
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    assert_eq!(remote.wal_hold(), Some(feed.writer.position()));
    feed.scrapes(5);
    until("what came later", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(receiver.count(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_sends_what_waits_and_returns_at_the_deadline_when_it_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut slow = config(&receiver);
    slow.queue_config.batch_send_deadline_ms = 3_600_000;
    slow.queue_config.max_samples_per_send = 1_000_000;
    let (remote, _) = start(dir.path(), feed.tip(), &[slow.clone()]).await;
    feed.scrapes(20);
    remote.stop().await;
    assert!(receiver.has_all(&feed.written));
    receiver.set(Mode::Hang);
    feed.scrapes(5);
    let options = RemoteWriteOptions {
        data_dir: dir.path().to_owned(),
        tip: feed.tip(),
        flush_deadline: Duration::from_millis(100),
        backlog: None,
        live: None,
        metadata: None,
    };
    let remote = RemoteWrite::new(options, &Registry::new());
    remote.apply_config(&[slow], &Labels::empty()).await.unwrap();
    let started = Instant::now();
    remote.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(!receiver.has_all(&feed.written));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histograms_exemplars_metadata_and_staleness_are_sent_when_asked_for() {
    struct Families;
    impl crate::MetadataSource for Families {
        fn families(&self) -> Vec<(String, Metadata)> {
            (0..5).map(|n| (format!("family_{n}"), Metadata::default())).collect()
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 3);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut full = config(&receiver);
    full.send_exemplars = true;
    full.send_native_histograms = true;
    full.metadata_config.send = true;
    full.metadata_config.send_interval_ms = 1000;
    full.metadata_config.max_samples_per_send = 2;
    let options = RemoteWriteOptions {
        data_dir: dir.path().to_owned(),
        tip: feed.tip(),
        flush_deadline: Duration::from_secs(5),
        backlog: None,
        live: None,
        metadata: Some(Arc::new(Families)),
    };
    let registry = Registry::new();
    let remote = RemoteWrite::new(options, &registry);
    remote.apply_config(&[full], &Labels::from_pairs([("dc", "eu")])).await.unwrap();

    let (mut histograms, mut exemplars) = (Vec::new(), Vec::new());
    let histogram = Histogram { count: 4, sum: 2.5, schema: 1, ..Histogram::default() };
    let sample = HistogramSample { series: SeriesRef(1), t_ms: 7, start_ms: 0, histogram: &histogram };
    encode_histograms(&[sample], &mut histograms, |_| {});
    let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value: 3.0, t_ms: Some(8) };
    encode_exemplars(&[(SeriesRef(2), &exemplar)], &mut exemplars);
    feed.writer.log(&[&histograms, &exemplars]).unwrap();
    feed.log_samples(&[RefSample { series: SeriesRef(3), t_ms: 9, start_ms: 0, value: STALE_NAN }]);

    until("metadata", || receiver.taken(|taken| taken.metadata.len() >= 5)).await;
    remote.stop().await;
    receiver.taken(|taken| {
        let stale = &taken.samples[r#"{__name__="m", dc="eu", job="feed", n="3"}"#];
        assert_eq!(stale, &[(9, STALE_NAN.to_bits())]);
        let histogram = taken.series.iter().find_map(|series| series.histograms.first()).unwrap();
        assert_eq!((histogram.timestamp, histogram.sum, histogram.schema), (7, 2.5, 1));
        let exemplar = taken.series.iter().find_map(|series| series.exemplars.first()).unwrap();
        assert_eq!((exemplar.timestamp, &*exemplar.labels[0].value), (8, "x"));
        assert_eq!(taken.metadata[..5], ["family_0", "family_1", "family_2", "family_3", "family_4"]);
    });
    assert_eq!(metric(&registry, "prometheus_remote_storage_histograms_total"), 1.0);
    assert_eq!(metric(&registry, "prometheus_remote_storage_exemplars_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_samples_and_dropped_series_are_counted_and_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 10);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut picky = config(&receiver);
    picky.queue_config.sample_age_limit_ms = 1000;
    picky.write_relabel_configs = vec![narthex_relabel::RelabelConfig {
        source_labels: vec!["n".into()],
        regex: Some(narthex_model::Regex::new_anchored("[1-5]").unwrap()),
        action: narthex_relabel::Action::Drop,
        ..narthex_relabel::RelabelConfig::default()
    }];
    let (remote, registry) = start(dir.path(), feed.tip(), &[picky]).await;
    let sample = |series, t_ms| RefSample { series: SeriesRef(series), t_ms, start_ms: 0, value: 1.0 };
    let future_ms = i64::MAX / 2;
    let samples: Vec<_> = (1..=10).map(|n| sample(n, if n == 9 { 5 } else { future_ms })).collect();
    feed.log_samples(&samples);
    feed.log_samples(&[sample(77, future_ms)]);
    remote.stop().await;
    assert_eq!(receiver.count(), 4);
    assert_eq!(metric(&registry, "prometheus_remote_storage_samples_dropped_total"), 7.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_log_was_cut_before_the_cursor_what_is_left_of_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Hang).await;
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(50);
    let lost = std::mem::take(&mut feed.written);
    drop(remote);
    let next = feed.writer.next_segment().unwrap();
    feed.writer.truncate_before(next).unwrap();
    feed.log_series();
    feed.scrapes(50);
    receiver.set(Mode::Accept);
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    until("what is left", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert!(!receiver.has_all(&lost));
}

/// A marker is a float; in an entry of its own behind the histograms it does not make a receiver refuse them as older than it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staleness_marker_comes_behind_the_histograms_that_it_ends() {
    let dir = super::world::tempdir();
    let mut world = super::world::World::new(dir.path(), 9, 24 * 3_600_000);
    let receiver = Receiver::start(Mode::Accept).await;
    let mut config = RemoteWriteConfig { send_native_histograms: true, ..config(&receiver) };
    config.queue_config.max_samples_per_send = 1000;
    let (remote, _) = world.start(std::slice::from_ref(&config)).await;
    world.scrapes(1);
    until("the first samples", || world.is_all_at(&receiver)).await;
    drop(remote);
    world.scrapes(5);
    world.end_histograms();
    let (remote, _) = world.start(&[config]).await;
    until("all samples", || world.is_all_at(&receiver)).await;
    remote.stop().await;
}
