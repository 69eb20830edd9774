//! A segment file of any bytes: the reader ends, with records or an error; after the repair it ends without an error.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use narthex_wal::{Reader, WalPosition, repair};

static DIR: OnceLock<PathBuf> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let dir = DIR.get_or_init(narthex_fuzz::scratch);
    narthex_fuzz::put(dir, "00000000", bytes);
    let read = || {
        let mut reader = Reader::open(dir, WalPosition::default(), 0)?;
        let mut records = 0u64;
        while reader.next()?.is_some() {
            records += 1;
        }
        Ok(records)
    };
    if let Err(error) = read()
        && repair(error).is_ok()
    {
        let again: Result<u64, narthex_wal::ReadError> = read();
        assert!(again.is_ok(), "a repaired segment is still corrupt: {again:?}");
    }
});
