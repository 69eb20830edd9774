//! How much memory this process may have, and what of it queries may hold.
//!
//! Facts: `cgroups(7)`: the limit of a container is the lowest `memory.max` of its group and those above (version 2), or
//! `memory.limit_in_bytes` (version 1); `proc(5)` for `MemTotal`.

use std::path::Path;

use crate::flags::Flags;

/// What queries may hold, bytes; `u64::MAX` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueryMemory {
    /// One of them.
    pub(crate) each: u64,
    /// All together.
    pub(crate) all: u64,
}

/// What `--query.max-memory` and `--query.max-memory-per-query` mean here.
#[must_use]
pub(crate) fn query_memory(flags: &Flags) -> QueryMemory {
    budgets(flags.budget("query.max-memory"), flags.budget("query.max-memory-per-query"), available_bytes())
}

/// `auto` is `None`: half of the memory for all queries, as the head needs the rest, and half of that for one, so that no query
/// can take all. A budget of 0 is none.
fn budgets(all: Option<u64>, each: Option<u64>, available: Option<u64>) -> QueryMemory {
    let limit = |bytes: u64| if bytes == 0 { u64::MAX } else { bytes };
    let all = all.map_or_else(|| available.map_or(u64::MAX, |bytes| bytes / 2), limit);
    let each = each.map_or(if all == u64::MAX { u64::MAX } else { all / 2 }, limit);
    QueryMemory { each, all }
}

/// The memory of the machine or of the container, whichever is less; `None` when the system does not tell.
fn available_bytes() -> Option<u64> {
    [machine_bytes(), container_bytes(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"))]
        .into_iter()
        .flatten()
        .min()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn machine_bytes() -> Option<u64> {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The lowest limit on the way from the root of the groups to ours. `groups` is the text of `/proc/self/cgroup`.
fn container_bytes(root: &Path, groups: &str) -> Option<u64> {
    let number = |path: &Path| read(path).trim().parse::<u64>().ok();
    let mut found: Vec<Option<u64>> =
        vec![number(&root.join("memory.max")), number(&root.join("memory/memory.limit_in_bytes"))];
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (below, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            c if c.split(',').any(|c| c == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let mut group = below;
        for name in path.split('/').filter(|name| !name.is_empty() && *name != "..") {
            group.push(name);
            found.push(number(&group.join(file)));
        }
    }
    found.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_half_of_the_memory_and_half_of_that_for_one_query() {
        let check = |all, each, available, expected: (u64, u64)| {
            let budget = budgets(all, each, available);
            assert_eq!((budget.all, budget.each), expected);
        };
        check(None, None, Some(8 << 30), (4 << 30, 2 << 30));
        check(None, None, None, (u64::MAX, u64::MAX));
        check(Some(0), None, Some(8 << 30), (u64::MAX, u64::MAX));
        check(Some(100), Some(0), Some(8 << 30), (100, u64::MAX));
        check(None, Some(7), Some(8 << 30), (4 << 30, 7));
    }

    #[test]
    fn the_lowest_limit_of_the_groups_above_counts() {
        let root = std::env::temp_dir().join(format!("narthex-cgroup-{}", std::process::id()));
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        for (file, text) in [("memory.max", "max\n"), ("a/memory.max", "1000\n"), ("a/b/memory.max", "max\n")]
        {
            std::fs::write(root.join(file), text).unwrap();
        }
        let limit = container_bytes(&root, "0::/a/b\n");
        let none = container_bytes(&root, "0::/\n12:cpu:/a\nodd\n");
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((limit, none), (Some(1000), None));
    }
}
