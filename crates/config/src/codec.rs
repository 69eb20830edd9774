//! How a field's value is read from a node and printed again: one small type for each kind of value in the file.
//!
//! Always true: `read` notes what is wrong and returns `None`, then the field keeps its default; null gives the zero value.

mod list;
mod map;
mod path;
mod relabel;
mod scalar;
mod target_group;
mod web;
mod word;

pub(crate) use list::{Entries, Entry, List, Maybe, Object};
pub use map::AnyValue;
pub(crate) use map::{AnyMap, LabelMap, LabelSet, ListMap, MapOf, SecretsMap, TextMap};
pub(crate) use path::{FilePath, clean, directory_of};
pub(crate) use relabel::{ActionWord, LabelNames, Pattern, Relabels};
pub(crate) use scalar::{
    Address, Duration, Flag, Float, Hidden, Int, Int64, MaybeDuration, MaybeFlag, Size, Text, Uint, Uint64,
};
pub(crate) use target_group::{TargetGroups, check_addresses};
pub(crate) use web::{AllowedNames, CipherSuite, Curve, GoDuration, Users};
pub(crate) use word::{
    ApiVersion, AwsRole, DigitalOceanRole, HetznerRole, KubernetesRole, OpenstackRole, ProtocolWord,
    Protocols, ScalewayRole, TracingClient, Validation,
};

use crate::decode::Decoder;
use crate::yaml::{NodeRef, Yaml};

/// Reads and prints one kind of value.
pub(crate) trait Codec {
    /// The value in memory.
    type Value;
    /// The name of the type in Prometheus' errors.
    const GO_TYPE: &'static str;
    /// Its name there as the item of a list.
    const ITEM_TYPE: &'static str = Self::GO_TYPE;
    /// The name of a mapping to lists of it.
    const MAP_OF_LISTS_TYPE: &'static str = "url.Values";
    /// The name of a mapping to it.
    fn map_type() -> String {
        format!("map[string]{}", Self::GO_TYPE)
    }
    /// Whether null empties it even where null leaves other defaults alone (lists, mappings, what may be absent).
    const CLEARED_BY_NULL: bool = false;
    /// Reads a node that may be an alias or null.
    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value>;
    /// Whether `omit` leaves it out.
    fn is_zero(value: &Self::Value) -> bool;
    /// The value of null.
    fn zero() -> Self::Value;
    /// The value as it is shown.
    fn print(value: &Self::Value) -> Yaml;
}
