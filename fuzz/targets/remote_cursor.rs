//! A cursor file of remote write with any content is taken up, and the next save comes back.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narthex_fuzz::{edited, scratch};
use narthex_remote::state_files;

/// A directory, and the bytes of a good file.
static GOOD: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let dir = scratch();
    state_files::cursor(&dir, &[]).expect("it is written");
    let bytes = std::fs::read(dir.join("a.cursor")).expect("it is there");
    (dir, bytes)
});

fuzz_target!(|input: &[u8]| {
    let (dir, good) = &*GOOD;
    state_files::cursor(dir, &edited(good, input)).expect("the scratch directory can be written");
});
