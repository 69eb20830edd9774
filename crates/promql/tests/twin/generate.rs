//! Random queries, as text.
//!
//! Always true: what a query gives is determined. Where several results are right (which of two equal values `topk` takes, in which order
//! series of a join come), no query asks for it.

use super::random::Random;

/// What generated queries may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Language {
    /// Experimental syntax and functions.
    pub experimental: bool,
    /// Native histograms.
    pub histograms: bool,
    /// What releases before 3.14 answer otherwise: `histogram_fraction` of classic buckets, filters and relabeling between series that
    /// share their result, native histograms of series that change.
    pub newest: bool,
}

pub(crate) struct Generator<'r> {
    pub random: &'r mut Random,
    pub language: Language,
}

const EXACT: [&str; 7] = ["abs", "ceil", "floor", "sqrt", "rad", "deg", "sgn"];

/// Functions whose last digit differs between libraries. They are asked for small whole numbers, so that nothing makes much of it.
const ELEMENTARY: [&str; 16] = [
    "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "asinh", "acosh", "atanh",
];

const DATES: [&str; 8] =
    ["minute", "hour", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month"];

impl Generator<'_> {
    fn pick(&mut self, of: &[&str]) -> String {
        (*self.random.pick(of)).to_owned()
    }

    /// A whole query: mostly an instant vector, now and then a scalar.
    pub(crate) fn query(&mut self) -> String {
        let depth = 1 + self.random.below(3) as u32;
        if self.random.chance(5) { self.scalar(depth) } else { self.vector(depth) }
    }

    fn name(&mut self) -> String {
        let names = ["f", "f", "c_total", "c_total", "u", "one", "b_bucket", "h", "h", "h_gauge", "n", "m"];
        let known = if self.language.histograms { 12 } else { 7 };
        self.pick(&names[..known])
    }

    fn matchers(&mut self) -> String {
        match self.random.below(9) {
            0 => "{g=\"a\"}".to_owned(),
            1 => "{i!=\"2\"}".to_owned(),
            2 => "{g=~\"a|b\",i=~\"1|2\"}".to_owned(),
            3 => "{i=\"1\"}".to_owned(),
            4 => "{g!~\"b\"}".to_owned(),
            _ => String::new(),
        }
    }

    fn series(&mut self) -> String {
        if self.random.chance(4) {
            let names =
                if self.language.histograms { "{__name__=~\"f|h\"}" } else { "{__name__=~\"f|one\"}" };
            return names.to_owned();
        }
        let name = self.name();
        format!("{name}{}", self.matchers())
    }

    fn modifiers(&mut self) -> String {
        let at = match self.random.below(16) {
            0 => " @ 300",
            1 => " @ start()",
            2 => " @ end()",
            _ => "",
        };
        let offset = match self.random.below(12) {
            0 => " offset 1m",
            1 => " offset -45s",
            2 if self.language.experimental => " offset (step() + 5s)",
            3 if self.language.experimental => " offset -min_of(range(), 20s)",
            _ => "",
        };
        format!("{at}{offset}")
    }

    fn selector(&mut self) -> String {
        // An operator after an offset with arithmetic would belong to the offset.
        let (series, modifiers) = (self.series(), self.modifiers());
        if modifiers.ends_with(')') {
            format!("({series}{modifiers})")
        } else {
            format!("{series}{modifiers}")
        }
    }

    fn range_vector(&mut self, depth: u32) -> String {
        if depth > 0 && self.random.chance(20) {
            let inner = self.vector(depth - 1);
            let length = self.pick(&["[2m:30s]", "[1m:7s]", "[3m:]", "[90s:1m]"]);
            return format!("({inner}){length}{}", self.modifiers());
        }
        let ranges = [
            "[20s]",
            "[1m]",
            "[2m]",
            "[5m]",
            "[90]",
            "[3m]",
            "[step() * 2 + 10s]",
            "[max_of(range() / 3, 40s)]",
        ];
        let range = self.pick(&ranges[..if self.language.experimental { 8 } else { 6 }]);
        format!("{}{range}{}", self.series(), self.modifiers())
    }

    /// A number: constant, or different at each step.
    fn scalar(&mut self, depth: u32) -> String {
        match self.random.below(12) {
            0 => "time()".to_owned(),
            1 if depth > 0 => format!("scalar({})", self.vector(depth - 1)),
            2 if depth > 0 => {
                let op = self.pick(&["+", "-", "*", "/", "%", "> bool", "== bool"]);
                format!("({} {op} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            3 if self.language.experimental => {
                self.pick(&["step()", "range()", "max_of(step(), 3)", "min_of(-1, end())", "start()"])
            }
            4 => self.pick(&["Inf", "-Inf", "NaN", "pi()", "0", "-0.5"]),
            5 => self.pick(&["0x1f", "1_000", "2m", "1e3", "010"]),
            _ => self.pick(&["1", "2", "3", "0.5", "-1", "7", "10"]),
        }
    }

    fn over_range(&mut self, depth: u32) -> String {
        let range = self.range_vector(depth);
        let stable = [
            "rate",
            "rate",
            "increase",
            "delta",
            "irate",
            "idelta",
            "resets",
            "changes",
            "sum_over_time",
            "avg_over_time",
            "count_over_time",
            "min_over_time",
            "max_over_time",
            "last_over_time",
            "present_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "deriv",
            "absent_over_time",
            "quantile_over_time",
            "predict_linear",
        ];
        let experimental = [
            "first_over_time",
            "mad_over_time",
            "ts_of_first_over_time",
            "ts_of_last_over_time",
            "ts_of_max_over_time",
            "ts_of_min_over_time",
            "double_exponential_smoothing",
        ];
        let function = if self.language.experimental && self.random.chance(25) {
            self.pick(&experimental)
        } else {
            self.pick(&stable)
        };
        match &*function {
            "quantile_over_time" => format!("quantile_over_time({}, {range})", self.scalar(0)),
            "predict_linear" => format!("predict_linear({range}, {})", self.scalar(0)),
            "double_exponential_smoothing" => {
                let factors = self.pick(&["0.3, 0.6", "0.9, 0.1", "0.5, 0.5"]);
                format!("double_exponential_smoothing({range}, {factors})")
            }
            _ => format!("{function}({range})"),
        }
    }

    fn extended(&mut self) -> String {
        let range = self.pick(&["[1m]", "[2m]", "[5m]"]);
        match self.random.below(4) {
            0 => format!("({} smoothed{})", self.series(), self.modifiers()),
            1 => {
                let function = self.pick(&["resets", "changes"]);
                format!("{function}({}{range} anchored{})", self.series(), self.modifiers())
            }
            _ => {
                let function = self.pick(&["rate", "increase", "delta"]);
                let series = format!("{}{}", self.pick(&["c_total", "f", "u"]), self.matchers());
                let word = self.pick(&["anchored", "smoothed"]);
                format!("{function}({series}{range} {word}{})", self.modifiers())
            }
        }
    }

    fn grouping(&mut self) -> String {
        self.pick(&[
            "",
            "by (g) ",
            "by (g) ",
            "by (i) ",
            "without (i) ",
            "without (g, le) ",
            "by (g, le) ",
            "by (__name__) ",
        ])
    }

    fn aggregation(&mut self, depth: u32) -> String {
        let grouping = self.grouping();
        let inner = self.vector(depth - 1);
        match self.random.below(12) {
            0 => format!("quantile {grouping}({}, {inner})", self.scalar(0)),
            1 => format!("count_values {grouping}(\"v\", {})", self.floats_only()),
            2 => format!("topk {grouping}({}, {})", self.pick(&["1", "2", "4"]), self.unique()),
            3 => format!("bottomk {grouping}({}, {})", self.pick(&["1", "2", "4"]), self.unique()),
            // Groups that keep their name beside such as lost theirs, not at the same steps.
            5 if self.language.newest => {
                let op = self.pick(&["sum", "count", "min", "avg", "quantile by (__name__, g) (0.5,"]);
                let (kept, lost) = (self.selector(), self.over_range(0));
                let of = format!("{kept} or on (g, i) {lost}");
                if op.ends_with(',') {
                    format!("{op} {of})")
                } else {
                    format!("{op} by (__name__, g) ({of})")
                }
            }
            4 if self.language.experimental => {
                format!("limitk {grouping}({}, {})", self.pick(&["1", "2"]), self.series())
            }
            _ => {
                let op =
                    self.pick(&["sum", "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"]);
                format!("{op} {grouping}({inner})")
            }
        }
    }

    /// Values of which no two are equal.
    fn unique(&mut self) -> String {
        let matchers = self.matchers();
        match self.random.below(3) {
            0 => format!("last_over_time(u{matchers}[1m])"),
            1 => format!("(u{matchers} * 2)"),
            _ => format!("u{matchers}"),
        }
    }

    fn floats_only(&mut self) -> String {
        let matchers = self.matchers();
        match self.random.below(3) {
            0 => format!("round(f{matchers})"),
            1 => format!("count_over_time(c_total{matchers}[1m])"),
            _ => format!("f{matchers}"),
        }
    }

    fn matching(&mut self) -> String {
        self.pick(&["", "", "on (g, i) ", "ignoring (i) ", "on (g) ", "ignoring (le, job) ", "on () "])
    }

    fn binary(&mut self, depth: u32) -> String {
        let ops = ["+", "-", "*", "/", "%", "atan2", "==", "!=", ">", "<", ">=", "<="];
        let op = self.pick(&ops);
        let is_comparison = ["==", "!=", ">", "<", ">=", "<="].contains(&&*op);
        let bool = if is_comparison && self.random.chance(50) { "bool " } else { "" };
        match self.random.below(11) {
            10 => self.narrowing(&op),
            0..3 => format!("({} {op} {bool}{})", self.vector(depth - 1), self.scalar(depth - 1)),
            3 => format!("({} {op} {bool}{})", self.scalar(depth - 1), self.vector(depth - 1)),
            4 => {
                let side = self.pick(
                    &["group_left ()", "group_left (x)", "group_left (unit, i)"]
                        [..2 + usize::from(self.language.newest)],
                );
                let many = self.selector();
                format!("({many} {op} {bool}on (g) {side} {}one)", self.fill())
            }
            5 => {
                let side = self.pick(&["group_right ()", "group_right (x)"]);
                let many = self.selector();
                format!("(one {op} {bool}on (g) {side} {}{many})", self.fill())
            }
            6..8 => {
                let set = self.pick(&["and", "or", "unless"]);
                let matching = self.matching();
                format!("({} {set} {matching}{})", self.vector(depth - 1), self.vector(depth - 1))
            }
            // The last digits of large powers differ between libraries, and then what is made of them.
            8 if self.random.chance(50) => {
                format!("({} ^ {})", self.vector(depth - 1), self.pick(&["2", "0.5", "-1"]))
            }
            _ => {
                let (matching, fill) = (self.matching(), self.fill());
                let left = self.vector(depth - 1);
                // A join of a thing with its like finds partners more often.
                let right = if self.random.chance(50) { left.clone() } else { self.vector(depth - 1) };
                format!("({left} {op} {bool}{matching}{fill}{right})")
            }
        }
    }

    /// A join of which one side says something about the other, in forms that the plan makes use of and in others.
    fn narrowing(&mut self, op: &str) -> String {
        let matcher = self.pick(&[
            "g=\"a\"",
            "g!=\"a\"",
            "g=~\"a|c\",i=\"1\"",
            "i!~\"1|2\"",
            "g=\"\"",
            "i=\"1\",g=\"b\"",
        ]);
        let name = self.pick(&["f", "u", "c_total", "one"]);
        let one = format!("{name}{{{matcher}}}{}", self.pick(&["", "", " @ 300", " offset 1m"]));
        let one = match self.random.below(5) {
            0 => format!("sum by (g, i) ({one})"),
            1 => format!("abs({one})"),
            2 => format!("({one} > bool 1)"),
            _ => one,
        };
        let other = self.pick(&["f", "u", "c_total", "one", "b_bucket"]);
        let other = match self.random.below(7) {
            0 => format!("count by (g) ({other})"),
            1 => format!("group by (g, i) ({other})"),
            2 => format!("last_over_time({other}[1m])"),
            3 => format!("label_replace({other}, \"g\", \"a\", \"i\", \"2\")"),
            4 => format!("count without (i) (-{other})"),
            _ => other,
        };
        let (left, right) = if self.random.chance(50) { (one, other) } else { (other, one) };
        // Releases before 3.14 let several series of the left find a partner as long as the comparison keeps one.
        let op =
            if ["==", "!=", ">", "<", ">=", "<="].contains(&op) && !self.language.newest { "*" } else { op };
        let op = if self.random.chance(50) { self.pick(&["and", "unless", "or"]) } else { op.to_owned() };
        let matching =
            self.pick(&["", "on (g) ", "on (g, i) ", "ignoring (i) ", "ignoring (g) ", "ignoring (le) "]);
        format!("({left} {op} {matching}{right})")
    }

    fn fill(&mut self) -> String {
        if !self.language.experimental || !self.random.chance(30) {
            return String::new();
        }
        self.pick(&["fill (0) ", "fill_left (2) ", "fill_right (-1) ", "fill_left (1) fill_right (3) "])
    }

    fn call(&mut self, depth: u32) -> String {
        let inner = self.vector(depth - 1);
        let experimental = self.language.experimental;
        match self.random.below(16) {
            0..2 => format!("{}({inner})", self.pick(&EXACT)),
            2..4 => format!("{}(round(clamp({inner}, -9, 9)))", self.pick(&ELEMENTARY)),
            // What a date beyond all calendars gives is decided by overflow.
            4 => format!("{}(({inner} > -1e10) < 1e10)", self.pick(&DATES)),
            5 => format!("round({inner}, {})", self.pick(&["5", "0.1", "2"])),
            6 => format!("clamp({inner}, {}, {})", self.scalar(0), self.scalar(0)),
            7 => format!("{}({inner}, {})", self.pick(&["clamp_min", "clamp_max"]), self.scalar(0)),
            8 => format!("timestamp({inner})"),
            9 => {
                let relabelings = [
                    "\"new\", \"$1-x\", \"g\", \"(.*)\"",
                    "\"g\", \"\", \"g\", \"a\"",
                    "\"i\", \"same\", \"\", \"\"",
                    "\"__name__\", \"n_$1\", \"i\", \"(1|2)\"",
                ];
                let rest = self.pick(&relabelings[..if self.language.newest { 4 } else { 1 }]);
                format!("label_replace({inner}, {rest})")
            }
            10 => format!(
                "label_join({inner}, {})",
                self.pick(
                    &["\"new\", \"-\", \"g\", \"i\"", "\"g\", \"\", \"i\""]
                        [..1 + usize::from(self.language.newest)]
                )
            ),
            11 => format!("absent({inner})"),
            12 if self.language.histograms => {
                let function = self.pick(&[
                    "histogram_count",
                    "histogram_sum",
                    "histogram_avg",
                    "histogram_stddev",
                    "histogram_stdvar",
                ]);
                format!("{function}({inner})")
            }
            13 => {
                let of = self.of_buckets();
                format!(
                    "histogram_quantile({}, {of})",
                    self.pick(&["0", "0.3", "0.5", "0.9", "1", "1.5", "-1"])
                )
            }
            14 if self.language.newest => {
                let of = self.of_buckets();
                format!(
                    "histogram_fraction({}, {of})",
                    self.pick(&["0, 1", "-1, 0.7", "0.5, 3", "-Inf, 2", "1, Inf", "2, 1"])
                )
            }
            15 if experimental && self.random.chance(50) => {
                let of = self.of_buckets();
                format!("histogram_quantiles({of}, \"q\", 0.1, 0.5, 1)")
            }
            15 if experimental => format!("start_timestamp({})", self.series()),
            _ => format!("-{inner}"),
        }
    }

    fn of_buckets(&mut self) -> String {
        let matchers = self.pick(&["", "{g=\"a\"}"]);
        if self.language.histograms && self.random.chance(60) {
            let name = self.pick(&["h", "h_gauge", "n", "m"]);
            return match self.random.below(3) {
                0 => format!("{name}{matchers}"),
                1 => format!("rate({name}{matchers}[2m])"),
                _ => format!("sum by (g) ({name}{matchers})"),
            };
        }
        match self.random.below(3) {
            0 => format!("b_bucket{matchers}"),
            1 => format!("rate(b_bucket{matchers}[2m])"),
            _ => format!("sum by (le) (b_bucket{matchers})"),
        }
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return if self.random.chance(70) { self.selector() } else { self.over_range(0) };
        }
        match self.random.below(20) {
            0..5 => self.over_range(depth - 1),
            5..10 => self.aggregation(depth),
            10..15 => self.binary(depth),
            15 => format!("vector({})", self.scalar(depth - 1)),
            16 if self.language.experimental => self.extended(),
            _ => self.call(depth),
        }
    }
}
