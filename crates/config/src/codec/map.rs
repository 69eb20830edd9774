//! Mappings whose keys are the user's: headers, parameters, labels, claims.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::marker::PhantomData;

use narthex_model::Labels;

use super::{Codec, Hidden, List, Object, Text};
use crate::decode::Decoder;
use crate::yaml::{Kind, NodeRef, Resolved, Yaml};

/// Text to something.
pub(crate) struct MapTo<C>(PhantomData<C>);
/// Text to text.
pub(crate) type TextMap = MapTo<Text>;
/// Text to several texts.
pub(crate) type ListMap = MapTo<List<Text>>;
/// Text to several secrets.
pub(crate) type SecretsMap = MapTo<List<Hidden>>;
/// Text to an object.
pub(crate) type MapOf<T> = MapTo<Object<T>>;

/// Reads the pairs of a mapping, merges first come first served by position, as go-yaml does.
fn read_pairs<V>(
    node: NodeRef<'_>,
    d: &mut Decoder,
    out: &mut BTreeMap<String, V>,
    read: &mut dyn FnMut(NodeRef<'_>, &mut Decoder) -> Option<V>,
) {
    for (key, value) in node.pairs() {
        if key.is_merge() {
            let Some(map) = d.visit(value) else { return };
            if map.pairs().any(|(k, _)| k.is_merge()) || !matches!(map.kind(), Kind::Mapping(_)) {
                d.rule(value.mark(), "yaml: map merge requires map or sequence of maps as the value");
            } else {
                d.below(value, |d| read_pairs(map, d, out, read));
            }
            continue;
        }
        let Some(name) = d.visit(key).and_then(|key| d.text_or(key, "is not a valid label name")) else {
            continue;
        };
        let Some(read_value) = d.below(value, |d| read(value, d)) else { continue };
        match out.entry(name) {
            Entry::Occupied(taken) => d.duplicate_key(value, taken.key()),
            Entry::Vacant(free) => {
                free.insert(read_value);
            }
        }
    }
}

fn read_map<V>(
    node: NodeRef<'_>,
    d: &mut Decoder,
    go_type: &str,
    mut read: impl FnMut(NodeRef<'_>, &mut Decoder) -> Option<V>,
) -> Option<BTreeMap<String, V>> {
    let node = d.visit(node)?;
    if node.is_null() {
        return Some(BTreeMap::new());
    }
    if !matches!(node.kind(), Kind::Mapping(_)) {
        d.wrong_type(node, go_type);
        return None;
    }
    if d.has_duplicates(node) {
        return None;
    }
    let mut out = BTreeMap::new();
    read_pairs(node, d, &mut out, &mut read);
    Some(out)
}

impl<C: Codec> Codec for MapTo<C> {
    type Value = BTreeMap<String, C::Value>;
    const GO_TYPE: &'static str = "map[string]string";
    const CLEARED_BY_NULL: bool = true;

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        read_map(node, d, &C::map_type(), C::read)
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        BTreeMap::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        let keys = sorted_keys(value.keys().map(String::as_str));
        Yaml::Map(keys.into_iter().map(|k| (k.to_owned(), C::print(&value[k]))).collect())
    }
}

/// Labels without rules of their own; the section that holds them checks the names.
pub(crate) struct LabelMap;

impl Codec for LabelMap {
    type Value = Labels;
    const GO_TYPE: &'static str = "map[string]string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Labels> {
        TextMap::read(node, d).map(Labels::from_pairs)
    }

    fn is_zero(value: &Labels) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Labels::empty()
    }

    fn print(value: &Labels) -> Yaml {
        let keys = sorted_keys(value.iter().map(|(name, _)| name));
        Yaml::Map(keys.into_iter().map(|k| (k.to_owned(), Yaml::Text(value.value(k).to_owned()))).collect())
    }
}

/// Labels whose names must be names.
pub(crate) struct LabelSet;

impl Codec for LabelSet {
    type Value = Labels;
    const GO_TYPE: &'static str = "model.LabelSet";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Labels> {
        let map = read_map(node, d, Self::GO_TYPE, Text::read)?;
        if map.contains_key("") {
            let at = d.visit(node)?.mark();
            d.rule(at, "\"\" is not a valid label name");
            return None;
        }
        Some(Labels::from_pairs(map))
    }

    fn is_zero(value: &Labels) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Labels::empty()
    }

    fn print(value: &Labels) -> Yaml {
        LabelMap::print(value)
    }
}

/// Any value, as the claims of a token may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyValue {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<AnyValue>),
    /// An object.
    Map(BTreeMap<String, AnyValue>),
}

/// Text to anything.
pub(crate) struct AnyMap;

impl Codec for AnyMap {
    type Value = BTreeMap<String, AnyValue>;
    const GO_TYPE: &'static str = "map[string]interface {}";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        read_map(node, d, Self::GO_TYPE, |value, d| read_any(value, d, 0))
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        BTreeMap::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        print_any(&AnyValue::Map(value.clone()))
    }
}

fn read_any(node: NodeRef<'_>, d: &mut Decoder, depth: u32) -> Option<AnyValue> {
    /// Claims are flat or nearly so; the bound keeps the recursion from the stack's end.
    const DEEPEST: u32 = 100;
    let visited = d.visit(node)?;
    if depth > DEEPEST {
        d.rule(visited.mark(), "yaml: exceeded max depth of 100");
        return None;
    }
    match visited.kind() {
        Kind::Sequence(_) => {
            let items = visited.items().filter_map(|i| d.below(i, |d| read_any(i, d, depth + 1))).collect();
            Some(AnyValue::List(items))
        }
        Kind::Mapping(_) => {
            let mut out = BTreeMap::new();
            d.below(node, |d| {
                read_pairs(visited, d, &mut out, &mut |value, d| read_any(value, d, depth + 1));
            });
            Some(AnyValue::Map(out))
        }
        Kind::Alias(_) => None,
        Kind::Scalar { value, .. } => Some(match d.resolve(visited)? {
            Resolved::Null => AnyValue::Null,
            Resolved::Bool(b) => AnyValue::Bool(b),
            Resolved::Int(i) => AnyValue::Int(i),
            Resolved::Float(f) => AnyValue::Float(f),
            Resolved::Uint(_) | Resolved::Str | Resolved::Timestamp => AnyValue::Text(value.clone()),
            Resolved::Binary(bytes) => AnyValue::Text(String::from_utf8_lossy(&bytes).into_owned()),
        }),
    }
}

fn print_any(value: &AnyValue) -> Yaml {
    match value {
        AnyValue::Null => Yaml::Null,
        AnyValue::Bool(b) => Yaml::Bool(*b),
        AnyValue::Int(i) => Yaml::Int(*i),
        AnyValue::Float(f) => Yaml::Float(*f),
        AnyValue::Text(t) => Yaml::Text(t.clone()),
        AnyValue::List(items) => Yaml::List(items.iter().map(print_any).collect()),
        AnyValue::Map(map) => {
            let keys = sorted_keys(map.keys().map(String::as_str));
            Yaml::Map(keys.into_iter().map(|k| (k.to_owned(), print_any(&map[k]))).collect())
        }
    }
}

/// Keys as go-yaml orders them: letters after other characters, runs of digits by their value.
pub(crate) fn sorted_keys<'k>(keys: impl Iterator<Item = &'k str>) -> Vec<&'k str> {
    let mut keys: Vec<&str> = keys.collect();
    keys.sort_by(|a, b| natural_order(a, b));
    keys
}

fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (Some(&x), Some(&y)) = (a.get(same), b.get(same)) else { return a.len().cmp(&b.len()) };
    let number = |s: &[char]| {
        let start = s[..same].iter().rposition(|c| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        let digits: String = s[start..].iter().take_while(|c| c.is_ascii_digit()).collect();
        digits.parse::<u64>().unwrap_or_default()
    };
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => x.cmp(&y),
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if x.is_ascii_digit() && y.is_ascii_digit() => {
            number(&a).cmp(&number(&b)).then(x.cmp(&y))
        }
        (false, false) => x.cmp(&y),
    }
}
