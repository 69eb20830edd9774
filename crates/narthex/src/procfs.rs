//! What the kernel knows about this process, read from `/proc`; every value is 0 where there is no `/proc`.
//!
//! Facts: `proc(5)`. CPU times are in clock ticks, memory in pages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use narthex_metrics::Registry;

/// For how long what was read is shown again: longer than one scrape takes to gather, shorter than the time between two.
const FRESH: Duration = Duration::from_millis(100);

/// Registers `process_*` under the names of Prometheus' client library. Each file is read once for all of them.
pub(crate) fn register(registry: &Registry, started: SystemTime) {
    let start_s = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let recent = Arc::new(Recent::default());
    let shared = |value: fn(&Files) -> f64| {
        let recent = Arc::clone(&recent);
        move || value(&recent.files())
    };
    let gauge = |name: &str, help: &str, value| registry.gauge_fn(name, help, shared(value));
    let counter = |name: &str, help: &str, value| registry.foreign_counter_fn(name, help, shared(value));
    counter(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        Files::cpu_seconds,
    );
    registry.gauge_fn("process_open_fds", "Number of open file descriptors.", open_fds);
    gauge("process_max_fds", "Maximum number of open file descriptors.", |f| f.limit("Max open files"));
    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", |f| f.memory(0));
    gauge("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.", |f| {
        f.limit("Max address space")
    });
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", |f| f.memory(1));
    registry.gauge_fn(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        move || start_s,
    );
    counter(
        "process_network_receive_bytes_total",
        "Number of bytes received by the process over the network.",
        |f| f.network("InOctets"),
    );
    counter(
        "process_network_transmit_bytes_total",
        "Number of bytes sent by the process over the network.",
        |f| f.network("OutOctets"),
    );
    gauge("go_threads", "Number of OS threads created.", |f| f.threads() as f64);
}

/// When this process started, for those who look after it has run for a while.
#[must_use]
pub(crate) fn start_time(now: SystemTime) -> SystemTime {
    let since_boot = || {
        let ticks: f64 = stat_field(&read("/proc/self/stat"), 21)?.parse().ok()?;
        let uptime: f64 = read("/proc/uptime").split(' ').next()?.parse().ok()?;
        Duration::try_from_secs_f64(uptime - ticks / ticks_per_second()).ok()
    };
    since_boot().and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// Threads of this process.
#[must_use]
pub(crate) fn threads() -> i64 {
    threads_in(&read("/proc/self/stat"))
}

/// What was read last. Lock: a leaf, held while files are read.
#[derive(Default)]
struct Recent(Mutex<Option<(Instant, Arc<Files>)>>);

impl Recent {
    fn files(&self) -> Arc<Files> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, files)) if at.elapsed() < FRESH => Arc::clone(files),
            _ => {
                let files = Arc::new(Files::read());
                *last = Some((Instant::now(), Arc::clone(&files)));
                files
            }
        }
    }
}

/// Files of `/proc/self` at one moment; empty where there are none.
struct Files {
    stat: String,
    statm: String,
    limits: String,
    netstat: String,
}

impl Files {
    fn read() -> Self {
        let of = |name: &str| read(&format!("/proc/self/{name}"));
        Self { stat: of("stat"), statm: of("statm"), limits: of("limits"), netstat: of("net/netstat") }
    }

    fn threads(&self) -> i64 {
        threads_in(&self.stat)
    }

    fn cpu_seconds(&self) -> f64 {
        let ticks = |index| stat_field(&self.stat, index).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(13) + ticks(14)) / ticks_per_second()
    }

    /// A column of `statm` in bytes.
    fn memory(&self, column: usize) -> f64 {
        let pages: f64 = self.statm.split(' ').nth(column).and_then(|n| n.parse().ok()).unwrap_or(0.0);
        pages * rustix::param::page_size() as f64
    }

    /// A soft limit; no limit is the largest 64-bit number, as Prometheus shows it.
    fn limit(&self, name: &str) -> f64 {
        let after_name = self.limits.lines().find_map(|line| line.strip_prefix(name));
        match after_name.and_then(|values| values.split_whitespace().next()) {
            Some("unlimited") => u64::MAX as f64,
            Some(number) => number.parse().unwrap_or(0.0),
            None => 0.0,
        }
    }

    /// A counter of the `IpExt` table of `netstat`, which has a line of names and one of values.
    fn network(&self, name: &str) -> f64 {
        let mut lines = self.netstat.lines().filter_map(|line| line.strip_prefix("IpExt: "));
        let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0.0 };
        let found = names.split(' ').zip(values.split(' ')).find(|(n, _)| *n == name);
        found.and_then(|(_, v)| v.parse().ok()).unwrap_or(0.0)
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// A field of a `stat`, counted from 0; the name in parentheses may hold blanks, so counting starts after it.
fn stat_field(stat: &str, index: usize) -> Option<&str> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split_whitespace().nth(index - 2)
}

fn threads_in(stat: &str) -> i64 {
    stat_field(stat, 19).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn open_fds() -> f64 {
    // The directory that is being listed is open itself.
    std::fs::read_dir("/proc/self/fd").map_or(0.0, |entries| entries.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_threads_files_and_a_past() {
        if !std::path::Path::new("/proc/self/stat").exists() {
            eprintln!("SKIPPED: needs /proc");
            return;
        }
        let files = Files::read();
        assert!(files.memory(1) > 100_000.0 && files.memory(0) >= files.memory(1));
        assert!(threads() >= 1 && files.threads() >= 1);
        assert!(open_fds() >= 3.0 && files.limit("Max open files") >= open_fds());
        // The kernel counts in hundredths of a second: a process that has just begun may seem to begin right after now.
        let now = SystemTime::now() + Duration::from_millis(20);
        let age = now.duration_since(start_time(now)).unwrap();
        assert!(age < Duration::from_secs(24 * 3600), "{age:?}");
        assert!(files.cpu_seconds() >= 0.0 && files.network("InOctets") >= 0.0);
    }

    #[test]
    fn what_was_just_read_is_not_read_again() {
        let recent = Recent::default();
        assert!(Arc::ptr_eq(&recent.files(), &recent.files()));
        let old = Instant::now().checked_sub(FRESH).unwrap();
        let files = recent.files();
        *recent.0.lock().unwrap() = Some((old, Arc::clone(&files)));
        assert!(!Arc::ptr_eq(&recent.files(), &files));
    }
}
