//! Random requests against the plain message.

use std::collections::HashMap;

use narthex_model::Labels;
use proptest::prelude::*;

use super::*;

/// A head whose numbers are made up as texts come.
#[derive(Default)]
struct Head {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
    freed: u64,
}

impl Head {
    fn number(&mut self, text: &str) -> u32 {
        *self.numbers.entry(text.to_owned()).or_insert_with(|| {
            self.texts.push(text.to_owned());
            self.texts.len() as u32 - 1
        })
    }

    fn numbers(&mut self, labels: &[(String, String)]) -> (Vec<u32>, Vec<u32>) {
        labels.iter().map(|(name, value)| (self.number(name), self.number(value))).unzip()
    }

    /// All numbers stand for other texts.
    fn shuffle(&mut self) {
        self.texts.clear();
        self.numbers.clear();
        self.number(&format!("freed {}", self.freed));
        self.freed += 1;
    }
}

impl NumberedTexts for Head {
    fn text(&self, number: u32) -> &str {
        &self.texts[number as usize]
    }

    fn freed(&self) -> u64 {
        self.freed
    }
}

#[derive(Clone, Debug)]
struct Given {
    labels: Vec<(String, String)>,
    samples: Vec<(i64, f64)>,
    /// Instead of samples.
    member: Option<Vec<u8>>,
    shuffle: bool,
}

/// Packs the series, and says how long the block is.
#[track_caller]
fn check(packed: &mut Packed, series: &[Given], external: &Labels) -> usize {
    let (mut head, mut plain) = (Head::default(), Vec::new());
    packed.clear();
    for one in series {
        if one.shuffle {
            head.shuffle();
        }
        let (names, values) = head.numbers(&one.labels);
        packed.begin(LentLabels { names: &names, values: &values }, &head, external);
        match &one.member {
            Some(member) => packed.end_with_member(4, member),
            None => packed.end_with_samples(&one.samples, |sample| *sample),
        }

        let own = one.labels.iter().map(|(name, value)| (&**name, &**value));
        let added = external.iter().filter(|(name, _)| one.labels.iter().all(|(own, _)| own != name));
        let (mut all, mut fields): (Vec<_>, _) = (own.chain(added).collect(), Vec::new());
        all.sort_unstable();
        all.iter().for_each(|(name, value)| wire::put_label(&mut fields, name, value));
        match &one.member {
            Some(member) => wire::put_bytes(&mut fields, 4, member),
            None => one.samples.iter().for_each(|(t_ms, value)| wire::put_sample(&mut fields, *t_ms, *value)),
        }
        wire::put_bytes(&mut plain, 1, &fields);
    }
    let block = packed.finish();
    let raw = snap::raw::Decoder::new().decompress_vec(block).unwrap();
    assert!(raw == plain, "the block stands for another message");
    block.len()
}

fn pair(name: &str, value: impl std::fmt::Display) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn one(labels: Vec<(String, String)>) -> Given {
    Given { labels, samples: vec![(1_700_000_000_000, 0.1)], member: None, shuffle: false }
}

/// Families over the same pods, as of a target.
fn target(families: usize, pods: usize) -> Vec<Given> {
    let series = |family: usize, pod: usize| {
        let id = format!("{:032x}", pod.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        one(vec![
            pair("__name__", format!("family_{family}")),
            pair("id", id),
            pair("job", "j"),
            pair("pod", pod),
        ])
    };
    (0..families).flat_map(|family| (0..pods).map(move |pod| series(family, pod))).collect()
}

#[test]
fn what_repeats_costs_a_few_bytes() {
    let (mut packed, external) = (Packed::default(), Labels::from_pairs([("cluster", "c"), ("zone", "z")]));
    let all = check(&mut packed, &target(20, 50), &external);
    let first = check(&mut packed, &target(1, 50), &external);
    let each = (all - first) / 950;
    assert!(each <= 40, "{each} bytes for each series whose labels were there before, 20 of them its sample");
}

#[test]
fn what_is_too_far_or_too_much_to_remember_is_written_again() {
    let mut packed = Packed::default();
    for pods in [300, 1500] {
        check(&mut packed, &target(4, pods), &Labels::empty());
    }
    let short: Vec<_> = (0..6000).map(|n| one(vec![pair("a", n % 3000), pair("b", n % 5000)])).collect();
    check(&mut packed, &short, &Labels::empty());
    let long: Vec<_> = (0..9)
        .map(|n| one(vec![pair("a", "x".repeat(30_000)), pair("b", n % 2), pair("c", "y".repeat(40_000))]))
        .collect();
    check(&mut packed, &long, &Labels::from_pairs([("b", "z"), ("d", "z")]));
}

#[test]
fn freed_numbers_are_not_taken_for_what_they_were() {
    let mut packed = Packed::default();
    let series = |n: u32, shuffle| Given { shuffle, ..one(vec![pair("a", n), pair("b", n)]) };
    check(
        &mut packed,
        &[series(1, false), series(2, true), series(1, true), series(1, false)],
        &Labels::empty(),
    );
    // The next request's head freed nothing, and gives the same numbers to other texts than the first.
    check(&mut packed, &[series(7, false), series(8, false)], &Labels::empty());
}

#[test]
fn numbers_of_labels_begin_anew_before_they_end() {
    let mut packed = Packed::default();
    for next in [u32::MAX / 2 - 100, u32::MAX / 2 + 1] {
        packed.seen.leap(next);
        check(&mut packed, &target(5, 20), &Labels::empty());
        check(&mut packed, &target(5, 20), &Labels::empty());
    }
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec!["__name__", "a", "b", "cluster", "le", "z"]);
    let value = prop_oneof![4 => (0..4u32).prop_map(|n| n.to_string()), 1 => "\\PC{0,80}"];
    prop::collection::btree_map(name, value, 0..6)
        .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

proptest! {
    #[test]
    fn the_block_stands_for_the_message_that_is_written_plainly(
        series in prop::collection::vec(
            (labels(), prop::collection::vec((prop_oneof![Just(7i64), any::<i64>()], any::<f64>()), 0..3), prop::option::weighted(0.1, prop::collection::vec(any::<u8>(), 0..90)), prop::bool::weighted(0.03)),
            0..60,
        ),
        external in labels(),
    ) {
        let series: Vec<_> = series
            .into_iter()
            .map(|(labels, samples, member, shuffle)| Given { labels, samples, member, shuffle })
            .collect();
        let external = Labels::from_pairs(external.iter().map(|(name, value)| (&**name, &**value)));
        check(&mut Packed::default(), &series, &external);
    }
}
