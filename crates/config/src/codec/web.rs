//! Values of the web configuration file: cipher suites, curves, users, Go's durations.

use std::collections::BTreeMap;

use super::map::MapTo;
use super::{Codec, Hidden, List, Text};
use crate::Secret;
use crate::decode::Decoder;
use crate::yaml::{Kind, NodeRef, Resolved, Yaml};

/// A codec of a list item that must be one of some words.
macro_rules! listed_codec {
    ($(#[$meta:meta])* $name:ident, $what:literal, [$($word:literal),* $(,)?]) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl Codec for $name {
            type Value = String;
            const GO_TYPE: &'static str = "string";
            const ITEM_TYPE: &'static str = concat!("web.", stringify!($name));

            fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<String> {
                let node = d.visit(node)?;
                let word = d.text(node)?;
                match word.as_str() {
                    $($word)|* => Some(word),
                    other => {
                        d.rule(node.mark(), format!(concat!("unknown ", $what, ": {}"), other));
                        None
                    }
                }
            }

            fn is_zero(value: &String) -> bool {
                value.is_empty()
            }

            fn zero() -> String {
                String::new()
            }

            fn print(value: &String) -> Yaml {
                Yaml::Text(value.clone())
            }
        }
    };
}

listed_codec!(
    /// A cipher suite that Go counts as secure.
    CipherSuite,
    "cipher",
    [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ]
);
listed_codec!(
    /// A curve.
    Curve,
    "curve",
    ["CurveP256", "CurveP384", "CurveP521", "X25519"]
);

/// Users and the hashes of their passwords.
pub(crate) struct Users;

impl Codec for Users {
    type Value = BTreeMap<String, Secret>;
    const GO_TYPE: &'static str = "map[string]config.Secret";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        MapTo::<Hidden>::read(node, d)
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        BTreeMap::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        MapTo::<Hidden>::print(value)
    }
}

/// Names of which one must be there; not given is something else than an empty list.
pub(crate) struct AllowedNames;

impl Codec for AllowedNames {
    type Value = Option<Vec<String>>;
    const GO_TYPE: &'static str = "[]string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        if d.visit(node)?.is_null() { Some(None) } else { List::<Text>::read(node, d).map(Some) }
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Self::Value) -> Yaml {
        value.as_ref().map_or(Yaml::Null, List::<Text>::print)
    }
}

/// A duration as Go's `time.ParseDuration` reads it, or a number of nanoseconds.
pub(crate) struct GoDuration;

impl Codec for GoDuration {
    type Value = i64;
    const GO_TYPE: &'static str = "time.Duration";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<i64> {
        let node = d.visit(node)?;
        let nanoseconds = match node.kind() {
            Kind::Scalar { value, .. } => match d.resolve(node)? {
                Resolved::Null => Some(0),
                Resolved::Int(i) => Some(i),
                Resolved::Str => parse_go_duration(value),
                _ => None,
            },
            _ => None,
        };
        if nanoseconds.is_none() {
            d.wrong_type(node, Self::GO_TYPE);
        }
        nanoseconds
    }

    fn is_zero(value: &i64) -> bool {
        *value == 0
    }

    fn zero() -> i64 {
        0
    }

    fn print(value: &i64) -> Yaml {
        Yaml::Int(*value)
    }
}

/// `1h2m3.5s`, with a sign; units from `ns` to `h`. Nanoseconds.
fn parse_go_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let unit = match &after[..unit_end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return None,
        };
        total += number * unit;
        rest = &after[unit_end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bound is checked")]
    let nanoseconds = (total < 9.2e18).then_some((sign * total) as i64);
    nanoseconds
}
