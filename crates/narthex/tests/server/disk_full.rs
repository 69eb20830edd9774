//! A full disk, on a small tmpfs: ingestion goes off and says so, queries go on, and all comes back by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{EMPTY, Narthex, SOON, scraping};
use crate::process::{free_port, wait};

/// A small file system of its own, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None` after saying loudly that this user may not mount.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(at).output();
        if done.is_ok_and(|out| out.status.success()) {
            return Some(Self(at.to_owned()));
        }
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a tmpfs");
        eprintln!("SKIPPED: this test needs the right to mount a tmpfs");
        None
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let block = vec![0; 1 << 16];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        while std::io::Write::write_all(&mut file, &[0]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: the server may just be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn metric(server: &Narthex, name: &str) -> Option<f64> {
    let text = server.get("/metrics").1;
    let prefix = format!("{name} ");
    text.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
}

#[test]
fn a_full_disk_turns_ingestion_off_and_room_turns_it_on_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(&folder.path().join("data")) else { return };
    let port = free_port();
    let flags = ["--storage.tsdb.wal-segment-size=10MB"];
    let server = Narthex::start_on(folder.path(), &scraping(port), &flags, port);
    let kept = wait("samples", SOON, || server.query("count_over_time(up[10m])").filter(|n| *n >= 3.0));
    assert_eq!(server.get("/-/ready").0, 200);

    disk.fill();
    let why = wait("the refusal", SOON, || {
        Some(server.get("/-/ready")).filter(|(status, _)| *status == 503).map(|(_, body)| body)
    });
    assert!(why.contains("no samples are taken: the disk is full"), "{why}");
    assert_eq!(metric(&server, "narthex_tsdb_ingestion_refused"), Some(1.0));
    assert!(server.query("count_over_time(up[10m])") >= Some(kept), "queries go on");
    assert_eq!(server.get("/-/healthy").0, 200);

    disk.make_room();
    wait("readiness", SOON, || (server.get("/-/ready").0 == 200).then_some(()));
    let before = server.query("count_over_time(up[10m])").unwrap();
    wait("new samples", SOON, || server.query("count_over_time(up[10m])").filter(|n| *n > before));
    assert_eq!(metric(&server, "narthex_tsdb_ingestion_resumed_total"), Some(1.0));
    let last = server.query("count_over_time(up[10m])").unwrap();
    server.kill();
    // Nothing that was taken is lost.
    let server = Narthex::start(folder.path(), EMPTY, &flags);
    server.wait_ready();
    assert!(server.query("count_over_time(up[10m])") >= Some(last));
}
