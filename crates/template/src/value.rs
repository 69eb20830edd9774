//! What templates compute with: the few kinds of Go values that Prometheus hands to them.
//!
//! Always true: values are cheap to clone (numbers, or a shared pointer), and never change. A text may hold any bytes,
//! because templates can cut it anywhere; it becomes UTF-8 when it leaves. Type names are Go's, errors show them.
//! `Nil` is the absence of a value, `NilAny` a nil that something declared to hold anything holds.

mod duration;
mod histogram;
mod text;
mod time;
mod time_layout;

use std::borrow::Cow;
use std::sync::Arc;

use narthex_model::{FloatHistogram, Labels};

pub(crate) use duration::{format_duration, round_duration, truncate_duration};
pub(crate) use histogram::{histogram_field, histogram_text};
pub(crate) use time::{MONTHS, WEEKDAYS};
pub(crate) use time_layout::format_layout;

pub use text::Text;
pub use time::GoTime;

/// A value of a template.
#[derive(Clone, Debug)]
pub enum Value {
    /// No value.
    Nil,
    /// A nil inside something that may hold any type.
    NilAny,
    /// `bool`
    Bool(bool),
    /// A signed integer; Go's type of it.
    Int(i64, IntType),
    /// An unsigned integer; Go's type of it.
    Uint(u64, UintType),
    /// `float64`
    Float(f64),
    /// `string`
    Str(Text),
    /// A text that is HTML already and is not escaped again.
    Html(Text),
    /// A slice.
    List(Arc<ListValue>),
    /// A map with text keys.
    Map(Arc<MapValue>),
    /// A struct.
    Struct(Arc<StructValue>),
    /// A pointer to a value.
    Pointer(Arc<Value>),
    /// What `*histogram.FloatHistogram` points to.
    Histogram(Arc<FloatHistogram>),
    /// `time.Time`, always UTC.
    Time(GoTime),
    /// `time.Duration`, nanoseconds.
    Duration(i64),
}

/// Go's types of signed integers that templates meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntType {
    /// `int`
    Int,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `time.Month`
    Month,
    /// `time.Weekday`
    Weekday,
}

/// Go's types of unsigned integers that templates meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UintType {
    /// `uint8`: a byte of a text.
    Uint8,
    /// `uint32`
    Uint32,
    /// `uint64`
    Uint64,
    /// `histogram.CounterResetHint`
    ResetHint,
}

/// A slice and its Go type.
#[derive(Debug)]
pub struct ListValue {
    /// Go's name of the slice's type, such as `[]float64`.
    pub type_name: &'static str,
    /// The elements.
    pub items: Vec<Value>,
}

/// A map and its Go type.
#[derive(Debug)]
pub struct MapValue {
    /// Go's name of the map's type.
    pub type_name: &'static str,
    /// What a key that is not there yields.
    pub zero: Value,
    /// Sorted by key, each key once.
    pub entries: Vec<(Text, Value)>,
}

/// A struct and its Go type.
#[derive(Debug)]
pub struct StructValue {
    /// Go's name of the type.
    pub type_name: &'static str,
    /// The fields in order.
    pub fields: Vec<Field>,
}

/// A field of a struct.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Whether the field is declared to hold a value of any type.
    pub any: bool,
}

pub(crate) const SAMPLE: &str = "template.sample";
pub(crate) const QUERY_RESULT: &str = "template.queryResult";
pub(crate) const STRING_MAP: &str = "map[string]string";
pub(crate) const ANY_MAP: &str = "map[string]interface {}";
pub(crate) const ANY: &str = "interface {}";

impl MapValue {
    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Value> {
        let at = self.entries.binary_search_by(|(name, _)| name.bytes().cmp(key)).ok()?;
        Some(&self.entries[at].1)
    }

    pub(crate) fn holds_any(&self) -> bool {
        matches!(self.zero, Value::NilAny)
    }
}

impl Value {
    /// A Go `int`.
    #[must_use]
    pub fn int(value: i64) -> Self {
        Self::Int(value, IntType::Int)
    }

    /// A text.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Str(text.into())
    }

    /// A map of texts, from pairs in any order; of two pairs with one key the later wins.
    pub fn text_map<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let texts: std::collections::BTreeMap<Vec<u8>, Self> = pairs
            .into_iter()
            .map(|(name, value)| (name.as_ref().as_bytes().to_vec(), Self::text(value.as_ref())))
            .collect();
        let entries = texts.into_iter().map(|(name, value)| (Text::from(name), value)).collect();
        Self::Map(Arc::new(MapValue { type_name: STRING_MAP, zero: Self::text(""), entries }))
    }

    /// A label set as a map of texts.
    #[must_use]
    pub fn labels(labels: &Labels) -> Self {
        let entries = labels.iter().map(|(name, value)| (Text::from(name), Self::text(value))).collect();
        Self::Map(Arc::new(MapValue { type_name: STRING_MAP, zero: Self::text(""), entries }))
    }

    /// A map of lists of texts, as Go's `url.Values`.
    #[must_use]
    pub fn url_values(values: &std::collections::BTreeMap<String, Vec<String>>) -> Self {
        let list = |texts: &Vec<String>| {
            let items = texts.iter().map(|text| Self::text(text.as_str())).collect();
            Self::List(Arc::new(ListValue { type_name: "[]string", items }))
        };
        let zero = list(&Vec::new());
        let entries = values.iter().map(|(name, texts)| (Text::from(name.as_str()), list(texts))).collect();
        Self::Map(Arc::new(MapValue { type_name: "url.Values", zero, entries }))
    }

    /// A native histogram.
    #[must_use]
    pub fn histogram(histogram: FloatHistogram) -> Self {
        Self::Pointer(Arc::new(Self::Histogram(Arc::new(histogram))))
    }

    pub(crate) fn pointer(self) -> Self {
        Self::Pointer(Arc::new(self))
    }

    /// Go's name of the type.
    pub(crate) fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Nil => "nil",
            Self::NilAny => ANY,
            Self::Bool(_) => "bool",
            Self::Int(_, of) => of.name(),
            Self::Uint(_, of) => of.name(),
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::Html(_) => "template.HTML",
            Self::List(list) => list.type_name,
            Self::Map(map) => map.type_name,
            Self::Struct(of) => of.type_name,
            Self::Pointer(to) => return Cow::Owned(format!("*{}", to.type_name())),
            Self::Histogram(_) => "histogram.FloatHistogram",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
        })
    }

    /// What stands behind pointers.
    pub(crate) fn target(&self) -> &Self {
        match self {
            Self::Pointer(to) => to.target(),
            other => other,
        }
    }

    /// Whether `if` takes its first branch.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil | Self::NilAny => false,
            Self::Bool(value) => *value,
            Self::Int(value, _) | Self::Duration(value) => *value != 0,
            Self::Uint(value, _) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) | Self::Html(text) => !text.bytes().is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) | Self::Pointer(_) | Self::Histogram(_) | Self::Time(_) => true,
        }
    }
}

impl IntType {
    fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Month => "time.Month",
            Self::Weekday => "time.Weekday",
        }
    }
}

impl UintType {
    fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::ResetHint => "histogram.CounterResetHint",
        }
    }
}
