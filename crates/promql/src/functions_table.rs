//! Every PromQL function with its signature: a flat table of equal things, in the order of their names.
//!
//! Holds: the enum [`Function`] by which the tree names a function, and what the type check and the API need to know of each.
//! Must not know: what a function computes.
//! Facts: Prometheus `docs/querying/functions.md`; `conformance/inventories/promql-functions.tsv` is compared by a test.

use crate::ast::ValueType;
use crate::ast::ValueType::{InstantVector as V, RangeVector as M, Scalar as N, String as S};

/// Whether the number of arguments may differ from the number of types in the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// As many arguments as types.
    Exact,
    /// The last type's argument may be absent, and may stand up to this many times.
    Optional(u8),
    /// The last type's argument may be absent, and may stand any number of times.
    Repeat,
}

/// What a function takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The types of the arguments.
    pub args: &'static [ValueType],
    /// How often the last one may stand.
    pub arity: Arity,
    /// The type of the result.
    pub returns: ValueType,
    /// Whether the function is behind the switch for experimental functions.
    pub experimental: bool,
}

macro_rules! functions {
    ($($id:ident: $name:literal [$($arg:ident),*] $arity:ident $(($n:literal))? -> $returns:ident, $state:ident;)*) => {
        /// A PromQL function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Function {
            $(#[doc = concat!("`", $name, "`")] $id,)*
        }

        impl Function {
            /// Every function, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];

            /// As PromQL writes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $name,)*
                }
            }

            /// The function of that name, which is case-sensitive.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$id),)*
                    _ => None,
                }
            }

            /// What it takes and gives.
            #[must_use]
            pub fn signature(self) -> Signature {
                match self {
                    $(Self::$id => Signature {
                        args: &[$($arg),*],
                        arity: Arity::$arity $(($n))?,
                        returns: $returns,
                        experimental: is_experimental!($state),
                    },)*
                }
            }
        }
    };
}

macro_rules! is_experimental {
    (stable) => {
        false
    };
    (experimental) => {
        true
    };
}

functions! {
    Abs: "abs" [V] Exact -> V, stable;
    Absent: "absent" [V] Exact -> V, stable;
    AbsentOverTime: "absent_over_time" [M] Exact -> V, stable;
    Acos: "acos" [V] Exact -> V, stable;
    Acosh: "acosh" [V] Exact -> V, stable;
    Asin: "asin" [V] Exact -> V, stable;
    Asinh: "asinh" [V] Exact -> V, stable;
    Atan: "atan" [V] Exact -> V, stable;
    Atanh: "atanh" [V] Exact -> V, stable;
    AvgOverTime: "avg_over_time" [M] Exact -> V, stable;
    Ceil: "ceil" [V] Exact -> V, stable;
    Changes: "changes" [M] Exact -> V, stable;
    Clamp: "clamp" [V, N, N] Exact -> V, stable;
    ClampMax: "clamp_max" [V, N] Exact -> V, stable;
    ClampMin: "clamp_min" [V, N] Exact -> V, stable;
    Cos: "cos" [V] Exact -> V, stable;
    Cosh: "cosh" [V] Exact -> V, stable;
    CountOverTime: "count_over_time" [M] Exact -> V, stable;
    DayOfMonth: "day_of_month" [V] Optional(1) -> V, stable;
    DayOfWeek: "day_of_week" [V] Optional(1) -> V, stable;
    DayOfYear: "day_of_year" [V] Optional(1) -> V, stable;
    DaysInMonth: "days_in_month" [V] Optional(1) -> V, stable;
    Deg: "deg" [V] Exact -> V, stable;
    Delta: "delta" [M] Exact -> V, stable;
    Deriv: "deriv" [M] Exact -> V, stable;
    DoubleExponentialSmoothing: "double_exponential_smoothing" [M, N, N] Exact -> V, experimental;
    End: "end" [] Exact -> N, experimental;
    Exp: "exp" [V] Exact -> V, stable;
    FirstOverTime: "first_over_time" [M] Exact -> V, stable;
    Floor: "floor" [V] Exact -> V, stable;
    HistogramAvg: "histogram_avg" [V] Exact -> V, stable;
    HistogramCount: "histogram_count" [V] Exact -> V, stable;
    HistogramFraction: "histogram_fraction" [N, N, V] Exact -> V, stable;
    HistogramQuantile: "histogram_quantile" [N, V] Exact -> V, stable;
    HistogramQuantiles: "histogram_quantiles" [V, S, N, N] Optional(9) -> V, experimental;
    HistogramStddev: "histogram_stddev" [V] Exact -> V, stable;
    HistogramStdvar: "histogram_stdvar" [V] Exact -> V, stable;
    HistogramSum: "histogram_sum" [V] Exact -> V, stable;
    Hour: "hour" [V] Optional(1) -> V, stable;
    Idelta: "idelta" [M] Exact -> V, stable;
    Increase: "increase" [M] Exact -> V, stable;
    Info: "info" [V, V] Optional(1) -> V, experimental;
    Irate: "irate" [M] Exact -> V, stable;
    LabelJoin: "label_join" [V, S, S, S] Repeat -> V, stable;
    LabelReplace: "label_replace" [V, S, S, S, S] Exact -> V, stable;
    LastOverTime: "last_over_time" [M] Exact -> V, stable;
    Ln: "ln" [V] Exact -> V, stable;
    Log10: "log10" [V] Exact -> V, stable;
    Log2: "log2" [V] Exact -> V, stable;
    MadOverTime: "mad_over_time" [M] Exact -> V, experimental;
    MaxOf: "max_of" [N, N] Exact -> N, experimental;
    MaxOverTime: "max_over_time" [M] Exact -> V, stable;
    MinOf: "min_of" [N, N] Exact -> N, experimental;
    MinOverTime: "min_over_time" [M] Exact -> V, stable;
    Minute: "minute" [V] Optional(1) -> V, stable;
    Month: "month" [V] Optional(1) -> V, stable;
    Pi: "pi" [] Exact -> N, stable;
    PredictLinear: "predict_linear" [M, N] Exact -> V, stable;
    PresentOverTime: "present_over_time" [M] Exact -> V, stable;
    QuantileOverTime: "quantile_over_time" [N, M] Exact -> V, stable;
    Rad: "rad" [V] Exact -> V, stable;
    Range: "range" [] Exact -> N, experimental;
    Rate: "rate" [M] Exact -> V, stable;
    Resets: "resets" [M] Exact -> V, stable;
    Round: "round" [V, N] Optional(1) -> V, stable;
    Scalar: "scalar" [V] Exact -> N, stable;
    Sgn: "sgn" [V] Exact -> V, stable;
    Sin: "sin" [V] Exact -> V, stable;
    Sinh: "sinh" [V] Exact -> V, stable;
    Sort: "sort" [V] Exact -> V, stable;
    SortByLabel: "sort_by_label" [V, S] Repeat -> V, experimental;
    SortByLabelDesc: "sort_by_label_desc" [V, S] Repeat -> V, experimental;
    SortDesc: "sort_desc" [V] Exact -> V, stable;
    Sqrt: "sqrt" [V] Exact -> V, stable;
    Start: "start" [] Exact -> N, experimental;
    StartTimestamp: "start_timestamp" [V] Exact -> V, experimental;
    StddevOverTime: "stddev_over_time" [M] Exact -> V, stable;
    StdvarOverTime: "stdvar_over_time" [M] Exact -> V, stable;
    Step: "step" [] Exact -> N, experimental;
    SumOverTime: "sum_over_time" [M] Exact -> V, stable;
    Tan: "tan" [V] Exact -> V, stable;
    Tanh: "tanh" [V] Exact -> V, stable;
    Time: "time" [] Exact -> N, stable;
    Timestamp: "timestamp" [V] Exact -> V, stable;
    TsOfFirstOverTime: "ts_of_first_over_time" [M] Exact -> V, experimental;
    TsOfLastOverTime: "ts_of_last_over_time" [M] Exact -> V, experimental;
    TsOfMaxOverTime: "ts_of_max_over_time" [M] Exact -> V, experimental;
    TsOfMinOverTime: "ts_of_min_over_time" [M] Exact -> V, experimental;
    Vector: "vector" [N] Exact -> V, stable;
    Year: "year" [V] Optional(1) -> V, stable;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::AggregateOp;
    use crate::conformance;

    fn type_name(t: ValueType) -> &'static str {
        match t {
            V => "instant-vector",
            M => "range-vector",
            N => "scalar",
            S => "string",
        }
    }

    /// The table as the inventory writes it: name, arguments, arity, result, whether it is experimental.
    fn row(function: Function) -> String {
        let signature = function.signature();
        let args: Vec<&str> = signature.args.iter().copied().map(type_name).collect();
        let arity = match signature.arity {
            Arity::Exact => "0".to_owned(),
            Arity::Optional(n) => n.to_string(),
            Arity::Repeat => "-1".to_owned(),
        };
        let experimental = if signature.experimental { "yes" } else { "no" };
        let returns = type_name(signature.returns);
        format!("{}\t{}\t{arity}\t{returns}\t{experimental}", function.name(), args.join(", "))
    }

    #[test]
    fn functions_have_the_signatures_of_prometheus() {
        let Some(inventory) = conformance::inventory("promql-functions.tsv") else { return };
        let mut expected: Vec<&str> = inventory.lines().skip(1).collect();
        expected.sort_unstable();
        let mut rows: Vec<String> = Function::ALL.iter().copied().map(row).collect();
        rows.sort_unstable();
        assert_eq!(rows, expected);
    }

    #[test]
    fn aggregations_are_those_of_prometheus() {
        let Some(inventory) = conformance::inventory("promql-aggregators.tsv") else { return };
        let rows: Vec<String> = AggregateOp::ALL
            .iter()
            .map(|op| {
                let experimental = if op.is_experimental() { "experimental" } else { "" };
                format!("{}\t{}\t{experimental}", op.as_str(), op.param_type().map_or("", type_name))
            })
            .collect();
        assert_eq!(rows, inventory.lines().skip(1).collect::<Vec<_>>());
    }

    #[test]
    fn names_are_sorted_unique_and_lead_back_to_their_function() {
        assert!(Function::ALL.windows(2).all(|pair| pair[0].name() < pair[1].name()));
        for function in Function::ALL {
            assert_eq!(Function::from_name(function.name()), Some(*function));
        }
        assert_eq!(Function::from_name("Rate"), None);
    }
}
