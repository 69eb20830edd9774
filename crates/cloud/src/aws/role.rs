//! Credentials of a role that is assumed with other credentials.

use narthex_config::SigV4Config;
use reqsign_aws_core::assume_role::{AssumeRoleOperation, regional_sts_endpoint};
use reqsign_aws_core::{AssumeRoleGrant, Credential};
use reqsign_core::{Context, ProvideCredential, Result, Signer};

/// A role, and who assumes it.
#[derive(Debug)]
pub(super) struct Role {
    grant: AssumeRoleGrant,
    region: String,
    fips: bool,
    own: Signer<Credential>,
}

impl Role {
    pub(super) fn new(config: &SigV4Config, region: String, own: Signer<Credential>) -> Self {
        let grant = AssumeRoleGrant::new(&config.role_arn, "narthex");
        let grant =
            if config.external_id.is_empty() { grant } else { grant.with_external_id(&config.external_id) };
        Self { grant, region, fips: config.use_fips_sts_endpoint, own }
    }

    fn endpoint(&self) -> Result<String> {
        let endpoint = regional_sts_endpoint(&self.region, &self.grant)?;
        Ok(if self.fips { endpoint.replacen("sts.", "sts-fips.", 1) } else { endpoint })
    }
}

impl ProvideCredential for Role {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        let operation = AssumeRoleOperation::new(self.endpoint()?, &self.grant, None)?;
        operation.execute(context, &self.own).await.map(Some)
    }
}
