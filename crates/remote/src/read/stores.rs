//! The endpoints of a configuration as stores.
//!
//! A reload builds all of them anew; queries that are under way go on with those they began with.

use std::sync::Arc;

use narthex_config::RemoteReadConfig;
use narthex_metrics::Registry;
use narthex_model::Labels;
use narthex_storage::fan_out::Distant;
use tokio::runtime::Handle;

use super::client::Client;
pub use super::client::ReadClientError;
use super::endpoint::{Endpoint, Settings};
use super::metrics::ReadMetrics;

/// Says from when on the local store has everything, ms.
pub type LocalStart = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Why the endpoints cannot be what is configured.
#[derive(Debug, thiserror::Error)]
pub enum ReadStoreError {
    /// One cannot be asked.
    #[error(transparent)]
    Client(#[from] ReadClientError),
    /// The same entry stands there twice.
    #[error("duplicate remote read configs are not allowed, found duplicate for URL: {0}")]
    Duplicate(String),
}

/// Makes stores of configured endpoints.
pub struct ReadStores {
    metrics: ReadMetrics,
    local_start: LocalStart,
    network: Handle,
}

impl ReadStores {
    /// Endpoints are asked on `network`, a runtime with time and network on.
    #[must_use]
    pub fn new(local_start: LocalStart, network: Handle, registry: &Registry) -> Self {
        Self { metrics: ReadMetrics::new(registry), local_start, network }
    }

    /// The endpoints of a configuration.
    ///
    /// # Errors
    /// See [`ReadStoreError`].
    pub fn stores(
        &self,
        configs: &[RemoteReadConfig],
        external: &Labels,
    ) -> Result<Vec<Arc<dyn Distant>>, ReadStoreError> {
        let mut stores: Vec<Arc<dyn Distant>> = Vec::with_capacity(configs.len());
        for (at, config) in configs.iter().enumerate() {
            let url = config.url.as_ref().map_or_else(String::new, ToString::to_string);
            if configs[..at].contains(config) {
                return Err(ReadStoreError::Duplicate(url));
            }
            let name = if config.name.is_empty() { name_of(config) } else { config.name.clone() };
            let client = Client::new(config, self.metrics.of(&name, &url))?;
            let external = if config.filter_external_labels { external.clone() } else { Labels::empty() };
            let endpoint = Settings {
                client: Arc::new(client),
                external,
                required: config.required_matchers.clone(),
                local_start: (!config.read_recent).then(|| Arc::clone(&self.local_start)),
                network: self.network.clone(),
            };
            stores.push(Arc::new(Endpoint(Arc::new(endpoint))));
        }
        Ok(stores)
    }
}

/// Six digits that tell entries apart. Secrets print as nothing and do not count.
fn name_of(config: &RemoteReadConfig) -> String {
    let checksum = crc32c::crc32c(format!("{config:?}").as_bytes());
    format!("{:06x}", checksum & 0xff_ffff)
}
