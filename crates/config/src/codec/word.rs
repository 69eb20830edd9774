//! Fields that hold one of a few words.

use narthex_model::{NameValidation, quote_go};

use super::Codec;
use super::list::read_list;
use crate::decode::Decoder;
use crate::remote_write::{StartFrom, WriteMessage};
use crate::yaml::{Kind, NodeRef, Yaml};
use crate::{ScrapeProtocol, TlsVersion};

/// Reads a text and finds what it names; null is `None`, an unknown word is noted.
fn read_word<T>(
    node: NodeRef<'_>,
    d: &mut Decoder,
    find: impl FnOnce(&str) -> Result<T, String>,
) -> Option<Option<T>> {
    let node = d.visit(node)?;
    if node.is_null() {
        return Some(None);
    }
    let text = d.text(node)?;
    match find(&text) {
        Ok(found) => Some(Some(found)),
        Err(text) => {
            d.rule(node.mark(), text);
            None
        }
    }
}

/// The protocols of a scrape. Unknown ones are left out here; the section that holds them names them with its job.
pub(crate) struct Protocols;

impl Codec for Protocols {
    type Value = Vec<ScrapeProtocol>;
    const GO_TYPE: &'static str = "[]config.ScrapeProtocol";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let words = read_list::<ProtocolWord>(node, d, Self::GO_TYPE)?;
        Some(words.into_iter().flatten().collect())
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Vec::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        Yaml::List(value.iter().map(|p| Yaml::Text(p.as_str().to_owned())).collect())
    }
}

/// One protocol; an unknown one is left out, see above.
pub(crate) struct ProtocolWord;

impl Codec for ProtocolWord {
    type Value = Option<ScrapeProtocol>;
    const GO_TYPE: &'static str = "config.ScrapeProtocol";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let node = d.visit(node)?;
        if !matches!(node.kind(), Kind::Scalar { .. }) {
            d.wrong_type(node, Self::GO_TYPE);
            return None;
        }
        d.text(node).map(|word| ScrapeProtocol::from_name(&word))
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Self::Value) -> Yaml {
        value.map_or(Yaml::Null, |p| Yaml::Text(p.as_str().to_owned()))
    }
}

/// Which names are accepted.
pub(crate) struct Validation;

impl Codec for Validation {
    type Value = Option<NameValidation>;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let found = read_word(node, d, |word| match word {
            "" => Ok(None),
            "legacy" => Ok(Some(NameValidation::Legacy)),
            "utf8" => Ok(Some(NameValidation::Utf8)),
            other => Err(format!("unrecognized ValidationScheme: {}", quote_go(other))),
        })?;
        Some(found.flatten())
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Self::Value) -> Yaml {
        let word = match value {
            None => "",
            Some(NameValidation::Legacy) => "legacy",
            Some(NameValidation::Utf8) => "utf8",
        };
        Yaml::Text(word.to_owned())
    }
}

impl Codec for TlsVersion {
    type Value = Option<TlsVersion>;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        read_word(node, d, |word| {
            Self::ALL
                .into_iter()
                .find(|v| v.as_str() == word)
                .ok_or_else(|| format!("unknown TLS version: {word}"))
        })
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Self::Value) -> Yaml {
        value.map_or(Yaml::Null, |v| Yaml::Text(v.as_str().to_owned()))
    }
}

impl Codec for WriteMessage {
    type Value = WriteMessage;
    const GO_TYPE: &'static str = "remote.WriteMessageType";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let at = d.visit(node)?;
        let word = d.text(at)?;
        match Self::ALL.into_iter().find(|m| m.as_str() == word) {
            Some(message) => Some(message),
            None => {
                let [v1, v2] = Self::ALL.map(Self::as_str);
                let known = format!("supported: {v1}, {v2}");
                let text = format!("unknown type for remote write protobuf message {word}, {known}");
                d.rule(at.mark(), format!("invalid protobuf_message value: {text}"));
                None
            }
        }
    }

    fn is_zero(_: &Self::Value) -> bool {
        false
    }

    fn zero() -> Self::Value {
        Self::V1
    }

    fn print(value: &Self::Value) -> Yaml {
        Yaml::Text(value.as_str().to_owned())
    }
}

impl Codec for StartFrom {
    type Value = StartFrom;
    const GO_TYPE: &'static str = "remote.StartFrom";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        let at = d.visit(node)?;
        let word = d.text(at)?;
        let found = match &*word {
            "now" => Some(Self::Now),
            "oldest" => Some(Self::Oldest),
            ago => narthex_model::parse_duration_ms(ago).ok().map(Self::Ago),
        };
        if found.is_none() {
            let text =
                format!("invalid start_from value: {word:?}, use now, oldest or a duration such as 2h");
            d.rule(at.mark(), text);
        }
        found
    }

    fn is_zero(value: &Self::Value) -> bool {
        *value == Self::Now
    }

    fn zero() -> Self::Value {
        Self::Now
    }

    fn print(value: &Self::Value) -> Yaml {
        Yaml::Text(match value {
            Self::Now => "now".to_owned(),
            Self::Oldest => "oldest".to_owned(),
            Self::Ago(ago_ms) => narthex_model::format_duration_ms(*ago_ms),
        })
    }
}

/// A codec of a text that must be one of some words; null is the empty text.
macro_rules! word_codec {
    ($(#[$meta:meta])* $name:ident, [$($word:literal),*], $error:expr) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl Codec for $name {
            type Value = String;
            const GO_TYPE: &'static str = "string";

            fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<String> {
                let find = |word: &str| match word {
                    $($word)|* => Ok(word.to_owned()),
                    other => Err($error(other)),
                };
                read_word(node, d, find).map(Option::unwrap_or_default)
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

word_codec!(
    /// The API version of Alertmanagers.
    ApiVersion, ["v2"],
    |word: &str| format!("expected Alertmanager api version to be one of [v2] but got {word}")
);
word_codec!(
    /// How spans are sent.
    TracingClient, ["http", "grpc"],
    |word: &str| format!("expected tracing client type to be to be http or grpc, but got {word}")
);
word_codec!(
    /// What of AWS is discovered.
    AwsRole, ["ec2", "ecs", "elasticache", "lightsail", "msk", "rds"],
    |word: &str| format!("unknown AWS SD role {}", quote_go(word))
);
word_codec!(
    /// What of DigitalOcean is discovered.
    DigitalOceanRole, ["droplets", "databases"],
    |word: &str| format!("unknown DigitalOcean SD role {}", quote_go(word))
);
word_codec!(
    /// What of Hetzner is discovered.
    HetznerRole, ["robot", "hcloud"],
    |word: &str| format!("unknown role {}", quote_go(word))
);
word_codec!(
    /// What of Kubernetes is discovered.
    KubernetesRole, ["node", "pod", "service", "endpoints", "endpointslice", "ingress"],
    |word: &str| format!("unknown Kubernetes SD role {}", quote_go(word))
);
word_codec!(
    /// What of `OpenStack` is discovered.
    OpenstackRole, ["hypervisor", "instance", "loadbalancer"],
    |word: &str| format!("unknown OpenStack SD role {}", quote_go(word))
);
word_codec!(
    /// What of Scaleway is discovered.
    ScalewayRole, ["instance", "baremetal"],
    |word: &str| format!("unknown role {}", quote_go(word))
);
