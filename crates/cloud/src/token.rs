//! Tokens that are fetched, kept, and renewed before they end.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};
use narthex_net::client::{Authorized, Authorizer, Unsigned};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token as its issuer gave it.
#[derive(Clone)]
pub(crate) struct Token {
    secret: String,
    /// How long it is valid from now on.
    pub(crate) life: Duration,
}

impl Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(life {:?})", self.life)
    }
}

/// What [`Source::fetch`] gives.
pub(crate) type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Token, String>> + Send + 'a>>;

/// Where tokens come from.
pub(crate) trait Source: Debug + Send + Sync {
    /// Fetches a new token.
    fn fetch(&self) -> Fetched<'_>;

    /// A header that goes with the token.
    fn companion(&self) -> Option<(HeaderName, HeaderValue)> {
        None
    }
}

/// When a token is renewed, in shares of its life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Renewal {
    /// In the middle of its life, as Prometheus does with those of Azure.
    Half,
    /// So long before its end.
    Before(Duration),
}

impl Renewal {
    fn after(self, life: Duration) -> Duration {
        match self {
            Self::Half => life / 2,
            Self::Before(early) => life.saturating_sub(early),
        }
    }
}

/// Puts the newest token of a source on each request.
#[derive(Debug)]
pub(crate) struct Tokens<S> {
    source: S,
    renewal: Renewal,
    /// Held while a token is fetched, so that one fetch serves all who wait.
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    header: HeaderValue,
    renew: Instant,
    ends: Instant,
}

impl<S: Source> Tokens<S> {
    pub(crate) fn new(source: S, renewal: Renewal) -> Self {
        Self { source, renewal, held: Mutex::new(None) }
    }

    /// The `Authorization` value. While a new token cannot be had the old one serves to its end.
    async fn header(&self) -> Result<HeaderValue, String> {
        /// After a failure with a valid token at hand the next try waits so long.
        const PAUSE: Duration = Duration::from_secs(10);
        let mut held = self.held.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.renew > Instant::now()) {
            return Ok(token.header.clone());
        }
        match self.source.fetch().await {
            Ok(token) => {
                let (header, now) = (bearer(&token)?, Instant::now());
                let renew = now + self.renewal.after(token.life);
                *held = Some(Held { header: header.clone(), renew, ends: now + token.life });
                Ok(header)
            }
            Err(error) => match held.as_mut().filter(|token| token.ends > Instant::now()) {
                Some(token) => {
                    token.renew = Instant::now() + PAUSE;
                    Ok(token.header.clone())
                }
                None => Err(error),
            },
        }
    }
}

fn bearer(token: &Token) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.secret));
    let mut value = value.map_err(|_| "the token holds characters that no header may hold".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

impl<S: Source> Authorizer for Tokens<S> {
    fn authorize<'a>(&'a self, request: Unsigned<'a>) -> Authorized<'a> {
        Box::pin(async move {
            let value = self.header().await.map_err(|e| format!("Failed to get access token: {e}"))?;
            request.headers.insert(header::AUTHORIZATION, value);
            if let Some((name, value)) = self.source.companion() {
                request.headers.insert(name, value);
            }
            Ok(())
        })
    }
}

/// Reads an answer with `access_token` and `expires_in` (seconds, as a number or as text).
pub(crate) fn read(answer: &Value) -> Result<Token, String> {
    /// What a token endpoint means that says nothing; and a bound for one that says too much.
    const DEFAULT_S: f64 = 3600.0;
    const MOST_S: f64 = 1e6;
    let secret = answer["access_token"].as_str().filter(|t| !t.is_empty());
    let secret = secret.ok_or("the answer holds no access_token")?;
    let life = &answer["expires_in"];
    let life = life.as_f64().or_else(|| life.as_str()?.parse().ok()).unwrap_or(DEFAULT_S);
    if life.is_nan() || life <= 0.0 {
        return Err("access token expiry is less than the current time".to_owned());
    }
    Ok(Token { secret: secret.to_owned(), life: Duration::from_secs_f64(life.min(MOST_S)) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    /// Gives tokens that live 100 s, but not the second time.
    #[derive(Debug, Default)]
    struct Moody(AtomicUsize);

    impl Source for Moody {
        fn fetch(&self) -> Fetched<'_> {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                if count == 1 {
                    return Err("down".to_owned());
                }
                read(&json!({"access_token": format!("t{count}"), "expires_in": "100"}))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_kept_renewed_in_time_and_used_on_while_there_is_no_new_one() {
        let tokens = Tokens::new(Moody::default(), Renewal::Half);
        let after = async |seconds| {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            tokens.header().await.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(after(0).await.as_deref(), Ok("Bearer t0"));
        assert_eq!(after(49).await.as_deref(), Ok("Bearer t0"));
        assert_eq!(after(2).await.as_deref(), Ok("Bearer t0"), "the fetch failed, the old one is valid");
        assert_eq!(tokens.source.0.load(Ordering::SeqCst), 2);
        assert_eq!(after(9).await.as_deref(), Ok("Bearer t0"), "no fetch in between");
        assert_eq!(after(2).await.as_deref(), Ok("Bearer t2"));
        assert_eq!(tokens.source.0.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_ended_is_not_used() {
        let tokens = Tokens::new(Moody::default(), Renewal::Before(Duration::from_secs(10)));
        assert!(tokens.header().await.is_ok());
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(tokens.header().await, Err("down".to_owned()));
    }

    #[test]
    fn answers_without_a_token_or_a_life_are_errors() {
        assert_eq!(read(&json!({"access_token": "a"})).unwrap().life, Duration::from_secs(3600));
        assert_eq!(
            read(&json!({"access_token": "a", "expires_in": 1e300})).unwrap().life.as_secs(),
            1_000_000
        );
        for bad in
            [json!({}), json!({"access_token": ""}), json!({"access_token": "a", "expires_in": 0}), json!([])]
        {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_print() {
        assert!(!format!("{:?}", read(&json!({"access_token": "hidden"})).unwrap()).contains("hidden"));
    }
}
