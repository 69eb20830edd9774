//! Stores through crashes, old versions and hands.

use std::collections::HashMap;
use std::sync::Arc;

use super::edit::Fate;
use super::*;

const REFUSAL: Refusal<'_> = Refusal { at_ms: 5, status: 400, reason: "out of order" };

fn open(dir: &Path) -> DeadLetters {
    let origin = Origin { name: "one".into(), url: "http://a/".into() };
    DeadLetters::open(dir, "abc", origin, 64 * 1000).unwrap()
}

fn keep(letters: &DeadLetters, times: impl IntoIterator<Item = i64>) {
    let mut labels = Vec::new();
    crate::wire::put_label(&mut labels, "__name__", "up");
    for t_ms in times {
        letters.keep(&labels, Refused::Sample { t_ms, value: 1.5, start_ms: 0 }, REFUSAL).unwrap();
    }
}

/// Number and timestamp of each letter.
fn held(letters: &DeadLetters) -> Vec<(u64, i64)> {
    let mut held = Vec::new();
    letters
        .each(0, |letter| {
            held.push((letter.id, letter.content.t_ms().unwrap()));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    held
}

fn summary(letters: &DeadLetters) -> LetterSummary {
    summaries(&letters.dir).unwrap().remove(0).1
}

fn numbered(range: std::ops::Range<i64>) -> Vec<(u64, i64)> {
    range.map(|t_ms| (t_ms as u64 + 1, t_ms)).collect()
}

fn newest(dir: &Path) -> PathBuf {
    files::stores(dir).unwrap()["abc"].last().unwrap().path.clone()
}

#[test]
fn the_bound_holds_and_what_went_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let letters = open(dir.path());
    keep(&letters, 0..2000);
    let totals = letters.totals();
    let on_disk: u64 = files::stores(dir.path()).unwrap()["abc"].iter().map(|file| file.bytes).sum();
    assert!(totals.bytes <= 64_000 && totals.bytes > 60_000, "{totals:?}");
    assert_eq!((on_disk, totals.letters + totals.evicted), (totals.bytes, 2000));
    let held = held(&letters);
    assert_eq!(held, numbered(totals.evicted as i64..2000), "the newest stay, with their numbers");
    assert_eq!(open(dir.path()).totals().letters, totals.letters);
}

/// A crash in the middle of a write left half a line; the letter after it was unreadable.
#[test]
fn a_letter_that_was_torn_is_cut_off_and_the_next_one_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    keep(&open(dir.path()), 0..3);
    let path = newest(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let third = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in third..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let letters = open(dir.path());
        // The line end alone may be what is missing.
        let left = if cut >= whole.len() - 1 { 3 } else { 2 };
        assert_eq!(held(&letters), numbered(0..left), "cut at {cut}");
        keep(&letters, [left]);
        assert_eq!(held(&open(dir.path())), numbered(0..left + 1), "cut at {cut}");
    }
}

#[test]
fn files_of_the_first_version_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let line = |t_ms: i64| {
        format!(
            "{{\"labels\":{{\"__name__\":\"up\"}},\"reason\":\"r\",\"samples\":[[{t_ms},\"1\"]],\"status\":400,\"time_ms\":9}}\n"
        )
    };
    for (name, times) in [("abc.dead.jsonl", 6..9), ("abc.dead.1.jsonl", 3..6), ("abc.dead.2.jsonl", 0..3)] {
        std::fs::write(dir.path().join(name), times.map(line).collect::<String>()).unwrap();
    }
    let mut before = Vec::new();
    let look = |letter: DeadLetter| {
        before.push((letter.id, letter.content.t_ms().unwrap()));
        std::ops::ControlFlow::Continue(())
    };
    summary::each(dir.path(), "abc", look).unwrap();
    let letters = open(dir.path());
    keep(&letters, 9..11);
    assert_eq!(
        (held(&letters), before),
        (numbered(0..11), numbered(0..9)),
        "numbers are those that were shown before"
    );
    assert!(files::stores(dir.path()).unwrap()["abc"].iter().all(|file| !file.old));
}

#[test]
fn what_a_hand_wrote_stays_and_letters_around_it_are_read() {
    let dir = tempfile::tempdir().unwrap();
    keep(&open(dir.path()), 0..2);
    let path = newest(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let junk = "\n{\"labels\": 3}\nnot JSON\n";
    std::fs::write(&path, format!("{text}{junk}{}", text.lines().last().unwrap())).unwrap();
    let letters = open(dir.path());
    assert_eq!(held(&letters), [(1, 0), (2, 1), (3, 1)], "a double gets a number of its own");
    assert_eq!(summary(&letters).unreadable, 2);
    assert_eq!(letters.drop_letters(|letter| letter.id == 2).unwrap(), Some(1));
    assert_eq!((held(&letters), summary(&letters).unreadable), (vec![(1, 0), (3, 1)], 2));
    letters.drop_letters(|_| true).unwrap();
    assert!(std::fs::read_to_string(path).unwrap().contains("not JSON"));
}

#[test]
fn numbers_are_never_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let letters = open(dir.path());
    keep(&letters, 0..30);
    assert_eq!(letters.drop_letters(|_| true).unwrap(), Some(30));
    assert_eq!(letters.totals().letters, 0);
    drop(letters);
    let letters = open(dir.path());
    keep(&letters, 30..32);
    assert_eq!(held(&letters), numbered(30..32));
    assert_eq!(summary(&letters).name, "one");
}

#[test]
fn letters_that_come_while_others_leave_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let letters = Arc::new(open(dir.path()));
    keep(&letters, 0..20);
    let edit = letters.edit().unwrap().unwrap();
    assert!(letters.edit().unwrap().is_none(), "one at a time");
    let writer = std::thread::spawn({
        let letters = Arc::clone(&letters);
        move || keep(&letters, 20..60)
    });
    for first in &edit.files {
        let reason: Arc<str> = "still".into();
        let fate = |id: u64| match id % 3 {
            0 => Some((id, Fate::Gone)),
            1 => Some((id, Fate::RefusedAgain { status: 422, reason: Arc::clone(&reason), at_ms: 77 })),
            _ => None,
        };
        let found = edit.letters(*first).unwrap();
        edit.settle(*first, &found.iter().filter_map(|letter| fate(letter.id)).collect()).unwrap();
    }
    writer.join().unwrap();
    drop(edit);
    let expected: Vec<_> = numbered(0..60).into_iter().filter(|(id, _)| *id > 20 || id % 3 != 0).collect();
    assert_eq!(held(&letters), expected);
    let reasons = summary(&letters).reasons;
    let counts: Vec<_> =
        reasons.iter().map(|r| (r.status, &*r.reason, r.letters, r.last_refused_ms)).collect();
    assert_eq!(counts, [(400, "out of order", 47, 5), (422, "still", 7, 77)]);
    assert_eq!(held(&open(dir.path())), expected);
}

#[test]
fn an_edit_of_a_file_that_went_meanwhile_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let letters = open(dir.path());
    keep(&letters, 0..5);
    let edit = letters.edit().unwrap().unwrap();
    let first = edit.files[0];
    keep(&letters, 5..2000);
    assert!(edit.letters(first).unwrap().is_empty());
    edit.settle(first, &HashMap::from([(1, Fate::Gone)])).unwrap();
    assert!(!dir.path().join(file_name("abc", first)).exists());
}
