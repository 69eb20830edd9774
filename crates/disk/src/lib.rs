//! How files become durable, and where a test may stop the process.
//!
//! Everything that the engine must not lose goes through here: syncing files and directories, replacing a file in one step,
//! making a finished directory visible in one step. In debug builds each of these steps can be written to a journal
//! (`NARTHEX_DISK_JOURNAL`), from which a test builds what a power cut would have left, and the process can be killed at a
//! named point (`NARTHEX_CRASH_AT`), and a test may break a step ([`break_step`]); release builds have none of it.
//! Must not know: what the files hold.
#![forbid(unsafe_code)]

mod broken;
mod durable;
mod fault;
mod space;

pub use broken::{Harm, Step, break_step};
pub use durable::{remove_dir_all, rename, replace_file, sync_dir, sync_file};
pub use fault::point;
pub use space::{free_bytes, is_disk_full, total_bytes};
