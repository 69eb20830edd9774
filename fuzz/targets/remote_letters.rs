//! A file of dead letters with any content is taken up; no letter in it is lost when another one is kept.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narthex_fuzz::{edited, scratch};
use narthex_remote::state_files;

/// A directory, and the bytes of a good file.
static GOOD: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let dir = scratch();
    state_files::dead_letters(&dir, &[]).expect("it is written");
    let files = std::fs::read_dir(&dir).expect("it is there").flatten();
    let bytes = files.map(|file| std::fs::read(file.path()).expect("it is there")).max_by_key(Vec::len);
    (dir, bytes.expect("there is a file"))
});

fuzz_target!(|input: &[u8]| {
    let (dir, good) = &*GOOD;
    let Some((first, rest)) = input.split_first() else { return };
    let bytes = if first & 1 == 0 { edited(good, rest) } else { rest.to_vec() };
    state_files::dead_letters(dir, &bytes).expect("the scratch directory can be written");
});
