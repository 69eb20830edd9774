//! The place where a cloud's credentials come to a request: signatures and tokens are made elsewhere.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use http::{HeaderMap, Method};
use url::Url;

/// A request as it is about to be sent, also again after a redirect on the same host.
#[derive(Debug)]
pub struct Unsigned<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where to.
    pub url: &'a Url,
    /// The body as it goes over the wire.
    pub body: &'a [u8],
    /// All headers but `Host` and `Content-Length`; what authorises the request is added here.
    pub headers: &'a mut HeaderMap,
}

/// What [`Authorizer::authorize`] gives: nothing, or why there are no credentials.
pub type Authorized<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Authorises requests. It is asked for each of them, so it keeps what it fetched.
pub trait Authorizer: Debug + Send + Sync {
    /// Adds headers to a request. An error means that the request is not sent.
    fn authorize<'a>(&'a self, request: Unsigned<'a>) -> Authorized<'a>;
}
