//! What arrived at the recording receiver, and what is to be said about it.
//!
//! Each request belongs to a *life* of the sender: from a start or a change of its `remote_write` section to the next one (the
//! sender says which in a header). A sample that comes again is excused when the sender cannot have known that it came: its answer
//! was withheld, or the life in which it came ended by `kill -9`. Everything else that comes again is a fault.
//! Within a life a series goes back in time only behind a request of which the sender knows nothing. A sample that comes first after
//! a later one of its series is a fault in any life.
//! Must not know: HTTP, processes, the plan of the test.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::verdict::{Counts, Samples};
use crate::wire::Sent;

/// How a life of the sender ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Killed,
    /// By a stop or a reload: what was acknowledged is known to the next life.
    InOrder,
}

/// Requests that are remembered of a series, to tell how a fault came.
const HISTORY: usize = 12;

/// A request that was taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    life: usize,
    /// Whether the sender was told, in time.
    told: bool,
    /// When it came.
    at: SystemTime,
}

struct Arrived {
    t_ms: i64,
    value: f64,
    /// The newest request that brought it.
    request: usize,
}

#[derive(Default)]
struct Track {
    /// Ordered by time.
    samples: Vec<Arrived>,
    /// The newest request, and the time of its last sample.
    newest: Option<(usize, i64)>,
    /// The newest requests, and the times of their first and last sample.
    came: VecDeque<(usize, i64, i64)>,
}

/// All that arrived.
#[derive(Default)]
pub(crate) struct Ledger {
    requests: Vec<Taken>,
    series: HashMap<String, Track>,
    exemplars: HashMap<String, Vec<(i64, f64)>>,
    /// How many samples of one request came again in another.
    again: BTreeMap<(usize, usize), u64>,
    counts: Counts,
}

impl Ledger {
    /// Notes a request of a life; the number is for [`Ledger::told`].
    pub(crate) fn take(&mut self, life: usize, sent: Vec<Sent>) -> usize {
        let request = self.requests.len();
        self.requests.push(Taken { life, told: false, at: SystemTime::now() });
        self.note_ranges(request, &sent);
        for sent in sent {
            if !sent.exemplars.is_empty() {
                self.exemplars.entry(sent.series.clone()).or_default().extend(&sent.exemplars);
            }
            let track = self.series.entry(sent.series.clone()).or_default();
            for (t_ms, value) in sent.samples {
                track.add(
                    (t_ms, value),
                    (request, &self.requests),
                    &sent.series,
                    &mut self.again,
                    &mut self.counts,
                );
            }
        }
        request
    }

    /// Looks whether a request goes back in time. It may name a series more than once.
    fn note_ranges(&mut self, request: usize, sent: &[Sent]) {
        let mut ranges: HashMap<&str, (i64, i64)> = HashMap::new();
        for sent in sent.iter().filter(|sent| !sent.samples.is_empty()) {
            let (first, last) = (sent.samples[0].0, sent.samples[sent.samples.len() - 1].0);
            let range = ranges.entry(&sent.series).or_insert((first, last));
            *range = (range.0.min(first), range.1.max(last));
        }
        let life = self.requests[request].life;
        for (series, (first, last)) in ranges {
            let track = self.series.entry(series.to_owned()).or_default();
            if let Some((newest, until)) = track.newest {
                let newest = self.requests[newest];
                if newest.life == life && newest.told && first <= until {
                    self.counts
                        .overtaken
                        .note(|| format!("{series} in {request}: {first}, {until} was told"));
                }
            }
            track.newest = Some((request, last));
            track.came.push_back((request, first, last));
            if track.came.len() > HISTORY {
                track.came.pop_front();
            }
        }
    }

    /// The sender knows that the request was taken.
    pub(crate) fn told(&mut self, request: usize) {
        self.requests[request].told = true;
    }

    /// Whether this exemplar came.
    pub(crate) fn has_exemplar(&self, series: &str, exemplar: (i64, f64)) -> bool {
        self.exemplars.get(series).is_some_and(|all| all.contains(&exemplar))
    }

    /// Everything that came.
    pub(crate) fn samples(&self) -> Samples {
        let samples = |track: &Track| track.samples.iter().map(|a| (a.t_ms, a.value)).collect();
        self.series.iter().map(|(series, track)| (series.clone(), samples(track))).collect()
    }

    /// What is to be said about order and duplicates, given how each life ended.
    pub(crate) fn counts(&self, ends: &[End]) -> Counts {
        let mut counts = self.counts.clone();
        for ((original, again), number) in &self.again {
            let (first, second) = (self.requests[*original], self.requests[*again]);
            let end = ends.get(first.life).filter(|_| first.life != second.life);
            match (end, first.told) {
                (Some(End::Killed), _) => counts.again_after_kill += number,
                (_, false) => counts.again_untold += number,
                (Some(End::InOrder) | None, true) => {
                    let words = || format!("{number} of request {original} {first:?} in {again} {second:?}");
                    counts.unexcused.note_all(*number, words);
                }
            }
        }
        counts.requests = self.requests.len() as u64;
        counts
    }
}

impl Track {
    /// Adds a sample that came in a request of a life.
    fn add(
        &mut self,
        (t_ms, value): (i64, f64),
        (request, requests): (usize, &[Taken]),
        series: &str,
        again: &mut BTreeMap<(usize, usize), u64>,
        counts: &mut Counts,
    ) {
        let at = match self.samples.last() {
            Some(last) if last.t_ms >= t_ms => self.samples.binary_search_by_key(&t_ms, |a| a.t_ms),
            _ => Err(self.samples.len()),
        };
        match at {
            Ok(at) => {
                let known = &mut self.samples[at];
                if known.value.to_bits() != value.to_bits() {
                    counts.changed.note(|| format!("{series} {t_ms}: {} and {value}", known.value));
                }
                *again.entry((known.request, request)).or_default() += 1;
                known.request = request;
            }
            Err(at) => {
                if at < self.samples.len() {
                    counts.reordered.note(|| format!("{series} {t_ms}; {}", history(&self.came, requests)));
                }
                self.samples.insert(at, Arrived { t_ms, value, request });
            }
        }
    }
}

/// What came of a series before a fault, in words.
fn history(came: &VecDeque<(usize, i64, i64)>, requests: &[Taken]) -> String {
    let words = came.iter().map(|(request, first, last)| {
        let Taken { life, told, at } = requests[*request];
        let at_ms = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        format!("{request} in life {life} at {at_ms} (told: {told}): {first}..={last}")
    });
    format!("requests: {}", words.collect::<Vec<_>>().join(", "))
}
