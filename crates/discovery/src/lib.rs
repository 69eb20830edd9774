//! Service discovery: configurations become target groups, and go on following what they were found in.
//!
//! Road in: [`Discovery::apply`] with the discovery sections of each set (a job, or the Alertmanagers), then
//! [`Discovery::groups`], and [`Discovery::changed`] to hear of news. A provider a file: `file` reads target groups from
//! files; static groups need no provider, they are there as soon as `apply` returns.
//! What this crate does not do: relabel, scrape, or know what a target is for.
#![forbid(unsafe_code)]

mod file;
mod group_file;
mod manager;
mod metrics;

pub use group_file::GroupFileError;
pub use manager::Discovery;

/// Reads a file of target groups (JSON or YAML by its extension), as `file_sd_configs` does; each group gets its source and
/// `__meta_filepath`.
///
/// # Errors
/// When the file cannot be read or is malformed.
pub fn read_group_file(path: &std::path::Path) -> Result<Vec<narthex_config::TargetGroup>, GroupFileError> {
    group_file::read(path).map(|(groups, _)| groups)
}
