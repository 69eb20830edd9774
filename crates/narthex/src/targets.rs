//! The targets as the web side sees them.

use narthex_web::{ActiveTarget, DroppedTarget, TargetMetadata, TargetService};

/// No target, as long as nothing is scraped.
pub(crate) struct NoTargets;

impl TargetService for NoTargets {
    fn pools(&self) -> Vec<String> {
        Vec::new()
    }
    fn active(&self, _pool: Option<&str>) -> Vec<ActiveTarget> {
        Vec::new()
    }
    fn dropped(&self, _pool: Option<&str>) -> Vec<DroppedTarget> {
        Vec::new()
    }
    fn dropped_counts(&self) -> Vec<(String, usize)> {
        Vec::new()
    }
    fn metadata(&self, _metric: Option<&str>) -> Vec<TargetMetadata> {
        Vec::new()
    }
}
