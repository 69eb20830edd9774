//! A file of late samples with any content is taken up, and what is appended comes back.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narthex_fuzz::{edited, scratch};
use narthex_remote::state_files;

/// A directory, and the bytes of a good file.
static GOOD: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let dir = scratch();
    state_files::late(&dir, &[], 70).expect("it is written");
    let bytes = std::fs::read(dir.join("a.late")).expect("it is there");
    (dir, bytes)
});

fuzz_target!(|input: &[u8]| {
    let (dir, good) = &*GOOD;
    let Some((first, rest)) = input.split_first() else { return };
    let bytes = match first & 1 {
        0 => edited(good, rest),
        // The body of a chunk, as it is before it is compressed.
        _ => {
            let packed = snap::raw::Encoder::new().compress_vec(rest).expect("inputs are small");
            let len = (packed.len() as u32).to_be_bytes();
            [&good[..16], &len[..], &[0; 4], &packed[..]].concat()
        }
    };
    state_files::late(dir, &bytes, 70).expect("the scratch directory can be written");
});
