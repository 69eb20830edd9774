//! The task of a target: wait, scrape, write one batch, wait again.
//!
//! Always true: ticks keep their phase, a scrape that took longer than its interval is followed by one scrape at once and the ticks that
//! were missed are dropped; a scrape in flight is finished when the target leaves and given up when the process ends; markers
//! for a target that left are written only after it had time to come back.
//! Memory: an idle loop is a timer and a few words; what a scrape needs is boxed and lent.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use narthex_model::UnixTime;
use narthex_storage::{Appendable, Appender};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::ScrapeError;
use crate::failure_log::FailureLog;
use crate::fetch::{Fetched, failed_body_size, fetch};
use crate::ingest::{Counts, Scrape};
use crate::job::Job;
use crate::metrics::{Lengths, ScrapeMetrics};
use crate::options::ScrapeOptions;
use crate::report::{Destination, ExtraReport, Report, ReportSeries, append_stale};
use crate::schedule::{Grid, first_wait, wall_clock, wall_ms};
use crate::scratch::{Scratch, ScratchPool};
use crate::snapshot::Health;
use crate::target::{Status, Target};

/// Bodies above this are parsed where blocking is announced to the runtime; below, it takes a few milliseconds at most.
const LARGE_BODY_BYTES: usize = 1 << 20;

/// What a loop is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Run,
    /// The target is gone: end, and mark its series stale.
    Leave,
    /// The process ends: no more writes, no markers.
    Quit,
}

/// What all loops share.
pub(crate) struct Common {
    pub(crate) appendable: Arc<dyn Appendable>,
    pub(crate) metrics: ScrapeMetrics,
    pub(crate) options: ScrapeOptions,
    pub(crate) scratch: ScratchPool,
}

/// What the loops of one job share; a reload changes it under them.
pub(crate) struct JobInForce {
    /// Held to copy or replace the reference.
    pub(crate) job: Mutex<Arc<Job>>,
    /// Set while the job has too many targets: no scrape is made, all fail with this text.
    pub(crate) too_many: Mutex<Option<String>>,
    /// Where failed scrapes are told. Held to copy or replace the reference.
    pub(crate) failure_log: Mutex<Option<Arc<FailureLog>>>,
}

/// See the module's words.
pub(crate) struct ScrapeLoop {
    common: Arc<Common>,
    in_force: Arc<JobInForce>,
    target: Arc<Target>,
    seed: u64,
    report: ReportSeries,
    series_generation: u64,
    last_start: Option<Instant>,
    interval_length: Lengths,
}

impl ScrapeLoop {
    pub(crate) fn new(
        common: Arc<Common>,
        in_force: Arc<JobInForce>,
        target: Arc<Target>,
        seed: u64,
    ) -> Self {
        let interval_length = common.metrics.interval_length(target.interval_ms);
        let series_generation = in_force.job.lock().series_generation;
        let report = ReportSeries::default();
        Self { common, in_force, target, seed, report, series_generation, last_start: None, interval_length }
    }

    /// Scrapes until told otherwise.
    pub(crate) async fn run(mut self, mut orders: watch::Receiver<Order>) {
        let interval = Duration::from_millis(self.target.interval_ms.unsigned_abs());
        let mut tick = Instant::now() + self.first_wait(interval);
        let mut order = wait(tick, &mut orders).await;
        let mut grid = Grid::new(wall_ms(), self.target.interval_ms, &self.common.options);
        while order == Order::Run {
            let at_ms = grid.stamp(wall_ms());
            tokio::select! {
                // Boxed, so that an idle loop does not hold the room that a scrape needs.
                () = Box::pin(self.scrape(at_ms)) => {}
                () = quit(orders.clone()) => return,
            }
            tick = next_tick(tick, interval, Instant::now());
            order = wait(tick, &mut orders).await;
        }
        if order == Order::Leave && self.last_start.is_some() {
            tokio::select! {
                () = self.end_of_run(tick, interval) => {}
                () = quit(orders) => {}
            }
        }
    }

    fn first_wait(&self, interval: Duration) -> Duration {
        if self.common.options.no_offset {
            return Duration::ZERO;
        }
        first_wait(wall_clock(), interval, self.target.hash, self.seed)
    }

    async fn scrape(&mut self, at_ms: i64) {
        let start = Instant::now();
        if let Some(last) = self.last_start.replace(start) {
            self.interval_length.observe((start - last).as_secs_f64());
        }
        let job = Arc::clone(&self.in_force.job.lock());
        if job.series_generation != self.series_generation {
            self.series_generation = job.series_generation;
            self.target.memory.lock().series.relearn();
        }
        let too_many = self.in_force.too_many.lock().clone();
        let fetched = match too_many {
            Some(text) => Err(ScrapeError::TargetLimit(text)),
            None => fetch(&self.target, &job, &self.common.scratch)
                .await
                .inspect_err(|error| self.log_failure(error)),
        };
        let large = matches!(&fetched, Ok(f) if f.scratch.body.bytes().len() > LARGE_BODY_BYTES);
        if large && is_multi_threaded() {
            tokio::task::block_in_place(|| self.store(&job, fetched, at_ms, start));
        } else {
            self.store(&job, fetched, at_ms, start);
        }
    }

    fn log_failure(&self, error: &ScrapeError) {
        let log = self.in_force.failure_log.lock().clone();
        if let Some(log) = log {
            let (now, job) = (UnixTime::from_system(SystemTime::now()), self.in_force.job.lock().clone());
            log.write(now, &error.to_string(), &job.config.job_name, &self.target.url_text);
        }
    }

    /// Writes the batch of one scrape: its samples or, when it failed, markers for all its series; then the automatic series.
    fn store(&mut self, job: &Job, fetched: Result<Fetched, ScrapeError>, at_ms: i64, start: Instant) {
        let (mut scratch, content_type, failed) = match fetched {
            Ok(Fetched { scratch, content_type }) => (scratch, content_type, None),
            Err(error) => (self.common.scratch.take(), String::new(), Some(error)),
        };
        let body_size = failed.as_ref().map_or(scratch.body.bytes().len() as f64, failed_body_size);
        if body_size < 0.0 {
            self.common.metrics.exceeded_body_size_limit.inc();
        }
        let mut appender = self.common.appendable.appender();
        let (counts, outcome) = match failed {
            Some(error) => {
                self.target.memory.lock().series.end_all(&mut scratch.stale);
                (Counts::default(), Err(error))
            }
            None => self.fill(job, &mut scratch, &content_type, at_ms, &mut *appender),
        };
        if outcome.is_err() {
            appender.rollback();
            appender = self.common.appendable.appender();
        }
        let appender = self.append_markers(&scratch.stale, at_ms, appender);
        self.common.scratch.give_back(scratch);
        let duration = start.elapsed();
        let report = self.report_of(job, outcome.is_ok(), duration, counts, body_size);
        self.tell(outcome, at_ms, duration);
        self.append_report(&report, at_ms, appender);
        // COMPAT: only with `extra_scrape_metrics`, as in Prometheus 3.14.
        if report.extra.is_some() {
            self.common.metrics.whole_scrape.observe(start.elapsed().as_secs_f64());
        }
    }

    /// Fills the batch with a body; what ended is in `scratch.stale` then.
    fn fill(
        &self,
        job: &Job,
        scratch: &mut Scratch,
        content_type: &str,
        at_ms: i64,
        appender: &mut dyn Appender,
    ) -> (Counts, Result<(), ScrapeError>) {
        let Scratch { body, hint, stale } = scratch;
        let mut memory = self.target.memory.lock();
        if body.bytes().is_empty() {
            memory.series.end_all(stale);
            return (Counts::default(), Ok(()));
        }
        self.of(job, at_ms).ingest(body.bytes(), content_type, &mut memory, appender, (hint, stale))
    }

    fn report_of(&self, job: &Job, up: bool, duration: Duration, counts: Counts, body_size: f64) -> Report {
        let extra = ExtraReport {
            timeout_s: self.target.timeout_ms as f64 / 1000.0,
            sample_limit: job.config.sample_limit,
            body_size,
        };
        Report {
            up,
            duration_s: duration.as_secs_f64(),
            scraped: counts.scraped,
            post_relabeling: counts.post_relabeling,
            series_added: counts.series_added,
            extra: (job.config.extra_scrape_metrics == Some(true)).then_some(extra),
        }
    }

    fn of<'a>(&'a self, job: &'a Job, at_ms: i64) -> Scrape<'a> {
        Scrape {
            config: &job.config,
            fallback: job.fallback,
            public: &self.target.public,
            metrics: &self.common.metrics,
            at_ms,
            now_ms: wall_ms(),
            options: &self.common.options,
            histograms: self.target.histograms(&job.config),
            limits: job.limits,
        }
    }

    fn append_markers(
        &self,
        stale: &[narthex_storage::SeriesRef],
        at_ms: i64,
        mut appender: Box<dyn Appender>,
    ) -> Box<dyn Appender> {
        match append_stale(stale, at_ms, &mut *appender) {
            Ok(()) => appender,
            Err(err) => {
                tracing::warn!(target_url = %self.target.url_text, %err, "Append failed");
                appender.rollback();
                self.common.appendable.appender()
            }
        }
    }

    fn tell(&self, outcome: Result<(), ScrapeError>, at_ms: i64, duration: Duration) {
        let error = outcome.err().map(|error| error.to_string());
        if let Some(err) = &error {
            tracing::debug!(target_url = %self.target.url_text, %err, "Scrape failed");
        }
        *self.target.status.lock() = Status {
            health: if error.is_none() { Health::Up } else { Health::Down },
            last_error: error.unwrap_or_default(),
            last_scrape_ms: Some(at_ms),
            last_duration: duration,
        };
    }

    fn append_report(&mut self, report: &Report, at_ms: i64, mut appender: Box<dyn Appender>) {
        let with_metadata = self.common.options.append_metadata;
        let public = &self.target.public;
        let mut to = Destination { appender: &mut *appender, t_ms: at_ms, public, with_metadata };
        let mut done = self.report.append(report, &mut to);
        if report.extra.is_none() {
            done = done.and_then(|()| self.report.end_extra(at_ms, &mut *appender));
        }
        if let Err(err) = done {
            tracing::warn!(target_url = %self.target.url_text, %err, "Appending scrape report failed");
            appender.rollback();
        } else if let Err(err) = appender.commit() {
            tracing::error!(target_url = %self.target.url_text, %err, "Scrape commit failed");
        }
    }

    /// Marks all series of a target that is gone. It may come back with the next reload, so this waits until its next two
    /// scrapes would have been and a little more; if it did come back, its samples are newer and the markers are refused.
    async fn end_of_run(&mut self, tick: Instant, interval: Duration) {
        tokio::time::sleep_until(tick).await;
        let at_ms = wall_ms();
        tokio::time::sleep_until(tick + interval + interval / 10).await;
        let mut stale = Vec::new();
        self.target.memory.lock().series.end_all(&mut stale);
        let mut appender = self.append_markers(&stale, at_ms, self.common.appendable.appender());
        if let Err(err) = self.report.end(at_ms, &mut *appender) {
            tracing::warn!(target_url = %self.target.url_text, %err, "Stale report failed");
            appender.rollback();
        } else if let Err(err) = appender.commit() {
            tracing::warn!(target_url = %self.target.url_text, %err, "Stale commit failed");
        }
    }
}

/// Waits until `tick` and returns `Run`, or returns another order as soon as it comes.
async fn wait(tick: Instant, orders: &mut watch::Receiver<Order>) -> Order {
    loop {
        let order = *orders.borrow_and_update();
        if order != Order::Run {
            return order;
        }
        tokio::select! {
            () = tokio::time::sleep_until(tick) => return Order::Run,
            heard = orders.changed() => if heard.is_err() { return Order::Quit },
        }
    }
}

/// Ends when the process does.
async fn quit(mut orders: watch::Receiver<Order>) {
    // An error means that the pool is gone, which is the same.
    let _ = orders.wait_for(|order| *order == Order::Quit).await;
}

/// The tick after `tick`. Of ticks that were missed only the last counts, and that one is due now.
fn next_tick(tick: Instant, interval: Duration, now: Instant) -> Instant {
    let next = tick + interval;
    if next >= now {
        return next;
    }
    let missed = (now - next).as_nanos() / interval.as_nanos();
    next + interval * u32::try_from(missed).unwrap_or(0)
}

fn is_multi_threaded() -> bool {
    tokio::runtime::Handle::current().runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_keep_their_phase_and_missed_ones_are_dropped() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let after = |ms: u64| (next_tick(start, second, start + Duration::from_millis(ms)) - start).as_secs();
        assert_eq!(
            (after(10), after(999), after(1001), after(1999), after(2001), after(5500)),
            (1, 1, 1, 1, 2, 5)
        );
    }
}
