//! Credentials of clouds that remote endpoints and Alertmanagers ask for.

use crate::Secret;
use crate::decode::Check;
use crate::section::section;

section! {
    /// AWS Signature Version 4.
    pub struct SigV4Config("sigv4.plain") {
        /// The region; empty: from the environment.
        region: String = String::new() => "region" omit Text,
        /// The key id; set together with `secret_key`.
        access_key: String = String::new() => "access_key" omit Text,
        /// The key.
        secret_key: Secret = Secret::default() => "secret_key" omit Hidden,
        /// A named profile.
        profile: String = String::new() => "profile" omit Text,
        /// A role to assume.
        role_arn: String = String::new() => "role_arn" omit Text,
        /// The external id of the assumed role.
        external_id: String = String::new() => "external_id" omit Text,
        /// Use the FIPS endpoint of STS.
        use_fips_sts_endpoint: bool = false => "use_fips_sts_endpoint" omit Flag,
    }
}

section! {
    /// Microsoft Entra ID (Azure AD). Exactly one of the methods is set.
    pub struct AzureAdConfig("azuread.plain") {
        /// An identity that the machine has.
        managed_identity: Option<ManagedIdentityConfig> = None => "managed_identity" omit Maybe<ManagedIdentityConfig>,
        /// A federated token of a workload.
        workload_identity: Option<WorkloadIdentityConfig> = None => "workload_identity" omit Maybe<WorkloadIdentityConfig>,
        /// A client secret.
        oauth: Option<AzureOAuthConfig> = None => "oauth" omit Maybe<AzureOAuthConfig>,
        /// The default credential chain.
        sdk: Option<AzureSdkConfig> = None => "sdk" omit Maybe<AzureSdkConfig>,
        /// A client certificate.
        certificate: Option<AzureCertificateConfig> = None => "certificate" omit Maybe<AzureCertificateConfig>,
        /// `AzurePublic` (default), `AzureChina` or `AzureGovernment`.
        cloud: String = String::new() => "cloud" omit Text,
        /// The scope to ask for; empty: the ingestion scope of the cloud.
        scope: String = String::new() => "scope" omit Text,
    }
}

section! {
    /// An identity that the machine has.
    pub struct ManagedIdentityConfig("azuread.ManagedIdentityConfig") {
        /// The client id of a user-assigned identity; empty: the system's.
        client_id: String = String::new() => "client_id" omit Text,
    }
}

section! {
    /// A federated token of a workload.
    pub struct WorkloadIdentityConfig("azuread.WorkloadIdentityConfig") {
        /// The client id.
        client_id: String = String::new() => "client_id" omit Text,
        /// The tenant.
        tenant_id: String = String::new() => "tenant_id" omit Text,
        /// Where the token lies.
        token_file_path: String = String::new() => "token_file_path" omit Text,
    }
}

section! {
    /// A client secret of Microsoft Entra.
    pub struct AzureOAuthConfig("azuread.OAuthConfig") {
        /// The client id.
        client_id: String = String::new() => "client_id" omit Text,
        /// The secret.
        client_secret: Secret = Secret::default() => "client_secret" omit Hidden,
        /// The tenant.
        tenant_id: String = String::new() => "tenant_id" omit Text,
    }
}

section! {
    /// The default credential chain of Microsoft Entra.
    pub struct AzureSdkConfig("azuread.SDKConfig") {
        /// The tenant; empty: the default one.
        tenant_id: String = String::new() => "tenant_id" omit Text,
    }
}

section! {
    /// A client certificate of Microsoft Entra.
    pub struct AzureCertificateConfig("azuread.CertificateConfig") {
        /// The client id.
        client_id: String = String::new() => "client_id" omit Text,
        /// The tenant.
        tenant_id: String = String::new() => "tenant_id" omit Text,
        /// The certificate, PEM or PFX.
        certificate_path: String = String::new() => "certificate_path" omit Text,
        /// The key, when it is not with the certificate.
        certificate_key_path: String = String::new() => "certificate_key_path" omit Text,
        /// The password of a PFX file.
        certificate_password: Secret = Secret::default() => "certificate_password" omit Hidden,
        /// Whether the whole chain is sent.
        send_certificate_chain: bool = false => "send_certificate_chain" omit Flag,
    }
}

section! {
    /// Google Cloud IAM.
    pub struct GoogleIamConfig("googleiam.Config") {
        /// A file with credentials; empty: the default credentials of the machine.
        credentials_file: String = String::new() => "credentials_file" omit Text,
    }
}

/// `8-4-4-4-12` hexadecimal digits, also in the forms with braces, `urn:uuid:` or without dashes.
fn is_uuid(text: &str) -> bool {
    let inner = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let inner = inner.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(inner);
    let lengths: Vec<usize> = inner.split('-').map(str::len).collect();
    (lengths == [8, 4, 4, 4, 12] || lengths == [32])
        && inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn require(value: &str, what: &str) -> Result<(), String> {
    if value.is_empty() {
        Err(format!("must provide an Azure {what} in the Azure AD config"))
    } else {
        Ok(())
    }
}

fn require_uuid(value: &str, what: &str) -> Result<(), String> {
    if is_uuid(value) { Ok(()) } else { Err(format!("the provided Azure {what} is invalid")) }
}

impl Check for SigV4Config {
    fn verify(&mut self) -> Result<(), String> {
        if self.access_key.is_empty() != self.secret_key.is_empty() {
            let text = "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config";
            return Err(text.to_owned());
        }
        if !self.external_id.is_empty() && self.role_arn.is_empty() {
            return Err("external_id can only be used with role_arn".to_owned());
        }
        Ok(())
    }
}

impl Check for AzureAdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.cloud.is_empty() {
            "AzurePublic".clone_into(&mut self.cloud);
        }
        if !matches!(self.cloud.as_str(), "AzurePublic" | "AzureChina" | "AzureGovernment") {
            return Err("must provide a cloud in the Azure AD config".to_owned());
        }
        self.verify_method()?;
        let in_scope = |c: char| c.is_ascii_alphanumeric() || "_:/.-".contains(c) || c.is_ascii_whitespace();
        if !self.scope.chars().all(in_scope) {
            return Err("the provided scope contains invalid characters".to_owned());
        }
        Ok(())
    }
}

impl AzureAdConfig {
    /// Exactly one method, and that one complete.
    fn verify_method(&mut self) -> Result<(), String> {
        let methods = [
            self.managed_identity.is_some(),
            self.workload_identity.is_some(),
            self.oauth.is_some(),
            self.sdk.is_some(),
            self.certificate.is_some(),
        ];
        match methods.into_iter().filter(|m| *m).count() {
            0 => {
                let known =
                    "Managed Identity, Azure Workload Identity, Azure OAuth, Azure Certificate or Azure SDK";
                return Err(format!("must provide an Azure {known} in the Azure AD config"));
            }
            1 => {}
            _ => {
                return Err(
                    "cannot provide multiple authentication methods in the Azure AD config".to_owned()
                );
            }
        }
        if let Some(m) = self.managed_identity.as_ref().filter(|m| !m.client_id.is_empty()) {
            require_uuid(&m.client_id, "Managed Identity client_id")?;
        }
        if let Some(w) = &mut self.workload_identity {
            w.complete()?;
        }
        if let Some(o) = &self.oauth {
            require(&o.client_id, "OAuth client_id")?;
            require(o.client_secret.expose(), "OAuth client_secret")?;
            require(&o.tenant_id, "OAuth tenant_id")?;
            require_uuid(&o.client_id, "OAuth client_id")?;
        }
        if let Some(c) = &self.certificate {
            require(&c.client_id, "Certificate client_id")?;
            require(&c.tenant_id, "Certificate tenant_id")?;
            require(&c.certificate_path, "Certificate certificate_path")?;
            require_uuid(&c.client_id, "Certificate client_id")?;
        }
        Ok(())
    }
}

impl WorkloadIdentityConfig {
    fn complete(&mut self) -> Result<(), String> {
        /// Where Azure mounts the token unless the environment says otherwise.
        const DEFAULT_TOKEN: &str = "/var/run/secrets/azure/tokens/azure-identity-token";
        require(&self.client_id, "Workload Identity client_id")?;
        require(&self.tenant_id, "Workload Identity tenant_id")?;
        require_uuid(&self.client_id, "Workload Identity client_id")?;
        require_uuid(&self.tenant_id, "Workload Identity tenant_id")?;
        if self.token_file_path.is_empty() {
            let from_environment = std::env::var("AZURE_FEDERATED_TOKEN_FILE").ok().filter(|p| !p.is_empty());
            self.token_file_path = from_environment.unwrap_or_else(|| DEFAULT_TOKEN.to_owned());
        }
        Ok(())
    }
}

impl Check for ManagedIdentityConfig {}
impl Check for WorkloadIdentityConfig {}
impl Check for AzureOAuthConfig {}
impl Check for AzureSdkConfig {}
impl Check for AzureCertificateConfig {}
impl Check for GoogleIamConfig {}
