//! Kills, restarts and reloads: nothing committed is skipped, whatever happens when.

use narthex_storage::SeriesRef;
use narthex_wal::record::{RefSample, encode_samples, encode_series};
use narthex_wal::{Compression, WalMetrics, WalOptions, Writer};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_time_skip_no_sample_and_keep_order() {
    for seed in 0..4 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::new(dir.path(), 150);
        let receiver = Receiver::start(Mode::Accept).await;
        let modes =
            [Mode::Accept, Mode::Accept, Mode::Close, Mode::Status(503, None), Mode::TakeAndHang, Mode::Hang];
        for _ in 0..8 {
            let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
            for _ in 0..rng.usize(0..6) {
                receiver.set(modes[rng.usize(..modes.len())]);
                feed.scrapes(rng.usize(0..20));
                let seen = receiver.requests();
                let wanted = rng.usize(0..20);
                let patience = Instant::now() + Duration::from_millis(50);
                until("some requests or no patience", || {
                    receiver.requests() >= seen + wanted || Instant::now() > patience
                })
                .await;
            }
            drop(remote);
        }
        receiver.set(Mode::Accept);
        let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
        until(&format!("all samples, seed {seed}"), || receiver.has_all(&feed.written)).await;
        remote.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(50);
    let sent = "prometheus_remote_storage_samples_total";
    until("all is acknowledged", || metric(&registry, sent) == 5_000.0).await;
    until("the cursor is at the tip", || remote.wal_hold() == Some(feed.writer.position())).await;
    drop(remote);
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(1);
    until("the new samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    assert_eq!(metric(&registry, sent), 100.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_writer_goes_on_in_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let receiver = Receiver::start(Mode::Hang).await;
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(100);
    drop(remote);
    // The process dies: the writer is gone without closing, the next one opens a new segment.
    let options =
        WalOptions { segment_size_bytes: 1 << 20, compression: Compression::Zstd, ..WalOptions::default() };
    let metrics = WalMetrics::for_wal(&Registry::new(), Compression::Zstd);
    feed.writer = Writer::open(&dir.path().join("wal"), options, metrics).unwrap();
    feed.scrapes(10);
    receiver.set(Mode::Accept);
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    until("all samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_what_did_not_change_and_resumes_what_did() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    let (same, other) = (Receiver::start(Mode::Accept).await, Receiver::start(Mode::Accept).await);
    let mut changing = config(&other);
    changing.name = "changing".into();
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&same), changing.clone()]).await;
    for round in 0..10 {
        feed.scrapes(20);
        changing.queue_config.max_samples_per_send = 10 + round;
        changing.queue_config.max_shards = 1 + round % 5;
        let before = remote.endpoints();
        remote.apply_config(&[changing.clone(), config(&same)], &Labels::empty()).await.unwrap();
        let after = remote.endpoints();
        let kept =
            after.iter().filter(|status| before.iter().any(|b| std::sync::Arc::ptr_eq(b, status))).count();
        assert_eq!((before.len(), after.len(), kept), (2, 2, 1), "one goes on untouched");
    }
    until("all samples", || same.has_all(&feed.written) && other.has_all(&feed.written)).await;
    remote.apply_config(&[config(&same)], &Labels::empty()).await.unwrap();
    let families = registry.gather();
    let shards = families.iter().find(|family| family.name == "prometheus_remote_storage_shards").unwrap();
    assert_eq!(shards.metrics.len(), 1, "the metrics of the endpoint that went are gone");
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_leaves_the_old_one_running() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 10);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    let mut bad = config(&receiver);
    bad.name = "bad".into();
    bad.headers.insert("no header\n".into(), "x".into());
    let error = remote.apply_config(&[bad], &Labels::empty()).await.unwrap_err();
    assert_eq!(error.to_string(), r#"remote_write header "no header\n" cannot be sent"#);
    feed.scrapes(3);
    until("samples still flow", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_external_labels_change_what_is_sent_and_skip_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 20);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(5);
    until("the first samples", || receiver.has_all(&feed.written)).await;
    feed.written.clear();
    remote.apply_config(&[config(&receiver)], &Labels::from_pairs([("dc", "eu")])).await.unwrap();
    feed.scrapes(5);
    let with_dc = |(series, samples): (String, _)| (series.replace("job=", "dc=\"eu\", job="), samples);
    let expected = std::mem::take(&mut feed.written).into_iter().map(with_dc).collect();
    until("the others with the label", || receiver.has_all(&expected)).await;
    remote.stop().await;
}

/// A series that left the head and came back has another reference; a restart takes the older one again for both. Samples of both
/// references in one request stood one reference after the other, so that some came before older ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_of_one_series_under_two_references_stay_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 10);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(1);
    until("the first samples", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
    let again = 900;
    let sets: Vec<_> = (1..=10).map(|n| (SeriesRef(again + n), feed::labels(n))).collect();
    let mut record = Vec::new();
    encode_series(sets.iter().map(|(series, labels)| (*series, labels)), &mut record);
    feed.writer.log(&[&record]).unwrap();
    for added in [0, again, 0, again] {
        feed.t_ms += 1000;
        let sample = |n| RefSample { series: SeriesRef(added + n), t_ms: feed.t_ms, start_ms: 0, value: 1.0 };
        let samples: Vec<_> = (1..=10).map(sample).collect();
        record.clear();
        encode_samples(&samples, &mut record);
        feed.writer.log(&[&record]).unwrap();
        for n in 1..=10 {
            let series = feed.written.get_mut(&feed::labels(n).to_string()).unwrap();
            series.push((feed.t_ms, 1f64.to_bits()));
        }
    }
    let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    until("all samples in order", || receiver.has_all(&feed.written)).await;
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_url_or_name_may_change_and_the_cursor_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 20);
    let receiver = Receiver::start(Mode::Accept).await;
    let changes: [fn(&mut RemoteWriteConfig); 6] = [
        |config| config.queue_config.max_samples_per_send = 7,
        |config| {
            let target_label = "env".to_owned();
            let replacement = "prod".to_owned();
            config.write_relabel_configs =
                vec![narthex_relabel::RelabelConfig { target_label, replacement, ..Default::default() }];
        },
        |config| {
            let (username, password) = ("me".to_owned(), narthex_config::Secret::new("open sesame"));
            config.http.basic_auth =
                Some(narthex_config::BasicAuth { username, password, ..Default::default() });
        },
        |config| drop(config.headers.insert("X-Tenant".to_owned(), "a".to_owned())),
        |config| config.send_exemplars = true,
        |config| config.start_from = narthex_config::StartFrom::Oldest,
    ];
    let mut config = config(&receiver);
    let mut sent = 0.0;
    for change in changes {
        let (remote, registry) = start(dir.path(), feed.tip(), std::slice::from_ref(&config)).await;
        let before = receiver.count();
        feed.scrapes(2);
        until("the new samples", || receiver.count() == before + 40).await;
        remote.stop().await;
        sent += metric(&registry, "prometheus_remote_storage_samples_total");
        // While nobody runs: only a cursor that is kept brings these.
        feed.scrapes(1);
        change(&mut config);
        let (remote, registry) = start(dir.path(), feed.tip(), std::slice::from_ref(&config)).await;
        until("those of the meantime", || receiver.count() == before + 60).await;
        remote.stop().await;
        sent += metric(&registry, "prometheus_remote_storage_samples_total");
    }
    assert_eq!(sent, 6.0 * 60.0, "nothing was sent twice");
    config.name = "another".into();
    feed.scrapes(1);
    let before = receiver.count();
    let (remote, _) = start(dir.path(), feed.tip(), std::slice::from_ref(&config)).await;
    feed.scrapes(2);
    until("what came after it was new", || receiver.count() == before + 40).await;
    remote.stop().await;
    assert_eq!(receiver.count(), before + 40, "a renamed endpoint is a new one");
}
