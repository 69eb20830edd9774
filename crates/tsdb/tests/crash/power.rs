//! A power cut: what was not synced is forgotten.
//!
//! The child writes down each sync and renaming (`NARTHEX_DISK_JOURNAL`). From that and the directory at its death the parent
//! makes a directory as a disk would have it: a file keeps the bytes of its last sync for sure; of the bytes behind, a random
//! part is there, or zeros, or nothing. The newest file of a directory may be gone when it was never synced. Taken for granted, as
//! file systems with a journal have it: syncing a file keeps its name, names come in the order in which they were made,
//! what was deleted stays deleted, and a file that is shorter than a sector is there whole or empty.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use narthex_metrics::Registry;
use narthex_tsdb::Db;

use super::check::{check_all_there, check_none_else, content};
use super::child::{Run, listen, options};
use super::from_env;

/// Bytes of each file that a power cut leaves for sure.
fn synced(journal: &Path) -> HashMap<PathBuf, u64> {
    let mut synced = HashMap::new();
    for line in std::fs::read_to_string(journal).unwrap_or_default().lines() {
        let mut words = line.splitn(3, ' ');
        let (step, len, path) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        match step {
            "sync" => _ = synced.insert(PathBuf::from(path), len.parse().unwrap()),
            "rename" => {
                let (from, to) = path.split_once('\t').unwrap();
                let moved: Vec<(PathBuf, u64)> = synced.extract_if(|p, _| p.starts_with(from)).collect();
                let target = |p: PathBuf| match p.strip_prefix(from).unwrap() {
                    rest if rest.as_os_str().is_empty() => PathBuf::from(to),
                    rest => Path::new(to).join(rest),
                };
                synced.extend(moved.into_iter().map(|(p, len)| (target(p), len)));
            }
            _ => {}
        }
    }
    synced
}

/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// Forgets in place what was not synced.
fn forget(dir: &Path, synced: &HashMap<PathBuf, u64>, random: &mut fastrand::Rng) {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let newest = paths.iter().rfind(|path| path.is_file()).cloned();
    for path in paths {
        if path.is_dir() {
            forget(&path, synced, random);
            continue;
        }
        let len = path.metadata().unwrap().len();
        let kept = synced.get(&path).copied();
        if kept.is_none() && newest.as_ref() == Some(&path) && random.u8(0..4) == 0 {
            eprintln!("{} is gone", path.display());
            std::fs::remove_file(&path).unwrap();
            continue;
        }
        let sure = kept.unwrap_or(0).min(len);
        if sure < len {
            eprintln!("{}: {sure} of {len} bytes are sure", path.display());
        }
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        match random.u8(0..4) {
            0 => file.set_len(sure).unwrap(),
            1 if len <= SECTOR => file.set_len(if random.bool() { sure } else { len }).unwrap(),
            1 => file.set_len(random.u64(sure..=len)).unwrap(),
            2 => {
                // The length was kept, the data was not.
                file.set_len(sure).unwrap();
                file.set_len(len).unwrap();
            }
            _ => {}
        }
    }
}

/// One life that ends with the power; `sync_ms` as the option has it. Checks what the restart serves.
fn cut_power(sync_ms: Option<u64>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let scratch = tempfile::tempdir().unwrap();
    let (dir, journal) = (scratch.path().join("data"), scratch.path().join("journal"));
    let kill_after = Some(Duration::from_millis(random.u64(200..1_200)));
    let run = Run { kill_after, sync_ms, journal: Some(journal.clone()), ..Run::new(&dir, 0) };
    let heard = listen(&run);
    let end = Instant::now();
    if !dir.is_dir() {
        return;
    }
    // The bound, and as much again as one sync and the reading of the acknowledgement may take on a busy machine.
    let sure = sync_ms.map_or(0, |ms| {
        let bound = Duration::from_millis(ms) + Duration::from_millis(250);
        heard.acks.iter().filter(|(_, at)| end.duration_since(*at) > bound).count() as u64
    });
    eprintln!("a power cut:");
    forget(&dir, &synced(&journal), &mut random);
    let story =
        format!("seed {seed}, sync {sync_ms:?} ms, {} acknowledged, {sure} for sure", heard.acks.len());
    let db = Db::open(&dir, options(), &Registry::new());
    let db = db.unwrap_or_else(|error| panic!("{story}: does not open: {error:?}"));
    let got = content(&db);
    check_all_there(&got, sure, &story);
    check_none_else(&got, heard.acknowledged(0) + 1, &story);
    db.close().unwrap();
}

#[test]
fn a_power_cut_takes_no_more_than_the_sync_interval() {
    let seed = from_env("NARTHEX_CRASH_SEED", fastrand::u64(..));
    for round in 0..from_env("NARTHEX_CRASH_KILLS", 60) / 6 {
        cut_power(Some(20), seed.wrapping_add(round));
    }
}

#[test]
fn after_a_power_cut_without_syncs_it_opens_and_serves_nothing_wrong() {
    let seed = from_env("NARTHEX_CRASH_SEED", fastrand::u64(..));
    for round in 0..from_env("NARTHEX_CRASH_KILLS", 60) / 6 {
        cut_power(None, seed.wrapping_add(round));
    }
}
