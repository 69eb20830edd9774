//! Following redirects as Go's client does: at most ten, and no credentials to another host.

use http::{HeaderMap, Method, header};
use url::Url;

use super::error::Cause;

const MAX: usize = 10;

/// What the next request of a chain asks.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    /// Whether the body goes along.
    pub(super) with_body: bool,
    /// Once the chain left the first host it stays "crossed", also when it comes back.
    pub(super) crossed_hosts: bool,
    first_host: String,
    count: usize,
}

impl Hop {
    pub(super) fn first(method: &Method, url: &Url) -> Self {
        let first_host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        Self {
            method: method.clone(),
            url: url.clone(),
            with_body: true,
            crossed_hosts: false,
            first_host,
            count: 0,
        }
    }

    /// The hop after an answer, or `None` when the answer is no redirect to follow.
    pub(super) fn next(&self, status: u16, headers: &HeaderMap) -> Result<Option<Self>, Cause> {
        let keeps_method = match status {
            301..=303 => self.method == Method::GET || self.method == Method::HEAD,
            307 | 308 => true,
            _ => return Ok(None),
        };
        let Some(location) = headers.get(header::LOCATION) else {
            return Ok(None);
        };
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        if self.count >= MAX {
            return Err(Cause::TooManyRedirects);
        }
        let url = self.url.join(&location).map_err(|e| Cause::BadLocation(location, e.to_string()))?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        Ok(Some(Self {
            method: if keeps_method { self.method.clone() } else { Method::GET },
            with_body: self.with_body && keeps_method,
            crossed_hosts: self.crossed_hosts || !is_same_or_under(&host, &self.first_host),
            url,
            first_host: self.first_host.clone(),
            count: self.count + 1,
        }))
    }
}

fn is_same_or_under(host: &str, parent: &str) -> bool {
    if host == parent {
        return true;
    }
    let is_address = host.contains([':', '%']);
    !is_address && !parent.is_empty() && host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(first: &str, locations: &[&str], expected_url: &str, crossed: bool) {
        let mut hop = Hop::first(&Method::GET, &Url::parse(first).unwrap());
        for location in locations {
            let headers = HeaderMap::from_iter([(header::LOCATION, location.parse().unwrap())]);
            hop = hop.next(302, &headers).unwrap().unwrap();
        }
        assert_eq!((hop.url.as_str(), hop.crossed_hosts), (expected_url, crossed));
    }

    #[test]
    fn credentials_stay_home_once_the_chain_left_its_host() {
        check("http://a.org/m", &["/x?y=1"], "http://a.org/x?y=1", false);
        check("http://a.org/m", &["http://b.a.org:81/"], "http://b.a.org:81/", false);
        check("http://a.org/m", &["http://ba.org/"], "http://ba.org/", true);
        check("http://a.org/m", &["http://b.org/", "http://a.org/"], "http://a.org/", true);
        check("http://b.a.org/m", &["http://a.org/"], "http://a.org/", true);
    }

    #[test]
    fn a_post_becomes_a_get_unless_the_status_forbids_it() {
        let hop = Hop::first(&Method::POST, &Url::parse("http://a/").unwrap());
        let headers = HeaderMap::from_iter([(header::LOCATION, "/b".parse().unwrap())]);
        let after = |status| hop.next(status, &headers).unwrap().map(|h| (h.method, h.with_body));
        assert_eq!(after(302), Some((Method::GET, false)));
        assert_eq!(after(307), Some((Method::POST, true)));
        assert_eq!(after(304), None);
    }
}
