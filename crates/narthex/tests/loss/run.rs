//! A run: the sender scrapes and ships for a while, everything that can happen to it and to the receiver happens in random order,
//! and then both are compared.
//!
//! What happens comes from decks of cards that are shuffled with the seed of the run, so that a short run has some of everything.
//! Moments are random on purpose; nothing waits for a time to pass where it could wait for what it needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::far::Far;
use crate::process::wait;
use crate::sender::{Section, Sender};
use crate::target::Targets;
use crate::verdict::{Counts, Faults, Report, Samples, compare};

const PATIENCE: Duration = Duration::from_secs(60);
/// What the log says when an endpoint needs the database no more.
const MET: &str = "has met the WAL again";
/// What the log says of a checkpoint.
const CHECKPOINT: &str = "WAL checkpoint complete";
/// Targets of a run, each with a scrape a second.
const TARGETS: u64 = 5;

pub(crate) const V1: &str = "prometheus.WriteRequest";
pub(crate) const V2: &str = "io.prometheus.write.v2.Request";

/// What a run is.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) series: u64,
    pub(crate) length: Duration,
    /// Scrapes of a target in the longest stretch between two events.
    pub(crate) stretch: u64,
    /// `protobuf_message`; a reload changes from one to another.
    pub(crate) protocols: &'static [&'static str],
    pub(crate) seed: u64,
    /// Whether the log is held so shortly that the endpoint often goes on from the database.
    pub(crate) short_hold: bool,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Nothing,
    Kill,
    /// When the receiver took something that the sender does not know.
    KillInAnswer,
    /// While it starts after another kill.
    KillInStart,
    Stop,
    Queue,
    Labels,
    Protocol,
    IdleReload,
}

const ACTS: [Act; 16] = [
    Act::Kill,
    Act::Kill,
    Act::Kill,
    Act::KillInAnswer,
    Act::KillInAnswer,
    Act::KillInStart,
    Act::Stop,
    Act::Queue,
    Act::Queue,
    Act::Labels,
    Act::Labels,
    Act::Protocol,
    Act::IdleReload,
    Act::Nothing,
    Act::Nothing,
    Act::Nothing,
];

struct Run<'a> {
    plan: &'a Plan,
    rng: fastrand::Rng,
    targets: Targets,
    sender: Sender,
    far: &'a mut dyn Far,
    done: BTreeMap<String, u64>,
    acts: Vec<Act>,
    /// Whether a stretch begins with trouble at the receiver.
    troubles: Vec<bool>,
    seconds_of_trouble: f64,
}

/// Runs the plan with a sender in `folder`, prints the table, and fails when something is missing or out of order.
pub(crate) fn run(plan: &Plan, folder: &Path, far: &mut dyn Far) -> Report {
    println!("{}: SOAK_SEED={} repeats the order of events", plan.name, plan.seed);
    let targets = Targets::start(TARGETS, plan.series);
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let protocol = plan.protocols[rng.usize(..plan.protocols.len())];
    let section = Section { short_hold: plan.short_hold, ..Section::wide(protocol, far.takes_histograms()) };
    let sender = Sender::new(folder, &targets.ports, far.port(), section);
    let mut run = Run {
        plan,
        rng,
        targets,
        sender,
        far,
        done: BTreeMap::new(),
        acts: Vec::new(),
        troubles: Vec::new(),
        seconds_of_trouble: 0.0,
    };
    run.events();
    let report = run.end();
    assert!(report.is_clean(), "see the table");
    // A run that shipped little, or in which the log never got shorter, proves little.
    let committed = report.difference.committed;
    assert!(
        committed > report.done["scrapes served"] * plan.series / TARGETS / 3,
        "only {committed} samples"
    );
    assert!(report.done["log: checkpoints"] > 0, "no checkpoint");
    assert!(!plan.short_hold || report.done["log: met the log again"] > 0, "the log was never left");
    report
}

impl Run<'_> {
    fn events(&mut self) {
        let end = Instant::now() + self.plan.length;
        self.sender.start();
        self.wait_scrapes(TARGETS);
        // A short run may have been too busy elsewhere.
        let has_all = |run: &Self| {
            let log = run.sender.log();
            log.contains(CHECKPOINT) && (!run.plan.short_hold || log.contains(MET))
        };
        while Instant::now() < end || (Instant::now() < end + PATIENCE && !has_all(self)) {
            let trouble = draw(&mut self.troubles, &[true, true, false], &mut self.rng);
            let began = Instant::now();
            if trouble {
                let what = self.far.trouble(&mut self.rng);
                self.count(&format!("receiver: {what}"));
            }
            let scrapes = self.rng.u64(1..=self.plan.stretch * TARGETS);
            self.wait_scrapes(scrapes);
            // Some trouble outlasts what happens to the sender.
            if trouble && self.rng.bool() {
                self.heal(began);
                self.act();
            } else {
                self.act();
                self.heal(began);
            }
        }
        let kills = self.sender.ends.iter().filter(|end| **end == crate::ledger::End::Killed).count();
        self.done.insert("sender: killed so often in all".to_owned(), kills as u64);
    }

    fn heal(&mut self, began: Instant) {
        self.far.heal();
        self.seconds_of_trouble += began.elapsed().as_secs_f64();
    }

    fn act(&mut self) {
        let act = draw(&mut self.acts, &ACTS, &mut self.rng);
        self.count(&format!("sender: {act:?}"));
        match act {
            Act::Nothing => {}
            Act::Kill => {
                self.pause(1000);
                self.sender.kill();
                self.sender.start();
            }
            Act::KillInAnswer => {
                self.far.heal();
                if self.far.hold() {
                    self.count("sender: killed between request and answer");
                }
                self.sender.kill();
                self.far.release();
                self.sender.start();
            }
            Act::KillInStart => {
                self.sender.kill();
                self.sender.start();
                self.pause(300);
                self.sender.kill();
                self.sender.start();
            }
            Act::Stop => {
                self.far.heal();
                self.sender.stop();
                self.sender.start();
            }
            Act::Queue => {
                self.sender.section.turn_queue(&mut self.rng);
                self.sender.reload();
            }
            Act::Labels => {
                self.sender.section.turn_labels(&mut self.rng);
                self.sender.reload();
            }
            Act::Protocol => {
                self.sender.section.protocol =
                    self.plan.protocols[self.rng.usize(..self.plan.protocols.len())];
                self.sender.reload();
            }
            Act::IdleReload => self.sender.idle_reload(),
        }
    }

    /// Ends the run: all that waits leaves, and sender and receiver are compared.
    fn end(mut self) -> Report {
        self.far.heal();
        let protocol = self.sender.section.protocol;
        self.sender.section = Section {
            short_hold: self.plan.short_hold,
            ..Section::wide(protocol, self.far.takes_histograms())
        };
        self.sender.reload();
        self.wait_scrapes(2 * TARGETS);
        self.sender.quiet();
        // The log alone has exemplars.
        let exemplars = if self.plan.short_hold { 0 } else { self.exemplars() };
        self.sender.stop();
        self.look_at_log();
        let mut committed = self.sender.committed();
        if !self.far.takes_histograms() {
            committed.retain(|series, _| !series.contains("\"loss_histogram\""));
        }
        let arrived = self.far.samples();
        let difference = compare(&committed, &arrived, self.far.tolerance(), self.sender.dropped);
        self.look_at_dead_letters(&arrived);
        self.done.insert("seconds of trouble at the receiver".to_owned(), self.seconds_of_trouble as u64);
        self.done.insert("scrapes served".to_owned(), self.targets.served());
        self.done.insert("exemplars at the sender, all sent".to_owned(), exemplars);
        let counts = self.counts();
        let report = Report {
            title: format!("{}, {} s, seed {}", self.plan.name, self.plan.length.as_secs(), self.plan.seed),
            done: self.done,
            counts,
            difference,
        };
        println!("{report}");
        report
    }

    /// Where the database meets the log again, some commits may come from both.
    fn counts(&self) -> Option<Counts> {
        let mut counts = self.far.counts(&self.sender.ends)?;
        if self.plan.short_hold {
            counts.again_where_met = std::mem::take(&mut counts.unexcused).number;
            counts.overtaken = Faults::default();
        }
        Some(counts)
    }

    /// Exemplars that the sender still has: each must have come, where one can tell. How many.
    fn exemplars(&self) -> u64 {
        let found =
            self.sender.ready().api("/api/v1/query_exemplars?query=loss_total&start=0&end=9999999999");
        let mut number = 0;
        for series in found.as_array().unwrap() {
            let labels = series["seriesLabels"].as_object().unwrap();
            let name = crate::wire::series(labels.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())));
            for exemplar in series["exemplars"].as_array().unwrap() {
                let t_ms = (exemplar["timestamp"].as_f64().unwrap() * 1000.0).round() as i64;
                let value = exemplar["value"].as_str().unwrap().parse().unwrap();
                number += u64::from(self.exemplar_came(&name, (t_ms, value)));
            }
        }
        number
    }

    fn exemplar_came(&self, series: &str, exemplar: (i64, f64)) -> bool {
        let came = || self.far.has_exemplar(series, exemplar);
        came().is_some()
            && wait(&format!("{exemplar:?} of {series}"), PATIENCE, || came().filter(|came| *came))
    }

    fn look_at_log(&mut self) {
        let log = self.sender.log();
        for (what, words) in [
            ("log: checkpoints", CHECKPOINT),
            ("log: blocks of the head", "write block completed"),
            ("log: gone on from the database", "it goes on from the database"),
            ("log: met the log again", MET),
            ("log: errors", "level=ERROR"),
        ] {
            self.done.insert(what.to_owned(), log.lines().filter(|line| line.contains(words)).count() as u64);
        }
        let panic = log.lines().find(|line| line.contains("panicked"));
        assert!(panic.is_none(), "{panic:?}");
    }

    /// Nothing was refused but what the receiver already had, and of that nothing but what was in doubt.
    fn look_at_dead_letters(&mut self, arrived: &Samples) {
        let dead = self.sender.dead_letters(false);
        assert!(dead.is_empty(), "{} dead letters: {:?}", dead.len(), &dead[..dead.len().min(3)]);
        let letters = self.sender.dead_letters(true);
        self.done.insert("refused when sent again".to_owned(), letters.len() as u64);
        for letter in letters {
            let labels = letter["labels"].as_object().unwrap();
            let name = crate::wire::series(labels.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())));
            for sample in letter["samples"].as_array().into_iter().flatten() {
                let t_ms = sample[0].as_i64().unwrap();
                let here =
                    arrived.get(&name).is_some_and(|s| s.binary_search_by_key(&t_ms, |(t, _)| *t).is_ok());
                assert!(here, "a dead letter that the receiver does not have: {letter}");
            }
        }
    }

    fn count(&mut self, what: &str) {
        *self.done.entry(what.to_owned()).or_default() += 1;
    }

    fn wait_scrapes(&self, more: u64) {
        let came = self.targets.wait(more, PATIENCE);
        assert!(came, "no {more} scrapes within {PATIENCE:?}; log:\n{}", tail(&self.sender.log()));
    }

    /// Goes to a random moment.
    fn pause(&mut self, most_ms: u64) {
        let end = Instant::now() + Duration::from_millis(self.rng.u64(0..most_ms));
        while Instant::now() < end {
            std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
    }
}

/// The next card of a deck that is made anew when it is empty.
fn draw<T: Copy>(deck: &mut Vec<T>, cards: &[T], rng: &mut fastrand::Rng) -> T {
    if deck.is_empty() {
        deck.extend_from_slice(cards);
        rng.shuffle(deck);
    }
    deck.pop().expect("a deck has cards")
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
