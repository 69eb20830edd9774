//! The cache against its plain twin: a map from lines to series, and a set of live series.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

/// Every line is looked up in a map; series are numbered as they come. `label` is what a line means: two lines may be the same series.
#[derive(Default)]
struct Plain {
    known: HashMap<String, u64>,
    live: BTreeSet<u64>,
}

/// Two spellings of one series differ only in a final `'`.
fn series_of(line: &str, numbers: &mut BTreeMap<String, u64>) -> u64 {
    let next = numbers.len() as u64 + 1;
    *numbers.entry(line.trim_end_matches('\'').to_owned()).or_insert(next)
}

impl Plain {
    fn scrape(
        &mut self,
        body: &[String],
        good: bool,
        numbers: &mut BTreeMap<String, u64>,
    ) -> (Vec<String>, BTreeSet<u64>) {
        let mut story = Vec::new();
        let mut seen = BTreeSet::new();
        let mut now = BTreeSet::new();
        let mut fresh = HashMap::new();
        for line in body {
            let series = series_of(line, numbers);
            let word = if !seen.insert(line.clone()) {
                "again"
            } else if self.known.contains_key(line) {
                "known"
            } else {
                "new"
            };
            fresh.insert(line.clone(), series);
            now.insert(series);
            story.push(format!("{word} {series}"));
        }
        if !good {
            return (story, std::mem::take(&mut self.live));
        }
        self.known = fresh;
        let stale = self.live.difference(&now).copied().collect();
        self.live = now;
        (story, stale)
    }
}

fn scrape(
    cache: &mut SeriesCache,
    hint: &mut Hint,
    body: &[String],
    good: bool,
    numbers: &mut BTreeMap<String, u64>,
) -> (Vec<String>, BTreeSet<u64>) {
    let mut story = Vec::new();
    let mut pass = cache.pass(hint);
    for line in body {
        let as_hinted = pass.hint() == line.as_bytes();
        let (word, at) = match pass.place(line.as_bytes(), as_hinted) {
            Place::New => {
                let series = SeriesRef(series_of(line, numbers));
                ("new", pass.add(line.as_bytes(), Slot::resolved(series)))
            }
            Place::Known(at) => ("known", at),
            Place::Again(at) => ("again", at),
        };
        story.push(format!("{word} {}", pass.slot(at).series().unwrap().0));
        if word != "again" {
            pass.slot(at).set_taken();
            pass.set_tracked(at, true);
        }
    }
    let mut stale = Vec::new();
    if good {
        pass.finish(&mut stale);
    } else {
        pass.abandon(&mut stale);
    }
    let unique: BTreeSet<u64> = stale.iter().map(|s| s.0).collect();
    (story, unique)
}

proptest! {
    #[test]
    fn any_row_of_bodies_is_told_as_the_plain_twin_tells_it(
        bodies in prop::collection::vec((prop::collection::vec("[abc]{1,2}'?", 0..12), prop::bool::weighted(0.8)), 1..12),
    ) {
        let (mut cache, mut hint, mut plain) = (SeriesCache::default(), Hint::default(), Plain::default());
        let mut numbers = BTreeMap::new();
        for (body, good) in bodies {
            let expected = plain.scrape(&body, good, &mut numbers);
            let got = scrape(&mut cache, &mut hint, &body, good, &mut numbers);
            prop_assert_eq!(got, expected, "{:?}", body);
        }
    }
}

#[track_caller]
fn check(bodies: &[(&str, &str, &[u64])]) {
    let (mut cache, mut hint) = (SeriesCache::default(), Hint::default());
    let mut numbers = BTreeMap::new();
    for (body, story, stale) in bodies {
        let lines: Vec<String> = body.split_whitespace().map(str::to_owned).collect();
        let (got, ended) = scrape(&mut cache, &mut hint, &lines, true, &mut numbers);
        assert_eq!((got.join(", "), ended), ((*story).to_owned(), stale.iter().copied().collect()), "{body}");
    }
}

#[test]
fn lines_that_come_go_or_move_are_found() {
    check(&[
        ("a b c", "new 1, new 2, new 3", &[]),
        ("a b c", "known 1, known 2, known 3", &[]),
        ("a x b c", "known 1, new 4, known 2, known 3", &[]),
        ("a c", "known 1, known 3", &[2, 4]),
        ("c a", "known 3, known 1", &[]),
        ("c", "known 3", &[1]),
        ("c a c", "known 3, new 1, again 3", &[]),
        ("c a c", "known 3, known 1, again 3", &[]),
        ("c' a", "new 3, known 1", &[]),
    ]);
}

#[test]
fn a_failed_pass_forgets_what_it_taught_and_ends_every_series() {
    let (mut cache, mut hint, mut numbers) = (SeriesCache::default(), Hint::default(), BTreeMap::new());
    let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    scrape(&mut cache, &mut hint, &lines("a b"), true, &mut numbers);
    let (_, stale) = scrape(&mut cache, &mut hint, &lines("a x"), false, &mut numbers);
    assert_eq!(stale, [1, 2].into());
    let (story, stale) = scrape(&mut cache, &mut hint, &lines("a b x"), true, &mut numbers);
    assert_eq!((story.join(", "), stale), ("known 1, known 2, new 3".to_owned(), [].into()));
}

#[test]
fn after_relearning_every_line_is_new_and_only_lost_series_end() {
    let (mut cache, mut hint, mut numbers) = (SeriesCache::default(), Hint::default(), BTreeMap::new());
    let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    scrape(&mut cache, &mut hint, &lines("a b"), true, &mut numbers);
    cache.relearn();
    let (story, stale) = scrape(&mut cache, &mut hint, &lines("b c"), true, &mut numbers);
    assert_eq!((story.join(", "), stale), ("new 2, new 3".to_owned(), [1].into()));
    let (story, _) = scrape(&mut cache, &mut hint, &lines("b c"), true, &mut numbers);
    assert_eq!(story.join(", "), "known 2, known 3");
}

#[test]
fn a_thousand_usual_lines_cost_less_than_sixty_bytes_each() {
    let (mut cache, mut hint, mut numbers) = (SeriesCache::default(), Hint::default(), BTreeMap::new());
    let line = |i: usize| {
        let (code, method) = ([200, 404, 500][i % 3], ["GET", "POST"][i / 3 % 2]);
        format!(
            "http_requests_total{{handler=\"/api/v1/handler_{:04}\",method=\"{method}\",code=\"{code}\"}}",
            i / 6
        )
    };
    let lines: Vec<String> = (0..1000).map(line).collect();
    scrape(&mut cache, &mut hint, &lines, true, &mut numbers);
    let bytes = cache.heap_bytes();
    assert!(bytes < 40_000, "{bytes} bytes for 1000 lines of {} bytes", lines[0].len());
}
