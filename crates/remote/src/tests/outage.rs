//! Outages longer than the log is held: what was in it comes from the database, nothing is missing, and order holds.

use narthex_config::{StartFrom, WalHold};

use super::receiver::Taken;
use super::world::{self, RANGE_MS, World};
use super::*;
use crate::cursor::file::CursorFile;
use crate::cursor::{Cursor, Mark};
use crate::late::{LateChunk, LateFile};
use crate::series::Series;

/// An endpoint for which little of the log is held.
fn impatient(receiver: &Receiver) -> RemoteWriteConfig {
    let wal_hold = Some(WalHold { bytes: 60_000, age_ms: 0 });
    RemoteWriteConfig { wal_hold, send_native_histograms: true, ..config(receiver) }
}

pub(super) fn count(registry: &Registry, name: &str) -> f64 {
    metric(registry, &format!("prometheus_remote_storage_{name}"))
}

pub(super) const DAY_MS: i64 = 24 * 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_hold_is_made_up_from_the_database() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 1, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    // A slow answer must not make anything come twice.
    let patient = RemoteWriteConfig { remote_timeout_ms: 20_000, ..impatient(&receiver) };
    let (remote, registry) = world.start(&[patient]).await;
    world.scrapes(20);
    until("the first samples", || world.is_all_at(&receiver)).await;
    receiver.set(Mode::Status(503, None));
    let before = world.first_segment();
    for _ in 0..30 {
        world.scrapes(20);
        world.db.maintain().unwrap();
    }
    until("the log is left", || {
        count(&registry, "backlog_timestamp_seconds") > 0.0
            && remote.wal_hold() >= Some(world.db.wal_tip().unwrap().position())
    })
    .await;
    world.scrapes(60);
    world.db.maintain().unwrap();
    assert!(world.first_segment() > before, "the log got shorter");
    receiver.set(Mode::Accept);
    for _ in 0..10 {
        world.scrapes(5);
        tokio::task::yield_now().await;
    }
    until("all samples", || world.is_all_at(&receiver)).await;
    until("the log is followed", || count(&registry, "backlog_timestamp_seconds") == 0.0).await;
    world.scrapes(20);
    until("all samples again", || world.is_all_at(&receiver)).await;
    remote.stop().await;
    assert_eq!(count(&registry, "gaps_total"), 0.0);
    assert_eq!(receiver.taken(|taken| (taken.doubles, taken.histogram_doubles)), (0, 0));
    assert!(
        !dir.path()
            .join("remote_write")
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().path().extension().is_some_and(|extension| extension == "late") })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_restarts_and_reloads_while_it_catches_up_skip_nothing() {
    for seed in 0..6 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let dir = world::tempdir();
        let mut world = World::new(dir.path(), seed, DAY_MS);
        let receiver = Receiver::start(Mode::Accept).await;
        let modes = [Mode::Accept, Mode::Close, Mode::Status(503, None), Mode::Hang, Mode::TakeAndHang];
        for round in 0..10 {
            let mut config = impatient(&receiver);
            config.queue_config.max_shards = rng.i64(1..8);
            let (remote, registry) = world.start(&[config]).await;
            for _ in 0..rng.usize(1..5) {
                // Down more often than up, so that it falls behind.
                receiver.set(modes[rng.usize(..modes.len())]);
                world.scrapes(rng.usize(0..60));
                world.db.maintain().unwrap();
                let seen = receiver.requests();
                let patience = Instant::now() + Duration::from_millis(rng.u64(5..80));
                until("some requests or no patience", || {
                    receiver.requests() > seen + 30 || Instant::now() > patience
                })
                .await;
            }
            // Every other time it certainly reads the database when it is killed.
            if round % 2 == 0 {
                receiver.set(Mode::Status(503, None));
                until("the log is left", || {
                    world.scrapes(20);
                    world.db.maintain().unwrap();
                    count(&registry, "backlog_timestamp_seconds") > 0.0
                })
                .await;
            }
            drop(remote);
            if round % 3 == 2 {
                world.reopen();
            }
        }
        receiver.set(Mode::Accept);
        let (remote, registry) = world.start(&[impatient(&receiver)]).await;
        world.scrapes(10);
        until(&format!("all samples, seed {seed}"), || world.is_all_at(&receiver)).await;
        remote.stop().await;
        assert_eq!(count(&registry, "gaps_total"), 0.0, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_that_came_late_for_a_slice_wait_for_it_when_it_is_read_again_after_a_kill() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 5, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = world.start(&[impatient(&receiver)]).await;
    world.scrapes(1);
    until("the first samples", || world.is_all_at(&receiver)).await;
    remote.stop().await;
    drop(remote);
    world.scrapes(200);
    let (from_ms, _) = world.db.time_range().unwrap();
    // As if it had been killed when it had read the database to its end, and these came from the log meanwhile.
    let file = |extension| {
        let files = dir.path().join("remote_write").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let cursor = files.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "cursor"));
        cursor.unwrap().with_extension(extension)
    };
    let mut chunk = LateChunk::default();
    let labels = Labels::from_pairs([("__name__", "m"), ("n", "1")]);
    let of = chunk.of(1, || Some(Series::of_labels(&labels))).unwrap();
    of.samples = vec![(world.t_ms, 0, (world.t_ms % 977) as f64)];
    LateFile::open(file("late"), 0).unwrap().append(&chunk).unwrap();
    let (mut cursor_file, cursor) = CursorFile::open(&file("cursor")).unwrap();
    let mark = Mark { time_ms: from_ms, ..Mark::live(world.db.wal_tip().unwrap().position()) };
    cursor_file.save(&Cursor { sent_ms: cursor.unwrap().sent_ms, ..Cursor::at(mark) }).unwrap();
    let (remote, _) = world.start(&[impatient(&receiver)]).await;
    until("all samples in order", || world.is_all_at(&receiver)).await;
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_samples_get_the_external_labels_of_when_they_are_sent() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 7, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = world.start(&[impatient(&receiver)]).await;
    world.scrapes(20);
    until("the first samples", || world.is_all_at(&receiver)).await;
    let before = world.written.clone();
    receiver.set(Mode::Status(503, None));
    until("samples that come late for a slice", || {
        world.scrapes(20);
        remote.endpoints()[0].progress().late_bytes > 0
    })
    .await;
    let moved = Labels::from_pairs([("dc", "us")]);
    remote.apply_config(&[impatient(&receiver)], &moved).await.unwrap();
    receiver.set(Mode::Accept);
    let is_new = |labels: &str, sample: &(i64, u64)| !before.get(labels).is_some_and(|s| s.contains(sample));
    let new = world.written.iter().map(|(labels, samples)| {
        let new = samples.iter().filter(|sample| is_new(labels, sample)).copied().collect();
        (labels.replace("dc=\"eu\"", "dc=\"us\""), new)
    });
    let new: Samples = new.collect();
    until("the others with the new label", || receiver.has_all(&new)).await;
    remote.stop().await;
}

/// What was dropped counts as done. The database has it, and must not bring it behind newer samples of its series.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_relabeling_dropped_before_a_reload_does_not_come_behind_newer_samples() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 8, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let wal_hold = Some(WalHold { bytes: 200_000, age_ms: 0 });
    let mut keeps = RemoteWriteConfig { wal_hold, ..impatient(&receiver) };
    // One request has all of the outage.
    keeps.queue_config.max_samples_per_send = 1000;
    let step = narthex_relabel::RelabelConfig {
        source_labels: vec!["n".into()],
        regex: Some(narthex_model::Regex::new_anchored("1.*").unwrap()),
        action: narthex_relabel::Action::Drop,
        ..narthex_relabel::RelabelConfig::default()
    };
    let drops = RemoteWriteConfig { write_relabel_configs: vec![step], ..keeps.clone() };
    let (remote, registry) = world.start(&[drops]).await;
    let never_dropped = |world: &World| -> Samples {
        let all = world.written.iter().filter(|(labels, _)| !labels.contains("n=\"1"));
        all.map(|(labels, samples)| (labels.clone(), samples.clone())).collect()
    };
    let has_dropped = |taken: &Taken| taken.samples.keys().any(|labels| labels.contains("n=\"1"));
    world.scrapes(20);
    until("the first samples", || receiver.has_all(&never_dropped(&world))).await;
    receiver.set(Mode::Status(503, None));
    world.scrapes(5);
    until("all that was dropped is done", || count(&registry, "samples_dropped_total") == 25.0 * 12.0).await;
    remote.apply_config(&[keeps], &Labels::from_pairs([("dc", "eu")])).await.unwrap();
    world.scrapes(5);
    receiver.set(Mode::TakeAndHang);
    until("a newer one", || receiver.taken(has_dropped)).await;
    receiver.set(Mode::Status(503, None));
    until("the log is left", || {
        world.scrapes(20);
        count(&registry, "backlog_timestamp_seconds") > 0.0
    })
    .await;
    receiver.set(Mode::Accept);
    world.scrapes(5);
    until("all that was never dropped", || receiver.has_all(&never_dropped(&world))).await;
    remote.stop().await;
    receiver.taken(|taken| assert_eq!(taken.disorder, Vec::<String>::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_deletes_before_it_was_sent_is_a_gap_with_its_times() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 3, 20 * RANGE_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, registry) = world.start(&[impatient(&receiver)]).await;
    world.scrapes(20);
    until("the first samples", || world.is_all_at(&receiver)).await;
    let sent_ms = world.t_ms;
    receiver.set(Mode::Close);
    for _ in 0..40 {
        world.scrapes(20);
        world.db.maintain().unwrap();
    }
    let (oldest_ms, _) = world.db.time_range().unwrap();
    assert!(oldest_ms > sent_ms, "retention deleted what was not sent");
    receiver.set(Mode::Accept);
    until("a gap", || count(&registry, "gaps_total") > 0.0).await;
    let newest = world.t_ms;
    until("the newest", || {
        receiver.taken(|taken| taken.samples.values().any(|s| s.last().is_some_and(|(t, _)| *t == newest)))
    })
    .await;
    remote.stop().await;
    let files: Vec<_> =
        dir.path().join("remote_write").read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    let gaps = files.iter().find(|path| path.to_string_lossy().ends_with(".gaps.jsonl")).unwrap();
    let text = std::fs::read_to_string(gaps).unwrap();
    let gap: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let (from_ms, to_ms) = (gap["from_ms"].as_i64().unwrap(), gap["to_ms"].as_i64().unwrap());
    assert!(sent_ms < from_ms && from_ms < to_ms && to_ms <= oldest_ms + RANGE_MS, "{gap}");
    // Late ones may be in the blocks beside it.
    let in_time = |(t, _): &&(i64, u64)| *t < from_ms || *t >= to_ms;
    let left = world.written.iter().map(|(l, s)| (l.clone(), s.iter().filter(in_time).copied().collect()));
    assert!(receiver.has_all(&left.collect()), "everything outside of the gap");
    assert!(gap["cause"].as_str().unwrap().contains("retention"), "{gap}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_endpoint_starts_where_it_is_told_to() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 4, DAY_MS);
    for _ in 0..10 {
        world.scrapes(20);
        world.db.maintain().unwrap();
    }
    let (now, oldest, ago) = (
        Receiver::start(Mode::Accept).await,
        Receiver::start(Mode::Accept).await,
        Receiver::start(Mode::Accept).await,
    );
    let real_now_ms = world.t_ms + 36_000_000 - 200_000;
    let since_ms = world.t_ms - 60_000;
    let from = |receiver: &Receiver, start_from| RemoteWriteConfig { start_from, ..impatient(receiver) };
    let configs = [
        from(&now, StartFrom::Now),
        from(&oldest, StartFrom::Oldest),
        from(&ago, StartFrom::Ago(real_now_ms - since_ms)),
    ];
    let before = world.written.clone();
    let (remote, registry) = world.start(&configs).await;
    world.scrapes(10);
    until("everything", || world.is_all_at(&oldest)).await;
    let new: Samples = world
        .written
        .iter()
        .map(|(labels, all)| {
            (
                labels.clone(),
                all.iter()
                    .filter(|sample| !before.get(labels).is_some_and(|old| old.contains(sample)))
                    .copied()
                    .collect(),
            )
        })
        .collect();
    until("the new ones", || now.has_all(&new)).await;
    let recent = |all: &Samples| -> Samples {
        all.iter()
            .map(|(l, s)| (l.clone(), s.iter().filter(|(t, _)| *t >= since_ms + 5_000).copied().collect()))
            .collect()
    };
    until("the recent ones", || ago.has_all(&recent(&world.written))).await;
    remote.stop().await;
    assert_eq!(now.count(), new.values().map(Vec::len).sum::<usize>());
    assert!(ago.count() < oldest.count(), "{} of {}", ago.count(), oldest.count());
    assert_eq!(count(&registry, "gaps_total"), 0.0);
    // It is new only once.
    let (remote, registry) = world.start(&configs).await;
    world.scrapes(1);
    until("the last ones", || world.is_all_at(&oldest)).await;
    remote.stop().await;
    assert!(count(&registry, "samples_total") < 200.0, "{}", count(&registry, "samples_total"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_comes_back_after_its_part_of_the_log_went_gets_it_from_the_database() {
    let dir = world::tempdir();
    let mut world = World::new(dir.path(), 6, DAY_MS);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, _) = world.start(&[impatient(&receiver)]).await;
    world.scrapes(20);
    until("the first samples", || world.is_all_at(&receiver)).await;
    let before = world.first_segment();
    // Nobody holds the log for an endpoint that is not configured.
    remote.apply_config(&[], &Labels::from_pairs([("dc", "eu")])).await.unwrap();
    for _ in 0..40 {
        world.scrapes(20);
        world.db.maintain().unwrap();
    }
    assert!(world.first_segment() > before);
    remote.apply_config(&[impatient(&receiver)], &Labels::from_pairs([("dc", "eu")])).await.unwrap();
    world.scrapes(20);
    until("all that came in order", || receiver.has_all(&world.in_order())).await;
    remote.stop().await;
}
