//! Single values: texts, numbers, booleans, durations, sizes, secrets, URLs.

use narthex_model::{format_duration_ms, parse_duration_ms};

use super::Codec;
use crate::decode::Decoder;
use crate::secret::HIDDEN;
use crate::size::{format_size, parse_size};
use crate::yaml::{Kind, NodeRef, Resolved, Yaml};
use crate::{Secret, Url};

/// A text.
pub(crate) struct Text;

impl Codec for Text {
    type Value = String;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<String> {
        let node = d.visit(node)?;
        d.text(node)
    }

    fn is_zero(value: &String) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        String::new()
    }

    fn print(value: &String) -> Yaml {
        Yaml::Text(value.clone())
    }
}

/// A boolean.
pub(crate) struct Flag;

impl Codec for Flag {
    type Value = bool;
    const GO_TYPE: &'static str = "bool";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<bool> {
        MaybeFlag::read(node, d).map(Option::unwrap_or_default)
    }

    fn is_zero(value: &bool) -> bool {
        !value
    }

    fn zero() -> Self::Value {
        false
    }

    fn print(value: &bool) -> Yaml {
        Yaml::Bool(*value)
    }
}

/// A boolean that may be unset.
pub(crate) struct MaybeFlag;

impl Codec for MaybeFlag {
    type Value = Option<bool>;
    const GO_TYPE: &'static str = "bool";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Option<bool>> {
        let node = d.visit(node)?;
        if !matches!(node.kind(), Kind::Scalar { .. }) {
            d.wrong_type(node, Self::GO_TYPE);
            return None;
        }
        match d.resolve(node)? {
            Resolved::Null => Some(None),
            Resolved::Bool(b) => Some(Some(b)),
            _ => {
                d.wrong_type(node, Self::GO_TYPE);
                None
            }
        }
    }

    fn is_zero(value: &Option<bool>) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Option<bool>) -> Yaml {
        value.map_or(Yaml::Null, Yaml::Bool)
    }
}

/// A number between bounds, or what is wrong noted.
fn read_number<T>(
    node: NodeRef<'_>,
    d: &mut Decoder,
    go_type: &str,
    convert: impl Fn(&Resolved) -> Option<T>,
) -> Option<T> {
    let node = d.visit(node)?;
    let is_scalar = matches!(node.kind(), Kind::Scalar { .. });
    let resolved = if is_scalar { Some(d.resolve(node)?) } else { None };
    let number = resolved.as_ref().and_then(convert);
    if number.is_none() {
        d.wrong_type(node, go_type);
    }
    number
}

/// go-yaml cuts the fraction off.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the bounds are checked; the fraction is cut as go-yaml does"
)]
fn to_i64(r: &Resolved) -> Option<i64> {
    match r {
        Resolved::Null => Some(0),
        Resolved::Int(i) => Some(*i),
        Resolved::Float(f) if *f >= -9.223_372_036_854_775e18 && *f <= 9.223_372_036_854_775e18 => {
            Some(*f as i64)
        }
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are checked")]
fn to_u64(r: &Resolved) -> Option<u64> {
    match r {
        Resolved::Null => Some(0),
        Resolved::Int(i) => u64::try_from(*i).ok(),
        Resolved::Uint(u) => Some(*u),
        Resolved::Float(f) if *f >= 0.0 && *f <= 1.844_674_407_370_955e19 => Some(*f as u64),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a float field rounds a large integer")]
fn to_f64(r: &Resolved) -> Option<f64> {
    match r {
        Resolved::Null => Some(0.0),
        Resolved::Int(i) => Some(*i as f64),
        Resolved::Uint(u) => Some(*u as f64),
        Resolved::Float(f) => Some(*f),
        _ => None,
    }
}

/// A codec of whole numbers: name, Rust type, Go's name, conversion.
macro_rules! number_codec {
    ($(#[$meta:meta])* $name:ident, $ty:ty, $go:literal, $convert:path, $print:expr) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl Codec for $name {
            type Value = $ty;
            const GO_TYPE: &'static str = $go;

            fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<$ty> {
                read_number(node, d, Self::GO_TYPE, $convert)
            }

            fn is_zero(value: &$ty) -> bool {
                *value == <$ty>::default()
            }

            fn zero() -> $ty {
                <$ty>::default()
            }

            fn print(value: &$ty) -> Yaml {
                $print(*value)
            }
        }
    };
}

number_codec!(
    /// A signed number.
    Int, i64, "int", to_i64, Yaml::Int
);
number_codec!(
    /// A signed number of 64 bits by name.
    Int64, i64, "int64", to_i64, Yaml::Int
);
number_codec!(
    /// A number from 0.
    Uint, u64, "uint", to_u64, Yaml::Uint
);
number_codec!(
    /// A number from 0, of 64 bits by name.
    Uint64, u64, "uint64", to_u64, Yaml::Uint
);
number_codec!(
    /// A float.
    Float, f64, "float64", to_f64, Yaml::Float
);

/// A duration, in milliseconds.
pub(crate) struct Duration;

impl Codec for Duration {
    type Value = i64;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<i64> {
        let node = d.visit(node)?;
        if node.is_null() {
            return Some(0);
        }
        let text = d.text(node)?;
        match parse_duration_ms(&text) {
            Ok(ms) => Some(ms),
            Err(e) => {
                d.rule(node.mark(), e.to_string());
                None
            }
        }
    }

    fn is_zero(value: &i64) -> bool {
        *value == 0
    }

    fn zero() -> Self::Value {
        0
    }

    fn print(value: &i64) -> Yaml {
        Yaml::Text(format_duration_ms(*value))
    }
}

/// A duration that may be unset, in milliseconds.
pub(crate) struct MaybeDuration;

impl Codec for MaybeDuration {
    type Value = Option<i64>;
    const GO_TYPE: &'static str = Duration::GO_TYPE;
    const CLEARED_BY_NULL: bool = true;

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Option<i64>> {
        if node.resolved().is_null() { Some(None) } else { Duration::read(node, d).map(Some) }
    }

    fn is_zero(value: &Option<i64>) -> bool {
        value.is_none()
    }

    fn zero() -> Option<i64> {
        None
    }

    fn print(value: &Option<i64>) -> Yaml {
        value.as_ref().map_or(Yaml::Null, Duration::print)
    }
}

/// A size, in bytes.
pub(crate) struct Size;

impl Codec for Size {
    type Value = i64;
    const GO_TYPE: &'static str = "units.Base2Bytes";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<i64> {
        let node = d.visit(node)?;
        let Kind::Scalar { value, .. } = node.kind() else {
            d.wrong_type(node, Self::GO_TYPE);
            return None;
        };
        if matches!(d.resolve(node)?, Resolved::Null) {
            return Some(0);
        }
        match parse_size(value) {
            Ok(bytes) => Some(bytes),
            Err(text) => {
                d.rule(node.mark(), text);
                None
            }
        }
    }

    fn is_zero(value: &i64) -> bool {
        *value == 0
    }

    fn zero() -> Self::Value {
        0
    }

    fn print(value: &i64) -> Yaml {
        Yaml::Text(format_size(*value))
    }
}

/// A secret.
pub(crate) struct Hidden;

impl Codec for Hidden {
    type Value = Secret;
    const GO_TYPE: &'static str = "config.plain";
    const ITEM_TYPE: &'static str = "config.Secret";
    const MAP_OF_LISTS_TYPE: &'static str = "config.ProxyHeader";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Secret> {
        let node = d.visit(node)?;
        if !matches!(node.kind(), Kind::Scalar { .. }) {
            d.wrong_type(node, Self::GO_TYPE);
            return None;
        }
        d.text(node).map(Secret::new)
    }

    fn is_zero(value: &Secret) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Secret::default()
    }

    fn print(value: &Secret) -> Yaml {
        if value.is_empty() { Yaml::Null } else { Yaml::Text(HIDDEN.to_owned()) }
    }
}

/// A URL.
pub(crate) struct Address;

impl Codec for Address {
    type Value = Option<Url>;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Option<Url>> {
        let node = d.visit(node)?;
        if node.is_null() {
            return Some(None);
        }
        let text = d.text(node)?;
        match Url::parse(&text) {
            Ok(url) => Some(Some(url)),
            Err(e) => {
                d.rule(node.mark(), e.to_string());
                None
            }
        }
    }

    fn is_zero(value: &Option<Url>) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Option<Url>) -> Yaml {
        value.as_ref().map_or(Yaml::Null, |url| Yaml::Text(url.to_string()))
    }
}
