//! The verdict must be able to fail: each fault, made on purpose, is found and nothing else is.

use crate::ledger::{End, Ledger};
use crate::verdict::{Counts, Report, Samples, compare};
use crate::wire::Sent;

const SERIES: &str = "{__name__=\"loss_total\"}";

fn sent(samples: &[i64]) -> Vec<Sent> {
    let samples = samples.iter().map(|t| (*t, *t as f64)).collect();
    vec![Sent { series: SERIES.to_owned(), samples, exemplars: Vec::new(), histograms: 0 }]
}

/// Requests as `(life, times, told)`.
fn ledger(requests: &[(usize, &[i64], bool)]) -> Ledger {
    let mut ledger = Ledger::default();
    for (life, samples, told) in requests {
        let number = ledger.take(*life, sent(samples));
        if *told {
            ledger.told(number);
        }
    }
    ledger
}

fn committed(times: &[i64]) -> Samples {
    Samples::from([(SERIES.to_owned(), times.iter().map(|t| (*t, *t as f64)).collect())])
}

/// Reordered, overtaken, without excuse, after a kill, untold.
#[track_caller]
fn check(requests: &[(usize, &[i64], bool)], ends: &[End], expected: [u64; 5]) {
    let Counts { reordered, overtaken, unexcused, again_after_kill, again_untold, .. } =
        ledger(requests).counts(ends);
    let found = [reordered.number, overtaken.number, unexcused.number, again_after_kill, again_untold];
    assert_eq!(found, expected);
}

#[test]
fn order_and_duplicates_are_judged_by_what_the_sender_could_know() {
    use End::{InOrder, Killed};
    check(&[(0, &[1, 2], true), (0, &[3], true)], &[], [0, 0, 0, 0, 0]);
    // Two swapped, in one life and over two.
    check(&[(0, &[1, 3], true), (0, &[2], true)], &[], [1, 1, 0, 0, 0]);
    check(&[(0, &[1, 3], true), (1, &[2], true)], &[Killed], [1, 0, 0, 0, 0]);
    // Swapped within a request.
    check(&[(0, &[1, 3, 2], true)], &[], [1, 0, 0, 0, 0]);
    // Again after a withheld answer; again without need.
    check(&[(0, &[1, 2], false), (0, &[1, 2], true)], &[], [0, 0, 0, 0, 2]);
    check(&[(0, &[1, 2], true), (0, &[1, 2], true)], &[], [0, 1, 2, 0, 0]);
    check(&[(0, &[1, 2], false), (0, &[1, 2, 3], true)], &[], [0, 0, 0, 0, 2]);
    // Again after the answer was withheld, but later ones went ahead.
    check(&[(0, &[1], false), (0, &[2], true), (0, &[1], true)], &[], [0, 1, 0, 0, 1]);
    // A request that names a series twice, as those with histograms do, comes again.
    let mut twice = Ledger::default();
    twice.take(0, [sent(&[1]), sent(&[2])].concat());
    twice.take(0, [sent(&[1]), sent(&[2])].concat());
    assert_eq!((twice.counts(&[]).overtaken.number, twice.counts(&[]).again_untold), (0, 2));
    // Again in another life: a kill excuses it, an orderly end only when nothing was told.
    check(&[(0, &[1, 2], true), (1, &[2, 3], true)], &[Killed], [0, 0, 0, 1, 0]);
    check(&[(0, &[1, 2], true), (1, &[2, 3], true)], &[InOrder], [0, 0, 1, 0, 0]);
    check(&[(0, &[1, 2], false), (1, &[2, 3], true)], &[InOrder], [0, 0, 0, 0, 1]);
    // A kill long after a sample had been told and a life had ended in order excuses nothing.
    check(&[(0, &[1], true), (1, &[2], true), (2, &[1], true)], &[InOrder, Killed], [0, 0, 1, 0, 0]);
}

#[test]
fn a_sample_that_comes_again_with_another_value_is_found() {
    let mut ledger = ledger(&[(0, &[1, 2], false)]);
    let mut other = sent(&[1, 2]);
    other[0].samples[1].1 = 7.0;
    ledger.take(0, other);
    assert_eq!(ledger.counts(&[]).changed.number, 1);
}

/// Missing, made up, with another value, series that fall, dropped.
#[track_caller]
fn check_difference(committed: &Samples, arrived: &Samples, expected: [u64; 5]) {
    let found = compare(committed, arrived, 0.0, Some("loss_optional"));
    let numbers = [
        found.missing.number,
        found.made_up.number,
        found.other_value.number,
        found.not_rising.number,
        found.dropped,
    ];
    assert_eq!(numbers, expected);
    let faults = expected[..4].iter().any(|number| *number > 0);
    let report = Report {
        title: String::new(),
        done: std::collections::BTreeMap::new(),
        difference: found,
        counts: Some(Counts::default()),
    };
    assert_eq!(report.is_clean(), !faults, "{report}");
    assert_eq!(report.to_string().contains("FAULT"), faults, "{report}");
}

#[test]
fn what_is_missing_or_made_up_or_changed_is_found() {
    let five = committed(&[1, 2, 3, 4, 5]);
    check_difference(&five, &ledger(&[(0, &[1, 2], true), (0, &[3, 4, 5], true)]).samples(), [0; 5]);
    check_difference(&five, &committed(&[1, 2, 4, 5]), [1, 0, 0, 0, 0]);
    check_difference(&five, &Samples::new(), [5, 0, 0, 0, 0]);
    check_difference(&committed(&[1, 2]), &committed(&[1, 2, 3]), [0, 1, 0, 0, 0]);
    let swapped = Samples::from([(SERIES.to_owned(), vec![(1, 2.0), (2, 1.0), (3, f64::NAN)])]);
    let right = Samples::from([(SERIES.to_owned(), vec![(1, 1.0), (2, 2.0), (3, f64::NAN)])]);
    check_difference(&right, &right.clone(), [0; 5]);
    check_difference(&right, &swapped, [0, 0, 2, 1, 0]);
    let difference = compare(&five, &five, 0.0, None);
    let mut counts = Counts::default();
    counts.unexcused.note(String::new);
    let counts = Some(counts);
    let report = Report { title: String::new(), done: std::collections::BTreeMap::new(), difference, counts };
    assert!(!report.is_clean() && report.to_string().contains("FAULT"), "{report}");
    let optional = |times: &[i64]| {
        Samples::from([("{__name__=\"loss_optional\"}".to_owned(), committed(times)[SERIES].clone())])
    };
    check_difference(&optional(&[1, 2, 3]), &optional(&[1, 3]), [0, 0, 0, 0, 1]);
    assert_eq!(compare(&optional(&[1, 2, 3]), &optional(&[1, 3]), 0.0, None).missing.number, 1);
}
