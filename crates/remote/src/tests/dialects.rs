//! 2.0 as it is sent, to receivers that know it and to those that do not: nothing is lost, whatever they answer.

use narthex_config::WriteMessage;
use narthex_model::{CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Metadata, MetricType};
use narthex_storage::SeriesRef;
use narthex_wal::record::{HistogramSample, RefSample, encode_exemplars, encode_histograms};

use super::*;
use crate::dead_letter::{DeadLetter, Selection};
use receiver::Speaks;

const DEAD: &str = "prometheus_remote_storage_dead_letters_total";

async fn in_v2(dir: &Path, series: u64, speaks: Speaks) -> (Feed, Receiver, RemoteWrite, Registry) {
    let feed = Feed::new(dir, series);
    let receiver = Receiver::start(Mode::Accept).await;
    receiver.speak(speaks);
    let mut config = config(&receiver);
    config.protobuf_message = WriteMessage::V2;
    config.send_exemplars = true;
    config.send_native_histograms = true;
    config.remote_timeout_ms = 20_000;
    let (remote, registry) = start(dir, feed.tip(), &[config]).await;
    (feed, receiver, remote, registry)
}

/// Samples with start timestamps, an exemplar beside one, and a histogram with custom buckets.
fn log_all_kinds(feed: &mut Feed) {
    let t_ms = feed.t_ms + 5000;
    let sample = |n| RefSample { series: SeriesRef(n), t_ms, start_ms: t_ms - 500, value: n as f64 };
    let samples: Vec<_> = (1..=3).map(sample).collect();
    let (mut histograms, mut exemplars) = (Vec::new(), Vec::new());
    let custom = Histogram {
        count: 4,
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: vec![1.0],
        ..Histogram::default()
    };
    let sample = HistogramSample { series: SeriesRef(4), t_ms, start_ms: t_ms - 700, histogram: &custom };
    encode_histograms(&[sample], &mut histograms, |_| {});
    let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value: 3.0, t_ms: Some(t_ms) };
    encode_exemplars(&[(SeriesRef(3), &exemplar)], &mut exemplars);
    feed.log_samples(&samples);
    feed.writer.log(&[&histograms, &exemplars]).unwrap();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_starts_exemplars_and_custom_buckets_arrive_in_2_0() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, remote, registry) = in_v2(dir.path(), 30, Speaks::V2).await;
    feed.scrapes(3);
    until("all of the scrapes", || receiver.has_all(&feed.written)).await;
    log_all_kinds(&mut feed);
    let histogram =
        || receiver.taken(|taken| taken.series_v2.iter().flat_map(|s| s.series.histograms.clone()).next());
    until("all", || receiver.has_all(&feed.written) && histogram().is_some()).await;
    let found = histogram().unwrap();
    assert_eq!((found.schema, found.start_timestamp), (-53, found.timestamp - 700));
    receiver.taken(|taken| {
        let of = |n| taken.series_v2.iter().rfind(|s| s.labels == feed::labels(n).to_string()).unwrap();
        let sample = of(1).series.samples.last().unwrap();
        assert_eq!(sample.start_timestamp, sample.timestamp - 500);
        let with_exemplar = &of(3).series;
        assert_eq!((with_exemplar.samples.len(), with_exemplar.exemplars.len()), (1, 1));
    });
    assert_eq!(metric(&registry, DEAD), 0.0);
    assert_eq!(metric(&registry, "prometheus_remote_storage_samples_failed_total"), 0.0);
    remote.stop().await;
}

async fn check_fall_back(speaks: Speaks) {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, remote, registry) = in_v2(dir.path(), 300, speaks).await;
    feed.scrapes(3);
    until("all of the scrapes", || receiver.has_all(&feed.written)).await;
    let asked = receiver.taken(|taken| taken.in_v2);
    log_all_kinds(&mut feed);
    until("all but the histogram", || receiver.has_all(&feed.written) && metric(&registry, DEAD) == 1.0)
        .await;
    assert_eq!(receiver.taken(|taken| taken.in_v2), asked, "2.0 is not tried with each request");
    let kept = letters(&remote);
    assert_eq!((kept.len(), kept[0].status), (1, 415));
    assert!(kept[0].reason.contains("custom buckets"), "{}", kept[0].reason);
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_know_2_0_gets_everything_in_1_0() {
    for speaks in [Speaks::V1, Speaks::V1Blind, Speaks::V1Strict] {
        check_fall_back(speaks).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_partial_write_the_rest_is_kept_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, remote, registry) = in_v2(dir.path(), 200, Speaks::V2).await;
    feed.scrapes(1);
    until("all of a scrape", || receiver.has_all(&feed.written)).await;
    receiver.set(Mode::RefuseMultiples(50));
    feed.scrapes(20);
    let mut good = feed.written.clone();
    (1..=4).for_each(|n| drop(good.remove(&feed::labels(n * 50).to_string())));
    until("all others", || receiver.has_all(&good) && metric(&registry, DEAD) >= 80.0).await;
    remote.stop().await;
    let kept = letters(&remote);
    let poison = kept.iter().filter(|letter| letter.labels["n"].parse::<u64>().unwrap() % 50 == 0).count();
    assert_eq!((poison, kept.len()), (80, 80), "what was delivered is no dead letter");
    let count = |name: &str| metric(&registry, &format!("prometheus_remote_storage_{name}"));
    assert_eq!((count("samples_total"), count("samples_failed_total")), (21.0 * 200.0 - 80.0, 80.0));
    assert_eq!(count("samples_pending"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_of_a_family_stands_beside_its_samples() {
    struct Families;
    impl crate::MetadataSource for Families {
        fn families(&self) -> Vec<(String, Metadata)> {
            let about = Metadata { kind: MetricType::Gauge, help: "It is m.".into(), unit: "s".into() };
            vec![("m".to_owned(), about)]
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 3);
    let receiver = Receiver::start(Mode::Accept).await;
    receiver.speak(Speaks::V2);
    let mut full = config(&receiver);
    full.protobuf_message = WriteMessage::V2;
    full.metadata_config.send = true;
    let options = RemoteWriteOptions {
        data_dir: dir.path().to_owned(),
        tip: feed.tip(),
        flush_deadline: Duration::from_secs(5),
        metadata: Some(Arc::new(Families)),
        backlog: None,
        live: None,
    };
    let remote = RemoteWrite::new(options, &Registry::new());
    remote.apply_config(&[full], &Labels::empty()).await.unwrap();
    let known = || receiver.taken(|taken| taken.series_v2.last().and_then(|stored| stored.metadata.clone()));
    until("metadata", || {
        feed.scrapes(1);
        known().is_some()
    })
    .await;
    assert_eq!(known(), Some((2, "It is m.".to_owned(), "s".to_owned())));
    remote.stop().await;
    assert!(receiver.taken(|taken| taken.metadata.is_empty()), "no request of 1.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_in_2_0_sends_the_start_timestamps_of_what_was_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, receiver, remote, registry) = in_v2(dir.path(), 30, Speaks::V2).await;
    feed.scrapes(1);
    until("a scrape", || receiver.has_all(&feed.written)).await;
    receiver.set(Mode::Status(400, None));
    log_all_kinds(&mut feed);
    until("all letters", || metric(&registry, DEAD) == 5.0).await;
    receiver.set(Mode::Accept);
    let remote = Arc::new(remote);
    let again = Arc::clone(&remote);
    let replay = move || {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let bounds = crate::ReplayBounds { letters: u64::MAX, deadline };
        again.replay_letters("", &Selection::default(), bounds)
    };
    tokio::task::spawn_blocking(replay).await.unwrap().unwrap();
    receiver.taken(|taken| {
        let all = || taken.series_v2.iter().map(|stored| &stored.series);
        let histogram = all().find_map(|series| series.histograms.first()).unwrap();
        assert_eq!(histogram.start_timestamp, histogram.timestamp - 700);
        let of = |n| taken.series_v2.iter().rfind(|s| s.labels == feed::labels(n).to_string()).unwrap();
        let sample = of(1).series.samples.last().unwrap();
        assert_eq!(sample.start_timestamp, sample.timestamp - 500);
    });
    remote.stop().await;
}
