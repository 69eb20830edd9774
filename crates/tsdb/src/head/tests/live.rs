//! Labels lent to who follows the log, and what is said of series that left.

use std::time::Duration;

use narthex_storage::{FoundSeries, LiveSeries};

use super::*;

const HOUR: i64 = 3_600_000;

fn visited(db: &Db, series: &[SeriesRef]) -> Vec<String> {
    let mut all = Vec::new();
    db.visit_labels(series, &mut |at, labels| {
        assert_eq!(at, all.len());
        all.push(Labels::from_pairs(labels.iter().copied()).to_string());
    });
    let mut lent = Vec::new();
    db.lend_labels(series, &mut |at, labels, texts| {
        assert_eq!(at, lent.len());
        let text = |number: u32| texts.text(number).to_owned();
        lent.push(
            Labels::from_pairs(labels.iter().map(|(name, value)| (text(name), text(value)))).to_string(),
        );
    });
    assert_eq!(lent, all);
    all
}

#[test]
fn labels_are_lent_while_the_series_is_there_and_a_label_set_that_left_is_known_to_have_been() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = Db::open(dir.path(), options(0, 0), &Registry::new()).unwrap();
    let leaves = put(&db, "__name__=b,x=1", &[(0, 1.0)]);
    let stays = put(&db, "__name__=a,x=1", &[(0, 1.0), (3 * HOUR, 1.0)]);
    let found = |text: &str| db.find(&labels(text));
    let alone = |series| FoundSeries { series: Some(series), had_another: false };
    assert_eq!((found("__name__=b,x=1"), found("__name__=c")), (alone(leaves), FoundSeries::default()));
    let both = [labels("__name__=a,x=1").to_string(), labels("__name__=b,x=1").to_string()];
    assert_eq!(visited(&db, &[stays, leaves]), both);
    assert!(
        db.is_live(leaves) && !db.is_live(SeriesRef(leaves.0 | 1 << 32)) && !db.is_live(SeriesRef(u64::MAX))
    );

    let freed = || {
        let mut freed = 0;
        db.lend_labels(&[stays], &mut |_, _, texts| freed = texts.freed());
        freed
    };
    let before = freed();
    assert!(db.head().truncate(2 * HOUR, Duration::ZERO), "nobody is at work");
    assert_eq!(freed(), before + 1, "the text b, whose number may be given to another");
    assert!(!db.is_live(leaves));
    assert_eq!(visited(&db, &[leaves, stays]), [Labels::empty().to_string(), both[0].clone()]);
    assert_eq!(found("__name__=b,x=1"), FoundSeries { series: None, had_another: true });
    let again = put(&db, "__name__=b,x=1", &[(4 * HOUR, 1.0)]);
    assert_ne!(again, leaves);
    assert_eq!(found("__name__=b,x=1"), FoundSeries { series: Some(again), had_another: true });
    assert_eq!(found("__name__=a,x=1"), alone(stays));
}

#[test]
fn equal_texts_are_the_same_memory_in_one_visit() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = Db::open(dir.path(), options(0, 0), &Registry::new()).unwrap();
    let series = ["a", "b"].map(|name| put(&db, &format!("__name__={name},job=j"), &[(1, 1.0)]));
    let mut seen = Vec::new();
    db.visit_labels(&series, &mut |_, labels| {
        seen.push(labels.iter().map(|(name, value)| (name.as_ptr(), value.as_ptr())).collect::<Vec<_>>());
    });
    assert_eq!((seen[0][1], seen[0][0].0), (seen[1][1], seen[1][0].0));
    assert_ne!(seen[0][0].1, seen[1][0].1);
}
