//! What the kernel knows about this process, read from `/proc`; every value is 0 where there is no `/proc`.
//!
//! Facts: `proc(5)`. CPU times are in clock ticks, memory in pages.

use std::time::{Duration, SystemTime};

use narthex_metrics::Registry;

/// Registers `process_*` under the names of Prometheus' client library.
pub(crate) fn register(registry: &Registry, started: SystemTime) {
    let start_s = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    registry.counter_fn(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        cpu_seconds,
    );
    registry.gauge_fn("process_open_fds", "Number of open file descriptors.", open_fds);
    registry
        .gauge_fn("process_max_fds", "Maximum number of open file descriptors.", || limit("Max open files"));
    registry.gauge_fn("process_virtual_memory_bytes", "Virtual memory size in bytes.", || memory(0));
    registry.gauge_fn(
        "process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.",
        || limit("Max address space"),
    );
    registry.gauge_fn("process_resident_memory_bytes", "Resident memory size in bytes.", || memory(1));
    registry.gauge_fn(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        move || start_s,
    );
    registry.counter_fn(
        "process_network_receive_bytes_total",
        "Number of bytes received by the process over the network.",
        || network("InOctets"),
    );
    registry.counter_fn(
        "process_network_transmit_bytes_total",
        "Number of bytes sent by the process over the network.",
        || network("OutOctets"),
    );
    registry.gauge_fn("go_threads", "Number of OS threads created.", || threads() as f64);
}

/// When this process started, for those who look after it has run for a while.
#[must_use]
pub(crate) fn start_time(now: SystemTime) -> SystemTime {
    let since_boot = || {
        let ticks: f64 = stat_field(21)?.parse().ok()?;
        let uptime: f64 = read("/proc/uptime").split(' ').next()?.parse().ok()?;
        Duration::try_from_secs_f64(uptime - ticks / ticks_per_second()).ok()
    };
    since_boot().and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// Threads of this process.
#[must_use]
pub(crate) fn threads() -> i64 {
    stat_field(19).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// A value of `/proc/self/limits`; no limit is the largest 64-bit number, as Prometheus shows it.
#[must_use]
pub(crate) fn limit(name: &str) -> f64 {
    let text = read("/proc/self/limits");
    let soft =
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next().map(str::to_owned));
    match soft.as_deref() {
        Some("unlimited") => u64::MAX as f64,
        Some(number) => number.parse().unwrap_or(0.0),
        None => 0.0,
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// A field of `/proc/self/stat`, counted from 0; the name in parentheses may hold blanks, so counting starts after it.
fn stat_field(index: usize) -> Option<String> {
    let text = read("/proc/self/stat");
    let (_, after_name) = text.rsplit_once(") ")?;
    after_name.split_whitespace().nth(index - 2).map(str::to_owned)
}

fn cpu_seconds() -> f64 {
    let ticks = |index| stat_field(index).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(13) + ticks(14)) / ticks_per_second()
}

fn open_fds() -> f64 {
    // The directory that is being listed is open itself.
    std::fs::read_dir("/proc/self/fd").map_or(0.0, |entries| entries.count().saturating_sub(1) as f64)
}

/// A column of `/proc/self/statm` in bytes.
fn memory(column: usize) -> f64 {
    let pages: f64 =
        read("/proc/self/statm").split(' ').nth(column).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    pages * rustix::param::page_size() as f64
}

/// A counter of the `IpExt` table, which has a line of names and one of values.
fn network(name: &str) -> f64 {
    let text = read("/proc/self/net/netstat");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0.0 };
    let found = names.split(' ').zip(values.split(' ')).find(|(n, _)| *n == name);
    found.and_then(|(_, v)| v.parse().ok()).unwrap_or(0.0)
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
        assert!(memory(1) > 100_000.0 && memory(0) >= memory(1));
        assert!(threads() >= 1 && open_fds() >= 3.0 && limit("Max open files") >= open_fds());
        // The kernel counts in hundredths of a second: a process that has just begun may seem to begin right after now.
        let now = SystemTime::now() + Duration::from_millis(20);
        let age = now.duration_since(start_time(now)).unwrap();
        assert!(age < Duration::from_secs(24 * 3600), "{age:?}");
        assert!(cpu_seconds() >= 0.0 && network("InOctets") >= 0.0);
    }
}
