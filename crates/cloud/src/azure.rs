//! Tokens of Microsoft Entra for Azure Monitor: of an identity that the machine has, a federated workload, a client secret, a
//! certificate, or whatever of these the machine offers.

mod certificate;
mod client;
mod default_chain;
mod identity;

use std::sync::Arc;

use narthex_config::AzureAdConfig;
use narthex_net::client::Authorizer;

use crate::CloudError;
use crate::ask::Asker;
use crate::token::{Fetched, Renewal, Source, Token, Tokens};
use certificate::Certificate;
use client::{Client, Proof};
use default_chain::DefaultChain;
use identity::Identity;

/// Where to ask. Tests put servers of their own here.
#[derive(Clone, Debug)]
struct Places {
    /// Issues tokens of clients; without a slash at its end.
    authority: String,
    /// The metadata service of a machine in Azure; without a slash at its end.
    machine: String,
}

impl Places {
    fn of(cloud: &str) -> Self {
        let authority = match cloud {
            "AzureChina" => "https://login.chinacloudapi.cn",
            "AzureGovernment" => "https://login.microsoftonline.us",
            _ => "https://login.microsoftonline.com",
        };
        Self { authority: authority.to_owned(), machine: "http://169.254.169.254".to_owned() }
    }
}

/// What the token is for.
fn scope(config: &AzureAdConfig) -> String {
    let usual = match config.cloud.as_str() {
        "AzureChina" => "https://monitor.azure.cn//.default",
        "AzureGovernment" => "https://monitor.azure.us//.default",
        _ => "https://monitor.azure.com//.default",
    };
    if config.scope.is_empty() { usual.to_owned() } else { config.scope.clone() }
}

/// One way to a token.
#[derive(Debug)]
enum Method {
    Identity(Identity),
    Client(Client),
    Chain(DefaultChain),
}

#[derive(Debug)]
struct Entra {
    asker: Asker,
    scope: String,
    method: Method,
}

impl Source for Entra {
    fn fetch(&self) -> Fetched<'_> {
        Box::pin(self.token())
    }
}

impl Entra {
    fn new(config: &AzureAdConfig, places: &Places, variable: Variable) -> Result<Self, CloudError> {
        let client = |tenant: &str, id: &str, proof| Client::new(&places.authority, tenant, id, proof);
        let method = if let Some(found) = &config.managed_identity {
            Method::Identity(Identity::new(&found.client_id, &places.machine, variable))
        } else if let Some(found) = &config.workload_identity {
            let proof = Proof::Federated(found.token_file_path.clone().into());
            Method::Client(client(&found.tenant_id, &found.client_id, proof))
        } else if let Some(found) = &config.oauth {
            Method::Client(client(
                &found.tenant_id,
                &found.client_id,
                Proof::Secret(found.client_secret.clone()),
            ))
        } else if let Some(found) = &config.certificate {
            let proof = Proof::Certificate(Box::new(Certificate::read(found)?));
            Method::Client(client(&found.tenant_id, &found.client_id, proof))
        } else {
            let tenant = config.sdk.as_ref().map_or("", |sdk| &sdk.tenant_id);
            Method::Chain(DefaultChain::new(tenant, places, variable)?)
        };
        Ok(Self { asker: Asker::new()?, scope: scope(config), method })
    }

    async fn token(&self) -> Result<Token, String> {
        match &self.method {
            Method::Identity(identity) => identity.token(&self.asker, &self.scope).await,
            Method::Client(client) => client.token(&self.asker, &self.scope).await,
            Method::Chain(chain) => chain.token(&self.asker, &self.scope).await,
        }
    }
}

/// Reads a variable of the environment; none when it is empty.
type Variable = fn(&str) -> Option<String>;

fn real_variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

pub(crate) fn tokens(config: &AzureAdConfig) -> Result<Arc<dyn Authorizer>, CloudError> {
    let entra = Entra::new(config, &Places::of(&config.cloud), real_variable)?;
    Ok(Arc::new(Tokens::new(entra, Renewal::Half)))
}

/// The resource that a scope belongs to: services of machines want this older form.
fn resource(scope: &str) -> &str {
    scope.strip_suffix("/.default").unwrap_or(scope)
}

#[cfg(test)]
mod tests;
