//! Credentials of clouds that remote endpoints and Alertmanagers ask for.

use crate::Secret;
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
        /// `AzurePublic` (default), `AzureChina` or `AzureGovernment`.
        cloud: String = String::new() => "cloud" omit Text,
    }
}

section! {
    /// Google Cloud IAM.
    pub struct GoogleIamConfig("googleiam.Config") {
        /// A file with credentials; empty: the default credentials of the machine.
        credentials_file: String = String::new() => "credentials_file" omit Text,
    }
}
