//! Lists, objects, and objects that may be absent.

use std::marker::PhantomData;

use super::Codec;
use crate::decode::{Check, Decoder};
use crate::yaml::{Kind, NodeRef, Yaml};

/// A list; null is the empty one. Items that are wrong are left out.
pub(crate) struct List<C>(PhantomData<C>);

impl<C: Codec> Codec for List<C> {
    type Value = Vec<C::Value>;
    const GO_TYPE: &'static str = "[]";
    const CLEARED_BY_NULL: bool = true;

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Self::Value> {
        read_list::<C>(node, d, &format!("[]{}", C::ITEM_TYPE))
    }

    fn map_type() -> String {
        C::MAP_OF_LISTS_TYPE.to_owned()
    }

    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        Vec::new()
    }

    fn print(value: &Self::Value) -> Yaml {
        Yaml::List(value.iter().map(C::print).collect())
    }
}

/// Reads a list whose type errors name `go_type`.
pub(crate) fn read_list<C: Codec>(
    node: NodeRef<'_>,
    d: &mut Decoder,
    go_type: &str,
) -> Option<Vec<C::Value>> {
    let node = d.visit(node)?;
    if node.is_null() {
        return Some(Vec::new());
    }
    if !matches!(node.kind(), Kind::Sequence(_)) {
        d.wrong_type(node, go_type);
        return None;
    }
    Some(node.items().filter_map(|item| d.below(item, |d| C::read(item, d))).collect())
}

/// An object that is always there; null zeroes it.
pub(crate) struct Object<T>(PhantomData<T>);

impl<T: Check> Codec for Object<T> {
    type Value = T;
    const GO_TYPE: &'static str = T::GO_TYPE;

    fn map_type() -> String {
        // The only mapping of objects is that of headers.
        "config.Headers".to_owned()
    }

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<T> {
        let node = d.visit(node)?;
        if node.is_null() {
            return Some(T::zero());
        }
        let mut value = T::start();
        d.section(node, &mut value).then_some(value)
    }

    fn is_zero(value: &T) -> bool {
        value.is_zero()
    }

    fn zero() -> Self::Value {
        T::zero()
    }

    fn print(value: &T) -> Yaml {
        let mut keys = Vec::new();
        value.print_keys(&mut keys);
        Yaml::Map(keys)
    }
}

/// An object that may be absent; null is absent.
pub(crate) struct Maybe<T>(PhantomData<T>);

impl<T: Check> Codec for Maybe<T> {
    type Value = Option<T>;
    const GO_TYPE: &'static str = T::GO_TYPE;
    const CLEARED_BY_NULL: bool = true;

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Option<T>> {
        let visited = d.visit(node)?;
        if visited.is_null() { Some(None) } else { Object::<T>::read(node, d).map(Some) }
    }

    fn is_zero(value: &Option<T>) -> bool {
        value.is_none()
    }

    fn zero() -> Self::Value {
        None
    }

    fn print(value: &Option<T>) -> Yaml {
        value.as_ref().map_or(Yaml::Null, Object::<T>::print)
    }
}

/// An object that stands in a list of its own, where null is an error.
pub(crate) trait Entry: Check {
    /// The name of the list's type in Prometheus' errors.
    const LIST_TYPE: &'static str;
    /// The text for a null entry.
    const NULL_TEXT: &'static str;
}

/// A list of such objects.
pub(crate) struct Entries<T>(PhantomData<T>);

impl<T: Entry> Codec for Entries<T> {
    type Value = Vec<T>;
    const GO_TYPE: &'static str = "[]";
    const CLEARED_BY_NULL: bool = true;

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<Vec<T>> {
        let visited = d.visit(node)?;
        if let Some(null) = visited.items().find(|item| item.resolved().is_null()) {
            d.rule(null.mark(), T::NULL_TEXT);
        }
        read_list::<Object<T>>(node, d, T::LIST_TYPE)
    }

    fn is_zero(value: &Vec<T>) -> bool {
        value.is_empty()
    }

    fn zero() -> Vec<T> {
        Vec::new()
    }

    fn print(value: &Vec<T>) -> Yaml {
        List::<Object<T>>::print(value)
    }
}
