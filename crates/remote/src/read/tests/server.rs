//! What is answered: exactly the stored samples, in both forms, within the limits.

use super::*;
use crate::read::answer::Received;

#[test]
fn both_forms_are_exactly_what_is_stored_in_the_range() {
    for seed in 0..8 {
        println!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let (db, mut plain) = database(dir.path(), seed);
        if seed % 2 == 1 {
            // Late samples are not deleted, so only a series without any is.
            let series = [narthex_model::Matcher::equal("number", "2")];
            db.delete(1_050_000, 1_100_000, &series).unwrap();
            let two = plain.iter_mut().find(|(labels, _)| labels.contains(r#"number="2""#)).unwrap();
            two.1.retain(|t, _| !(1_050_000..=1_100_000).contains(t));
        }
        let server = ReadServer::new(db, LIMITS, &Registry::new());
        for range in
            [(0, i64::MAX), (1_033_000, 1_200_500), (1_033_500, 1_033_600), (5, 4), (i64::MIN, 1_000_999)]
        {
            let expected = within(&plain, range);
            let (samples, frames) = ask(&server, &body(vec![query(range)], &[SAMPLES]));
            let Answer::Samples(message) = samples else { panic!("{samples:?}") };
            assert!(frames.is_empty());
            assert_eq!(plain_samples(&message), expected, "{range:?}");
            let (streamed, frames) = ask(&server, &body(vec![query(range)], &[7, CHUNKS, SAMPLES]));
            assert_eq!(streamed, Answer::Streamed);
            assert_eq!(plain_chunks(&frames), expected, "{range:?}");
            let received = Received::from_frames(frames, 1 << 20, &[]).unwrap();
            assert_eq!(plain_received(&received), expected, "{range:?}");
            let received = Received::from_message(&message, &[]).unwrap();
            assert_eq!(plain_received(&received), expected, "{range:?}");
        }
    }
}

/// Prometheus intersects what each matcher selects, and of no sets that is nothing.
#[test]
fn a_query_without_matchers_selects_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = database(dir.path(), 1);
    let server = ReadServer::new(db, LIMITS, &Registry::new());
    let all = WireQuery { matchers: Vec::new(), ..query((0, i64::MAX)) };
    let Answer::Samples(message) = ask(&server, &body(vec![all.clone()], &[])).0 else { panic!() };
    assert!(plain_samples(&message).is_empty());
    let (answer, frames) = ask(&server, &body(vec![all], &[CHUNKS]));
    assert!(answer == Answer::Streamed && frames.is_empty());
}

#[test]
fn hints_narrow_the_range_and_a_query_for_series_gets_labels_only() {
    let dir = tempfile::tempdir().unwrap();
    let (db, plain) = database(dir.path(), 1);
    let server = ReadServer::new(db, LIMITS, &Registry::new());
    let hints = WireHints { start_ms: 1_010_000, end_ms: 1_020_000, ..WireHints::default() };
    let hinted = WireQuery { hints: Some(hints.clone()), ..query((0, i64::MAX)) };
    let (_, frames) = ask(&server, &body(vec![hinted], &[CHUNKS]));
    assert_eq!(plain_chunks(&frames), within(&plain, (1_010_000, 1_020_000)));
    let series = WireHints { func: "series".to_owned(), start_ms: 0, end_ms: i64::MAX, ..hints };
    let series = WireQuery { hints: Some(series), ..query((0, i64::MAX)) };
    let Answer::Samples(message) = ask(&server, &body(vec![series.clone()], &[])).0 else { panic!() };
    let names: Plain = plain.keys().map(|labels| (labels.clone(), BTreeMap::new())).collect();
    assert_eq!(plain_samples(&message), names);
    let (_, frames) = ask(&server, &body(vec![series], &[CHUNKS]));
    assert_eq!(plain_received(&Received::from_frames(frames, 1 << 20, &[]).unwrap()), names);
}

#[test]
fn frames_are_about_as_large_as_they_may_be_and_hold_one_series_of_one_query() {
    let dir = tempfile::tempdir().unwrap();
    let (db, plain) = database(dir.path(), 3);
    for max_frame_bytes in [-1, 60, 500, 100_000] {
        let server = ReadServer::new(
            Arc::clone(&db) as _,
            ReadOptions { max_frame_bytes, ..LIMITS },
            &Registry::new(),
        );
        let all = query((0, i64::MAX));
        let (_, stream) = ask(&server, &body(vec![all.clone(), all.clone(), all], &[CHUNKS]));
        let frames = slow_frames(&stream);
        assert!(frames.is_sorted_by_key(|frame| frame.query));
        for number in 0..3 {
            let of_query: Vec<_> = frames.iter().filter(|frame| frame.query == number).collect();
            let labels: Vec<_> = of_query.iter().map(|frame| labels_text(&frame.series[0].labels)).collect();
            let mut unique = labels.clone();
            unique.dedup();
            assert!(unique.iter().eq(plain.keys()), "sorted, series behind series");
        }
        for series in frames.iter().flat_map(|frame| &frame.series) {
            let before_last = series.chunks[..series.chunks.len() - 1].iter();
            let bytes: usize = before_last.map(prost::Message::encoded_len).sum();
            assert!(bytes == 0 || bytes as i64 <= max_frame_bytes, "{bytes} of {max_frame_bytes}");
        }
    }
}

#[test]
fn external_labels_are_added_and_asked_for_as_absent() {
    let dir = tempfile::tempdir().unwrap();
    let (db, plain) = database(dir.path(), 4);
    let server = ReadServer::new(db, LIMITS, &Registry::new());
    server.set_external_labels(&Labels::from_pairs([("job", "other"), ("region", "eu")]));
    let ask_for = |matchers: Vec<WireMatcher>| {
        let body = body(vec![WireQuery { matchers, ..query((0, i64::MAX)) }], &[]);
        let Answer::Samples(message) = ask(&server, &body).0 else { panic!() };
        plain_samples(&message).into_keys().collect::<Vec<_>>()
    };
    let named = || matcher(0, "__name__", "m");
    let expected: Vec<String> = plain.keys().map(|labels| labels.replace('}', r#", region="eu"}"#)).collect();
    assert_eq!(ask_for(vec![named(), matcher(0, "region", "eu")]), expected, "the stored job stays");
    assert!(ask_for(vec![named(), matcher(0, "region", "us")]).is_empty());
    assert!(
        ask_for(vec![named(), matcher(2, "region", "eu|us")]).is_empty(),
        "only equality is seen through"
    );
}

#[test]
fn too_many_samples_are_refused_but_may_be_streamed() {
    let dir = tempfile::tempdir().unwrap();
    let (db, plain) = database(dir.path(), 5);
    let count = plain.values().map(BTreeMap::len).sum::<usize>() as u64;
    for (max_samples, fits) in [(count, true), (count - 1, false), (0, true)] {
        let server =
            ReadServer::new(Arc::clone(&db) as _, ReadOptions { max_samples, ..LIMITS }, &Registry::new());
        let (answer, _) = ask(&server, &body(vec![query((0, i64::MAX))], &[SAMPLES]));
        match fits {
            true => assert!(matches!(answer, Answer::Samples(_))),
            false => {
                let reason = format!("exceeded sample limit ({max_samples})");
                assert_eq!(answer, Answer::Refused(http::StatusCode::BAD_REQUEST, reason));
            }
        }
        assert_eq!(ask(&server, &body(vec![query((0, i64::MAX))], &[CHUNKS])).0, Answer::Streamed);
    }
}

#[tokio::test]
async fn only_so_many_read_at_a_time_and_who_goes_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), DbOptions::default(), &Registry::new()).unwrap();
    let registry = Registry::new();
    let server = ReadServer::new(db, ReadOptions { max_concurrent: 1, ..LIMITS }, &registry);
    let first = server.enter().await;
    let mut second = std::pin::pin!(server.enter());
    let waits =
        std::future::poll_fn(|context| std::task::Poll::Ready(second.as_mut().poll(context).is_pending()));
    assert!(waits.await);
    let queries = || registry.gather().iter().map(|family| format!("{family:?}")).collect::<String>();
    assert!(queries().contains("2.0"), "the one that waits counts: {}", queries());
    drop(first);
    drop(second.await);
    assert!(!queries().contains("2.0") && !queries().contains("1.0"), "{}", queries());
}

#[test]
fn a_client_that_is_gone_ends_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = database(dir.path(), 6);
    let server = ReadServer::new(db, LIMITS, &Registry::new());
    let mut frames = 0;
    let answer = server.read(&body(vec![query((0, i64::MAX))], &[CHUNKS]), &mut |_| {
        frames += 1;
        false
    });
    assert!(matches!(answer, Answer::Refused(..)) && frames == 1);
}
