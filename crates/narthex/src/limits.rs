//! What the system lets this process have: open files.
//!
//! COMPAT: Go raises the soft limit of open files to the hard one at start; thousands of targets need it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one and says in the log what there is.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!("Cannot raise the limit of open files to its maximum");
    }
    let show = |n: Option<u64>| n.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let now = getrlimit(Resource::Nofile);
    let limits = format!("(soft={}, hard={})", show(now.current), show(now.maximum));
    let workers = crate::settings::worker_threads() as u64;
    tracing::info!(fd_limits = limits, workers, "operational information");
}
