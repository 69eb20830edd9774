//! The order in which several rising sources give what they have, each timestamp once.
//!
//! COMPAT: which of several samples at one timestamp is given follows from Prometheus' chain of iterators, where a heap by time
//! hands out the next source and the source that comes back goes behind its equals. The heap here is that of Go, step by step.
//! Must not know: what a sample is.

/// A source of samples that rise strictly in time.
pub trait InTime {
    /// The timestamp of the next sample, ms; `None` at the end.
    fn peek_ms(&self) -> Option<i64>;

    /// Goes past the next sample.
    fn skip(&mut self);
}

/// Lets `give` have every timestamp of the sources once, rising; it takes the sample and goes past it. Its second argument tells
/// whether the sample directly follows, in its own source, the one that was given before. Of equal timestamps the source gives
/// that gave the last one at which several met; one that gave a sample alone since then gives way to the other.
pub fn give_in_order<S: InTime>(sources: &mut [S], heap: &mut TimeHeap, mut give: impl FnMut(&mut S, bool)) {
    heap.0.clear();
    for (number, source) in sources.iter().enumerate() {
        heap.push_some(source.peek_ms(), number);
    }
    let mut given_ms = None;
    while let Some((first_ms, number)) = heap.pop() {
        let source = &mut sources[number];
        let (mut t_ms, mut follows) = (first_ms, false);
        loop {
            if given_ms == Some(t_ms) {
                source.skip();
            } else {
                give(source, follows);
                given_ms = Some(t_ms);
                follows = true;
            }
            let Some(next_ms) = source.peek_ms() else { break };
            t_ms = next_ms;
            if heap.top().is_some_and(|top_ms| t_ms >= top_ms) {
                heap.push((t_ms, number));
                break;
            }
        }
    }
}

/// Memory for [`give_in_order`]: sources by the time of their next sample. Equal times: as `container/heap` of Go.
#[derive(Default)]
pub struct TimeHeap(Vec<(i64, usize)>);

impl TimeHeap {
    fn top(&self) -> Option<i64> {
        self.0.first().map(|(t_ms, _)| *t_ms)
    }

    fn push_some(&mut self, t_ms: Option<i64>, number: usize) {
        if let Some(t_ms) = t_ms {
            self.push((t_ms, number));
        }
    }

    fn push(&mut self, entry: (i64, usize)) {
        self.0.push(entry);
        let mut at = self.0.len() - 1;
        while at > 0 && self.0[at].0 < self.0[(at - 1) / 2].0 {
            self.0.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn pop(&mut self) -> Option<(i64, usize)> {
        let last = self.0.len().checked_sub(1)?;
        self.0.swap(0, last);
        let popped = self.0.pop();
        let mut at = 0;
        while 2 * at + 1 < last {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = if right < last && self.0[right].0 < self.0[left].0 { right } else { left };
            if self.0[child].0 >= self.0[at].0 {
                break;
            }
            self.0.swap(child, at);
            at = child;
        }
        popped
    }
}
