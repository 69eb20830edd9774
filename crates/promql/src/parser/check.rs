//! The check of types, arity and modifiers over a tree without syntax errors.
//!
//! It also settles what depends on types: the matching of a binary operator stays only between two instant vectors, and that
//! of a set operator is many-to-many.
//! Always true: children are checked before their parent speaks, so errors come from the inside out.

use narthex_model::{METRIC_NAME, quote_go};

use crate::ast::{
    Aggregate, Binary, Call, Cardinality, Expr, Span, Unary, ValueType, VectorMatching, VectorSelector,
};
use crate::functions_table::{Arity, Function};
use crate::lexer::is_space;

use super::ParseError;

/// Checks `expr`, which was parsed from `query`, and adds what is wrong to `errors`.
pub(super) fn check(expr: &mut Expr, query: &str, errors: &mut Vec<ParseError>) {
    Checker { query: query.as_bytes(), errors }.expr(expr);
}

struct Checker<'a> {
    query: &'a [u8],
    errors: &'a mut Vec<ParseError>,
}

impl Checker<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.errors.push(ParseError { message: message.into(), span });
    }

    fn expr(&mut self, expr: &mut Expr) -> ValueType {
        match expr {
            Expr::Number(_) => ValueType::Scalar,
            Expr::String(_) => ValueType::String,
            Expr::Vector(v) => {
                self.selector(v);
                ValueType::InstantVector
            }
            Expr::Matrix(m) => {
                self.selector(&m.selector);
                ValueType::RangeVector
            }
            Expr::Subquery(s) => {
                let inner = self.expr(&mut s.expr);
                if inner != ValueType::InstantVector {
                    let got = inner.as_str();
                    self.error(
                        s.span,
                        format!("subquery is only allowed on instant vector, got {got} instead"),
                    );
                }
                ValueType::RangeVector
            }
            Expr::Paren(p) => self.expr(&mut p.expr),
            Expr::Unary(u) => self.unary(u),
            Expr::Binary(b) => self.binary(b),
            Expr::Aggregate(a) => self.aggregate(a),
            Expr::Call(c) => self.call(c),
        }
    }

    fn expect(&mut self, expr: &mut Expr, wanted: ValueType, place: &str) {
        let got = self.expr(expr);
        if got != wanted {
            self.error(expr.span(), wrong_type(wanted, place, got));
        }
    }

    fn unary(&mut self, unary: &mut Unary) -> ValueType {
        let got = self.expr(&mut unary.expr);
        if !matches!(got, ValueType::Scalar | ValueType::InstantVector) {
            let allowed = "unary expression only allowed on expressions of type scalar or instant vector";
            self.error(unary.span, format!("{allowed}, got {}", quote_go(got.documented())));
        }
        got
    }

    fn aggregate(&mut self, aggregate: &mut Aggregate) -> ValueType {
        self.expect(&mut aggregate.expr, ValueType::InstantVector, "aggregation expression");
        if let (Some(param), Some(wanted)) = (&mut aggregate.param, aggregate.op.param_type()) {
            self.expect(param, wanted, "aggregation parameter");
        }
        ValueType::InstantVector
    }

    fn binary(&mut self, binary: &mut Binary) -> ValueType {
        let (lhs, rhs) = (self.expr(&mut binary.lhs), self.expr(&mut binary.rhs));
        let scalars = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        if binary.return_bool && !binary.op.is_comparison() {
            self.error(self.operator_span(binary), "bool modifier can only be used on comparison operators");
        }
        if binary.op.is_comparison() && !binary.return_bool && scalars {
            self.error(self.operator_span(binary), "comparisons between scalars must use BOOL modifier");
        }
        let matching = binary.matching.take().unwrap_or_default();
        self.shared_labels(binary, &matching);
        for (side, operand) in [(lhs, &binary.lhs), (rhs, &binary.rhs)] {
            if !matches!(side, ValueType::Scalar | ValueType::InstantVector) {
                let message = "binary expression must contain only scalar and instant vector types";
                self.error(operand.span(), message);
            }
        }
        let vectors = lhs == ValueType::InstantVector && rhs == ValueType::InstantVector;
        binary.matching = self.matching(binary, matching, vectors);
        if binary.op.is_set() && (lhs == ValueType::Scalar || rhs == ValueType::Scalar) {
            let op = quote_go(binary.op.as_str());
            self.error(binary.span, format!("set operator {op} not allowed in binary scalar expression"));
        }
        if scalars { ValueType::Scalar } else { ValueType::InstantVector }
    }

    /// A label may not be compared and taken over at once.
    fn shared_labels(&mut self, binary: &Binary, matching: &VectorMatching) {
        if !matching.on {
            return;
        }
        for label in &matching.labels {
            for _ in matching.include.iter().filter(|include| *include == label) {
                let label = quote_go(label);
                let message = format!("label {label} must not occur in ON and GROUP clause at once");
                self.error(self.operator_span(binary), message);
            }
        }
    }

    fn matching(
        &mut self,
        binary: &Binary,
        mut matching: VectorMatching,
        vectors: bool,
    ) -> Option<VectorMatching> {
        let fills = matching.fill.left.is_some() || matching.fill.right.is_some();
        if !vectors {
            if !matching.labels.is_empty() {
                self.error(binary.span, "vector matching only allowed between instant vectors");
            }
            if fills {
                self.error(binary.span, "filling in missing series only allowed between instant vectors");
            }
            return None;
        }
        if binary.op.is_set() {
            match matching.cardinality {
                Cardinality::OneToOne | Cardinality::ManyToMany => {
                    matching.cardinality = Cardinality::ManyToMany;
                }
                Cardinality::ManyToOne | Cardinality::OneToMany => {
                    let op = quote_go(binary.op.as_str());
                    self.error(binary.span, format!("no grouping allowed for {op} operation"));
                    self.error(binary.span, "set operations must always be many-to-many");
                }
            }
            if fills {
                self.error(binary.span, "filling in missing series not allowed for set operators");
            }
        }
        Some(matching)
    }

    /// The operator with its modifiers. COMPAT: the end is the offset of the last byte, not the one after it.
    fn operator_span(&self, binary: &Binary) -> Span {
        let (mut start, mut end) = (binary.lhs.span().end, binary.rhs.span().start.saturating_sub(1));
        while start < end && is_space(self.query[start as usize]) {
            start += 1;
        }
        while end > start && is_space(self.query[end as usize]) {
            end -= 1;
        }
        Span { start, end }
    }

    fn call(&mut self, call: &mut Call) -> ValueType {
        let signature = call.func.signature();
        let name = quote_go(call.func.name());
        self.argument_count(call, &name);
        let info_labels = call.func == Function::Info && call.args.len() > 1;
        if info_labels {
            self.info_selector(call.span, &call.args[1]);
        }
        for (i, arg) in call.args.iter_mut().enumerate() {
            let wanted = match (signature.args.get(i).or(signature.args.last()), signature.arity) {
                (_, Arity::Exact) if i >= signature.args.len() => break,
                (Some(wanted), _) => *wanted,
                (None, _) => break,
            };
            let may_be_empty = info_labels && i == 1 && matches!(arg, Expr::Vector(v) if v.name.is_none());
            let got = if may_be_empty { ValueType::InstantVector } else { self.expr(arg) };
            if got != wanted {
                self.error(arg.span(), wrong_type(wanted, &format!("call to function {name}"), got));
            }
        }
        signature.returns
    }

    fn argument_count(&mut self, call: &Call, name: &str) {
        let signature = call.func.signature();
        let (types, got) = (signature.args.len(), call.args.len());
        let (least, most) = match signature.arity {
            Arity::Exact => (types, types),
            Arity::Optional(n) => (types - 1, types - 1 + usize::from(n)),
            Arity::Repeat => (types - 1, usize::MAX),
        };
        let wanted = match signature.arity {
            Arity::Exact if got != types => format!("{types}"),
            _ if got < least => format!("at least {least}"),
            _ if got > most => format!("at most {most}"),
            _ => return,
        };
        self.error(call.span, format!("expected {wanted} argument(s) in call to {name}, got {got}"));
    }

    /// The second argument of `info` stands for labels: a selector without a name, which may match everything.
    fn info_selector(&mut self, call: Span, arg: &Expr) {
        let got = arg.value_type();
        if got != ValueType::InstantVector {
            self.error(call, wrong_type(ValueType::InstantVector, "call to function \"info\"", got));
        }
        match arg {
            Expr::Vector(v) if v.name.is_none() => {}
            Expr::Vector(v) => {
                self.error(v.span, "expected label selectors only, got vector selector instead");
            }
            other => self.error(other.span(), "expected label selectors only"),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) {
        if let Some(name) = &selector.name {
            let given = &selector.matchers[..selector.matchers.len().saturating_sub(1)];
            for other in given.iter().filter(|m| m.name == METRIC_NAME) {
                let (name, other) = (quote_go(name), quote_go(&other.value));
                self.error(selector.span, format!("metric name must not be set twice: {name} or {other}"));
            }
        } else if selector.matchers.iter().all(narthex_model::Matcher::matches_empty) {
            self.error(selector.span, "vector selector must contain at least one non-empty matcher");
        }
    }
}

fn wrong_type(wanted: ValueType, place: &str, got: ValueType) -> String {
    format!("expected type {} in {place}, got {}", wanted.documented(), got.documented())
}
