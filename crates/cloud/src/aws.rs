//! AWS Signature Version 4 over requests, with credentials from the configuration or from AWS' default places.
//!
//! The signature and the chain of places are those of the `reqsign` crates. What is signed is the method, the path, the query,
//! the host, the date and the body, and no header that something between may change.
//! COMPAT: Prometheus refuses to start when it finds no credentials; here they are looked for with each request until they are there.

mod context;
mod region;
mod role;

use std::fmt::Write as _;
use std::sync::Arc;

use http::request::Parts;
use narthex_config::SigV4Config;
use narthex_net::client::{Authorized, Authorizer, Unsigned};
use reqsign_aws_core::{Credential, DefaultCredentialProvider, StaticCredentialProvider};
use reqsign_aws_v4::RequestSigner;
use reqsign_core::{Context, Signer};
use ring::digest;

use crate::CloudError;
use crate::ask::Asker;
use role::Role;

/// The service that takes samples.
const SERVICE: &str = "aps";
const BODY_HASH: &str = "x-amz-content-sha256";

/// Signs each request.
#[derive(Debug)]
struct Sigv4 {
    signer: Signer<Credential>,
}

pub(crate) fn signer(config: &SigV4Config) -> Result<Arc<dyn Authorizer>, CloudError> {
    Ok(Arc::new(Sigv4::new(config, context::real(Asker::new()?))?))
}

impl Sigv4 {
    fn new(config: &SigV4Config, context: Context) -> Result<Self, CloudError> {
        let region = region::find(config, &context).ok_or(CloudError::Region)?;
        let signed = RequestSigner::new(SERVICE, &region);
        let own = own_signer(config, &context, RequestSigner::new("sts", &region));
        let signer = if config.role_arn.is_empty() {
            own.with_request_signer(signed)
        } else {
            Signer::new(context, Role::new(config, region, own), signed)
        };
        Ok(Self { signer })
    }

    async fn sign(&self, request: Unsigned<'_>) -> Result<(), String> {
        let mut parts = signed_parts(&request)?;
        self.signer
            .sign(&mut parts, None)
            .await
            .map_err(|e| format!("could not get SigV4 credentials: {e}"))?;
        parts.headers.remove(http::header::HOST);
        request.headers.extend(parts.headers);
        Ok(())
    }
}

impl Authorizer for Sigv4 {
    fn authorize<'a>(&'a self, request: Unsigned<'a>) -> Authorized<'a> {
        Box::pin(self.sign(request))
    }
}

/// Signs with the credentials of the configuration, of its profile, or of the first place that has some.
fn own_signer(config: &SigV4Config, context: &Context, signed: RequestSigner) -> Signer<Credential> {
    let context = context.clone();
    if !config.access_key.is_empty() {
        let keys = StaticCredentialProvider::new(&config.access_key, config.secret_key.expose());
        return Signer::new(context, keys, signed);
    }
    let chain = DefaultCredentialProvider::builder();
    // A profile that was asked for by name goes before keys of the environment.
    let chain = if config.profile.is_empty() { chain } else { chain.no_env().with_profile(&config.profile) };
    Signer::new(context, chain.build(), signed)
}

/// The parts of a request that are signed. Of services other than S3, AWS sees the path without empty segments and encoded once
/// more than it was sent.
fn signed_parts(request: &Unsigned<'_>) -> Result<Parts, String> {
    let mut path = request.url.path().replace('%', "%25");
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    let query = request.url.query().map_or_else(String::new, |query| format!("?{query}"));
    let host = request.url.host_str().unwrap_or_default();
    let port = request.url.port().map_or_else(String::new, |port| format!(":{port}"));
    let signed = http::Request::builder()
        .method(request.method)
        .uri(format!("{}://{host}{port}{path}{query}", request.url.scheme()))
        .header(BODY_HASH, hex(digest::digest(&digest::SHA256, request.body).as_ref()))
        .body(());
    signed.map(|signed| signed.into_parts().0).map_err(|e| format!("a request that cannot be signed: {e}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests;
