//! The log gets shorter while it is sent: nothing that is needed goes, what nobody names is forgotten.

use narthex_storage::SeriesRef;
use narthex_wal::{
    Checkpoint, Compression, WalPosition, delete_checkpoints_before, delete_segments_before, list_segments,
};

use super::*;
use crate::metrics::RemoteMetrics;
use crate::source::{Follower, Source};

/// Does what the head does: a checkpoint up to the segment before the hold, then everything that it stands for goes.
fn truncate(
    dir: &Path,
    feed: &mut Feed,
    hold: Option<WalPosition>,
    keep: &dyn Fn(SeriesRef) -> bool,
) -> bool {
    let wal = dir.join("wal");
    let complete = feed.writer.next_segment().unwrap() - 1;
    let last = match hold {
        Some(hold) if hold.segment == 0 => return false,
        Some(hold) => complete.min(hold.segment - 1),
        None => complete,
    };
    if list_segments(&wal).unwrap()[0] > last {
        return false;
    }
    let compression = Compression::Snappy;
    Checkpoint { dir: &wal, last, mint_ms: i64::MAX, compression, keep }.write().unwrap();
    let bytes = delete_segments_before(&wal, last + 1).unwrap();
    feed.writer.truncated(Some(bytes));
    delete_checkpoints_before(&wal, last).unwrap();
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncations_and_kills_at_any_time_skip_no_sample() {
    let mut truncations = 0;
    for seed in 0..3 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::new(dir.path(), 150);
        let receiver = Receiver::start(Mode::Accept).await;
        let modes = [Mode::Accept, Mode::Accept, Mode::Close, Mode::Status(503, None), Mode::Hang];
        for _ in 0..6 {
            let remote = remote(dir.path(), feed.tip(), &Registry::new());
            assert_eq!(remote.wal_hold(), Some(WalPosition::default()), "nobody knows yet what is needed");
            assert!(!truncate(dir.path(), &mut feed, remote.wal_hold(), &|_| true));
            remote.apply_config(&[config(&receiver)], &Labels::empty()).await.unwrap();
            for _ in 0..rng.usize(2..6) {
                receiver.set(modes[rng.usize(..modes.len())]);
                feed.scrapes(rng.usize(0..30));
                let seen = remote.wal_hold();
                let patience = Instant::now() + Duration::from_millis(100);
                until("the hold moves or no patience", || {
                    remote.wal_hold() > seen || Instant::now() > patience
                })
                .await;
                truncations += usize::from(truncate(dir.path(), &mut feed, remote.wal_hold(), &|_| true));
            }
            drop(remote);
        }
        receiver.set(Mode::Accept);
        let (remote, _) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
        until(&format!("all samples, seed {seed}"), || receiver.has_all(&feed.written)).await;
        remote.stop().await;
        assert!(remote.wal_hold().is_some(), "the cursors stay, and so does what they need");
    }
    assert!(truncations > 3, "{truncations}");
}

#[test]
fn series_that_neither_checkpoint_nor_segments_name_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 100);
    feed.scrapes(3);
    let metrics = RemoteMetrics::new(&Registry::new());
    let source = Source::new(&dir.path().join("wal"), feed.tip(), Labels::empty(), None, metrics);
    let (mut at, mut follower) = (WalPosition::default(), Follower::default());
    // Reads all there is and gives the position behind it, in a fresh segment.
    let mut read = |feed: &mut Feed| {
        feed.writer.next_segment().unwrap();
        feed.scrapes(1);
        while let Some(block) = source.block(at, &mut follower).unwrap() {
            at = block.end;
        }
        Some(at)
    };
    let hold = read(&mut feed);
    let known = || (1..=120).filter(|n| source.place(SeriesRef(*n)).is_some()).collect::<Vec<_>>();
    assert_eq!(known(), (1..=100).collect::<Vec<_>>());
    assert!(truncate(dir.path(), &mut feed, hold, &|series| series.0 > 40));
    until_blocking("the first are forgotten", || {
        read(&mut feed);
        source.epoch() == 1
    });
    assert_eq!(known(), (41..=100).collect::<Vec<_>>());
    let hold = read(&mut feed);
    assert!(truncate(dir.path(), &mut feed, hold, &|_| true));
    until_blocking("nobody is forgotten", || {
        read(&mut feed);
        source.epoch() == 2
    });
    assert_eq!(known(), (41..=100).collect::<Vec<_>>());
    // A start from checkpoint and segments knows the same.
    let metrics = RemoteMetrics::new(&Registry::new());
    let fresh = Source::new(&dir.path().join("wal"), feed.tip(), Labels::empty(), None, metrics);
    let first = list_segments(&dir.path().join("wal")).unwrap()[0];
    fresh.block(WalPosition { segment: first, offset: 0 }, &mut Follower::default()).unwrap();
    assert_eq!((1..=120).filter(|n| fresh.place(SeriesRef(*n)).is_some()).count(), 60);
}

fn until_blocking(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_from_the_log_is_counted_for_each_consumer() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::new(dir.path(), 10);
    let receiver = Receiver::start(Mode::Accept).await;
    let (remote, registry) = start(dir.path(), feed.tip(), &[config(&receiver)]).await;
    feed.scrapes(7);
    until("all samples", || receiver.has_all(&feed.written)).await;
    assert_eq!(metric(&registry, "prometheus_wal_watcher_records_read_total"), 7.0);
    feed.writer.next_segment().unwrap();
    feed.scrapes(1);
    until("the next segment", || metric(&registry, "prometheus_wal_watcher_current_segment") == 1.0).await;
    remote.stop().await;
}
