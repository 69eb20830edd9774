//! Cardinality: counts by name, value and label, with what came and went.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{Cardinality, CardinalityOrder, CardinalityRequest, SeriesCounts};

/// Minutes, in ms.
const MIN: i64 = 60_000;

fn counts(series: u64, quiet: u64, created: u64, ended: u64) -> SeriesCounts {
    SeriesCounts { series, quiet, created, ended }
}

fn ask(db: &Db, since_ms: i64, selectors: &[Vec<Matcher>], labels: &[&str], limit: usize) -> Cardinality {
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    let order = CardinalityOrder::Series;
    db.cardinality(&CardinalityRequest { selectors, since_ms, labels: &labels, limit, order })
}

/// `up` of three jobs: one goes on, one stopped long ago, one began and stopped lately; `x` is new and ends by a marker.
fn some(dir: &Path) -> Arc<Db> {
    let db = open(dir);
    let every_minute = |from, to| (from..=to).map(|m| (m * MIN, 1.0)).collect::<Vec<_>>();
    put(&db, "__name__=up,job=goes-on", &every_minute(0, 60));
    put(&db, "__name__=up,job=long-ago", &every_minute(0, 20));
    put(&db, "__name__=up,job=lately", &every_minute(40, 50));
    put(&db, "__name__=x,job=lately,pod=p", &every_minute(59, 59));
    let mut appender = db.appender();
    let x = appender.resolve(&labels("__name__=x,job=lately,pod=p")).unwrap();
    appender.append_stale(x, 60 * MIN).unwrap();
    appender.commit().unwrap();
    db
}

#[test]
fn what_came_and_went_is_told_by_metric_name_and_value() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = some(dir.path());
    let found = ask(&db, 30 * MIN, &[], &["none", "job"], 10);
    assert_eq!((found.since_ms, found.total), (30 * MIN, counts(4, 3, 2, 2)));
    assert_eq!((found.created_total, found.removed_total), (4, 0));
    let metrics = [("up".to_owned(), counts(3, 2, 1, 1)), ("x".to_owned(), counts(1, 1, 1, 1))];
    assert_eq!(found.by_metric, metrics);
    let mut names = found.by_label_name;
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let all = counts(4, 3, 2, 2);
    let expected = [("__name__", 2, all), ("job", 3, all), ("pod", 1, counts(1, 1, 1, 1))]
        .map(|(n, v, c)| (n.to_owned(), v, c));
    assert_eq!(names, expected);
    assert_eq!(found.by_value[0], ("none".to_owned(), vec![]));
    let (label, mut values) = found.by_value[1].clone();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    let expected =
        [("goes-on", counts(1, 0, 0, 0)), ("lately", counts(2, 2, 2, 2)), ("long-ago", counts(1, 1, 0, 0))];
    assert_eq!((label.as_str(), values), ("job", expected.map(|(v, c)| (v.to_owned(), c)).to_vec()));
}

#[test]
fn selectors_limits_and_orders_narrow_it() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = some(dir.path());
    let found = ask(&db, 30 * MIN, &[vec![matcher("job=lately")], vec![matcher("pod=p")]], &["__name__"], 1);
    assert_eq!(found.total, counts(2, 2, 2, 2));
    assert_eq!((found.by_metric.len(), found.by_label_name.len(), found.by_value[0].1.len()), (1, 1, 1));
    let request =
        |order, limit| CardinalityRequest { selectors: &[], since_ms: 30 * MIN, labels: &[], limit, order };
    let by_metric = |order| db.cardinality(&request(order, 1)).by_metric[0].0.clone();
    assert_eq!(by_metric(CardinalityOrder::Quiet), "up");
    assert!(db.cardinality(&request(CardinalityOrder::Ended, 0)).by_metric.is_empty());
    let nothing = ask(&db, 30 * MIN, &[vec![matcher("job=none")]], &["job"], 10);
    assert_eq!(
        (nothing.total, nothing.by_metric.len(), nothing.by_label_name.len()),
        (counts(0, 0, 0, 0), 0, 0)
    );
}

/// All series would count as new if memory began after the time that was asked for.
#[test]
fn nothing_counts_as_new_because_memory_begins_there() {
    let dir = crate::scratch::tempdir().unwrap();
    let db = some(dir.path());
    let found = ask(&db, -1, &[], &[], 10);
    assert_eq!((found.since_ms, found.total.created), (5 * MIN, 2));
    let empty = crate::scratch::tempdir().unwrap();
    let found = ask(&open(empty.path()), 30 * MIN, &[], &["job"], 10);
    assert_eq!(found.total, counts(0, 0, 0, 0));
}

#[test]
fn random_series_are_counted_as_one_would_by_hand() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let dir = crate::scratch::tempdir().unwrap();
    let db = open(dir.path());
    let mut plain: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    put(&db, "__name__=begin", &[(0, 1.0), (60 * MIN, 1.0)]);
    plain.insert("__name__=begin".to_owned(), (0, 60 * MIN));
    // More values than are counted under one lock.
    for i in 0..2_500 {
        let series = format!("__name__=m{},id={i},job=j{}", chance.u8(..40), chance.u8(..5));
        let from = chance.i64(1..60);
        let to = chance.i64(from..=60);
        put(&db, &series, &[(from * MIN, 1.0), (to * MIN + 1, 1.0)]);
        plain.insert(series, (from * MIN, to * MIN + 1));
    }
    let since_ms = 25 * MIN;
    let newest_ms = plain.values().map(|(_, last)| *last).max().unwrap();
    for selector in ["job=~.*", "job=j1", "id=~1.*"] {
        let matcher = matcher(selector);
        let mut expected: BTreeMap<String, SeriesCounts> = BTreeMap::new();
        let (mut total, mut ids) = (counts(0, 0, 0, 0), BTreeSet::new());
        for (text, (first_ms, last_ms)) in &plain {
            let labels = labels(text);
            if !matcher.matches(labels.value(&matcher.name)) {
                continue;
            }
            let quiet = *last_ms < newest_ms - 5 * MIN;
            let one = counts(
                1,
                u64::from(quiet),
                u64::from(*first_ms >= since_ms),
                u64::from(quiet && *last_ms >= since_ms),
            );
            for sum in [expected.entry(labels.value("__name__").to_owned()).or_default(), &mut total] {
                *sum = counts(
                    sum.series + one.series,
                    sum.quiet + one.quiet,
                    sum.created + one.created,
                    sum.ended + one.ended,
                );
            }
            ids.extend(labels.get("id").map(str::to_owned));
        }
        let found = ask(&db, since_ms, &[vec![matcher]], &[], 10_000);
        assert_eq!(found.total, total, "{selector}");
        assert_eq!(found.by_metric.into_iter().collect::<BTreeMap<_, _>>(), expected, "{selector}");
        let id = found.by_label_name.iter().find(|(name, ..)| name == "id").unwrap();
        assert_eq!(id.1, ids.len() as u64, "{selector}");
    }
}
