//! The first way to a token that the machine offers: variables of the environment, a federated workload, the identity of the
//! machine, or the user who logged in with the Azure CLI. The way that worked is kept.

use std::process::Stdio;
use std::sync::OnceLock;

use narthex_config::{AzureCertificateConfig, Secret};
use serde_json::Value;

use super::certificate::Certificate;
use super::client::{Client, Proof};
use super::identity::Identity;
use super::{Places, Variable, resource};
use crate::CloudError;
use crate::ask::Asker;
use crate::token::{self, Token};

/// Ways in the order in which they are tried.
#[derive(Debug)]
pub(super) struct DefaultChain {
    ways: Vec<Way>,
    worked: OnceLock<usize>,
}

#[derive(Debug)]
enum Way {
    Client(&'static str, Client),
    Identity(Identity),
    Cli { tenant: String },
}

impl DefaultChain {
    /// `tenant` may be empty: then that of the environment.
    pub(super) fn new(tenant: &str, places: &Places, variable: Variable) -> Result<Self, CloudError> {
        let id = variable("AZURE_CLIENT_ID");
        let of_environment = variable("AZURE_TENANT_ID");
        let mut ways = Vec::new();
        if let (Some(id), Some(home)) = (&id, &of_environment) {
            if let Some(proof) = of_variables(variable)? {
                ways.push(Way::Client("environment", Client::new(&places.authority, home, id, proof)));
            }
            if let Some(path) = variable("AZURE_FEDERATED_TOKEN_FILE") {
                let home = if tenant.is_empty() { home } else { tenant };
                let proof = Proof::Federated(path.into());
                ways.push(Way::Client("workload identity", Client::new(&places.authority, home, id, proof)));
            }
        }
        ways.push(Way::Identity(Identity::new(&id.unwrap_or_default(), &places.machine, variable)));
        ways.push(Way::Cli { tenant: tenant.to_owned() });
        Ok(Self { ways, worked: OnceLock::new() })
    }

    pub(super) async fn token(&self, asker: &Asker, scope: &str) -> Result<Token, String> {
        if let Some(way) = self.worked.get().and_then(|found| self.ways.get(*found)) {
            return way.token(asker, scope).await;
        }
        let mut errors = Vec::new();
        for (index, way) in self.ways.iter().enumerate() {
            match way.token(asker, scope).await {
                Ok(token) => {
                    // Whoever was first with one that works decides.
                    self.worked.get_or_init(|| index);
                    return Ok(token);
                }
                Err(error) => errors.push(error),
            }
        }
        Err(format!("no credentials of Azure on this machine: {}", errors.join("; ")))
    }
}

fn of_variables(variable: Variable) -> Result<Option<Proof>, CloudError> {
    if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
        return Ok(Some(Proof::Secret(Secret::new(secret))));
    }
    let Some(certificate_path) = variable("AZURE_CLIENT_CERTIFICATE_PATH") else {
        return Ok(None);
    };
    let config = AzureCertificateConfig { certificate_path, ..AzureCertificateConfig::default() };
    Ok(Some(Proof::Certificate(Box::new(Certificate::read(&config)?))))
}

impl Way {
    async fn token(&self, asker: &Asker, scope: &str) -> Result<Token, String> {
        match self {
            Self::Client(name, client) => {
                client.token(asker, scope).await.map_err(|e| format!("{name}: {e}"))
            }
            Self::Identity(identity) => identity.token(asker, scope).await,
            Self::Cli { tenant } => of_cli(tenant, scope).await.map_err(|e| format!("Azure CLI: {e}")),
        }
    }
}

async fn of_cli(tenant: &str, scope: &str) -> Result<Token, String> {
    let mut command = tokio::process::Command::new("az");
    command.args(["account", "get-access-token", "-o", "json", "--resource", resource(scope)]);
    if !tenant.is_empty() {
        command.args(["--tenant", tenant]);
    }
    let ran =
        command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|e| format!("az: {e}"))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        return Err(format!("az: {}", said.lines().next().unwrap_or("it failed without a word")));
    }
    let said: Value = serde_json::from_slice(&ran.stdout).map_err(|e| format!("az: {e}"))?;
    let life = said["expires_on"].as_u64().map_or(600, |end| end.saturating_sub(crate::jwt::now_s()));
    token::read(&serde_json::json!({"access_token": said["accessToken"], "expires_in": life}))
}
