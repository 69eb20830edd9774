//! Durations after `offset` and in brackets: a number, or arithmetic over numbers, `step()` and `range()`.
//!
//! In brackets an expression reaches as far as it can. After `offset` it does not: `a offset 5m + b` adds `b` to the
//! shifted `a`. Only an offset that begins with a parenthesis goes on over operators, as it does in Prometheus.

use crate::ast::{BinaryOp, DurationExpr, DurationKind, DurationOp, Interval, NumberLiteral, Span};
use crate::lexer::{Keyword, TokenKind};

use super::cursor::{Parser, Stop};

/// Where a duration stands, which is what a syntax error in it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Offset,
    Range,
    Step,
}

/// A duration expression and its height, which is bounded as that of [`super::cursor::Parsed`] is.
struct Parsed {
    expr: DurationExpr,
    height: usize,
}

/// Go holds durations in nanoseconds of an `i64`; this is the bound in seconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_776;

impl Parser<'_> {
    /// A duration in brackets. Only a plain number can be found too small here; arithmetic is worked out by the engine.
    pub(super) fn positive_duration(&mut self, place: Place) -> Result<Interval, Stop> {
        let parsed = self.duration(place, 0)?;
        self.no_lexer_error()?;
        if let DurationKind::Number(number) = &parsed.expr.kind
            && number.value <= 0.0
        {
            self.error(number.span, "duration must be greater than 0");
        }
        Ok(interval(parsed.expr))
    }

    /// The duration after `offset`.
    pub(super) fn offset_duration(&mut self) -> Result<Interval, Stop> {
        let place = Place::Offset;
        let parsed = match self.current.kind {
            TokenKind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => self.signed_offset(op)?,
            TokenKind::LeftParen => {
                let parsed = self.duration(place, 0)?;
                self.no_lexer_error()?;
                parsed
            }
            _ => self.duration_primary(place, None)?,
        };
        Ok(interval(parsed.expr))
    }

    fn signed_offset(&mut self, op: BinaryOp) -> Result<Parsed, Stop> {
        let sign = self.advance().span;
        let operand = match self.current.kind {
            TokenKind::LeftParen => self.duration_paren(Place::Offset)?,
            TokenKind::Op(_) => {
                let operand = self.duration(Place::Offset, BinaryOp::Pow.precedence())?;
                let first = self.signed_duration(op, sign, operand)?;
                let whole = self.duration_operators(Place::Offset, 0, first)?;
                return self.in_parens_if_joined(whole);
            }
            _ => self.duration_primary(Place::Offset, Some(sign))?,
        };
        self.signed_duration(op, sign, operand)
    }

    /// The folded signs may leave a number in front, from which the printed form could not be read again.
    fn in_parens_if_joined(&mut self, parsed: Parsed) -> Result<Parsed, Stop> {
        if !matches!(parsed.expr.kind, DurationKind::Binary { .. }) {
            return Ok(parsed);
        }
        let (span, height) = (parsed.expr.span, self.height_over(parsed.height)?);
        let kind = DurationKind::Paren(Box::new(parsed.expr));
        Ok(Parsed { expr: DurationExpr { kind, span }, height })
    }

    /// Operands joined by operators that bind at least as tightly as `min_precedence`.
    fn duration(&mut self, place: Place, min_precedence: u8) -> Result<Parsed, Stop> {
        self.enter()?;
        let first = match self.current.kind {
            TokenKind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                let sign = self.advance().span;
                let operand = self.duration(place, BinaryOp::Pow.precedence())?;
                self.signed_duration(op, sign, operand)?
            }
            TokenKind::LeftParen => {
                let paren = self.duration_paren(place)?;
                self.experimental_duration(inner_span(&paren.expr));
                paren
            }
            _ => self.duration_primary(place, None)?,
        };
        let parsed = self.duration_operators(place, min_precedence, first)?;
        self.leave();
        Ok(parsed)
    }

    fn duration_operators(
        &mut self,
        place: Place,
        min_precedence: u8,
        first: Parsed,
    ) -> Result<Parsed, Stop> {
        let mut lhs = first;
        while let TokenKind::Op(op) = self.current.kind {
            let (Some(duration_op), precedence) = (duration_op(op), op.precedence()) else { break };
            if precedence < min_precedence {
                break;
            }
            let op_span = self.advance().span;
            let rhs = self.duration(place, if op == BinaryOp::Pow { precedence } else { precedence + 1 })?;
            lhs = self.join_durations(duration_op, op_span, lhs, rhs)?;
        }
        Ok(lhs)
    }

    fn join_durations(
        &mut self,
        op: DurationOp,
        op_span: Span,
        lhs: Parsed,
        rhs: Parsed,
    ) -> Result<Parsed, Stop> {
        self.no_lexer_error()?;
        self.experimental_duration(lhs.expr.span);
        let zero = matches!(&rhs.expr.kind, DurationKind::Number(n) if n.value == 0.0);
        match op {
            DurationOp::Div if zero => self.error(op_span, "division by zero"),
            DurationOp::Mod if zero => self.error(op_span, "modulo by zero"),
            _ => {}
        }
        let span = lhs.expr.span.to(rhs.expr.span);
        self.duration_of_two(op, span, lhs, rhs)
    }

    fn duration_of_two(
        &mut self,
        op: DurationOp,
        span: Span,
        lhs: Parsed,
        rhs: Parsed,
    ) -> Result<Parsed, Stop> {
        let height = self.height_over(lhs.height.max(rhs.height))?;
        let kind = DurationKind::Binary { op, lhs: Box::new(lhs.expr), rhs: Box::new(rhs.expr) };
        Ok(Parsed { expr: DurationExpr { kind, span }, height })
    }

    /// Folds a sign into a number, or puts a node over the operand. A plus changes nothing.
    fn signed_duration(&mut self, op: BinaryOp, sign: Span, operand: Parsed) -> Result<Parsed, Stop> {
        let span = sign.to(operand.expr.span);
        match operand.expr.kind {
            DurationKind::Number(number) => {
                let value = if op == BinaryOp::Sub { -number.value } else { number.value };
                let expr = self.duration_number(NumberLiteral { value, span, ..number }, sign);
                Ok(Parsed { expr, height: 1 })
            }
            _ if op == BinaryOp::Add => Ok(operand),
            _ => {
                let height = self.height_over(operand.height)?;
                let kind = DurationKind::Minus(Box::new(operand.expr));
                Ok(Parsed { expr: DurationExpr { kind, span }, height })
            }
        }
    }

    fn duration_paren(&mut self, place: Place) -> Result<Parsed, Stop> {
        let open = self.advance().span;
        let inner = self.duration(place, 0)?;
        self.expect_in_duration(TokenKind::RightParen, place)?;
        if matches!(inner.expr.kind, DurationKind::Paren(_)) {
            return Ok(inner);
        }
        let height = self.height_over(inner.height)?;
        let span = open.to(self.last);
        Ok(Parsed { expr: DurationExpr { kind: DurationKind::Paren(Box::new(inner.expr)), span }, height })
    }

    /// A number or a call. That calls are experimental is reported at `sign`, when one stands in front.
    fn duration_primary(&mut self, place: Place, sign: Option<Span>) -> Result<Parsed, Stop> {
        let token = self.current;
        let kind = match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                self.advance();
                let number = self.number_literal(token);
                return Ok(Parsed { expr: self.duration_number(number, token.span), height: 1 });
            }
            TokenKind::Keyword(Keyword::MaxOf) => return self.duration_call(DurationOp::MaxOf, place, sign),
            TokenKind::Keyword(Keyword::MinOf) => return self.duration_call(DurationOp::MinOf, place, sign),
            TokenKind::Keyword(Keyword::Step) => DurationKind::Step,
            TokenKind::Keyword(Keyword::Range) => DurationKind::Range,
            _ => return Err(self.unexpected_in_duration(place)),
        };
        self.advance();
        self.expect_in_duration(TokenKind::LeftParen, place)?;
        self.expect_in_duration(TokenKind::RightParen, place)?;
        let span = token.span.to(self.last);
        self.experimental_duration(sign.unwrap_or(span));
        Ok(Parsed { expr: DurationExpr { kind, span }, height: 1 })
    }

    /// `min_of(a, b)` or `max_of(a, b)`.
    fn duration_call(&mut self, op: DurationOp, place: Place, sign: Option<Span>) -> Result<Parsed, Stop> {
        let name = self.advance().span;
        self.expect_in_duration(TokenKind::LeftParen, place)?;
        let lhs = self.duration(place, 0)?;
        self.expect_in_duration(TokenKind::Comma, place)?;
        let rhs = self.duration(place, 0)?;
        self.expect_in_duration(TokenKind::RightParen, place)?;
        let span = name.to(self.last);
        self.experimental_duration(sign.unwrap_or(span));
        self.duration_of_two(op, span, lhs, rhs)
    }

    /// Checks the bounds of a number; one beyond them is reported at `place` and replaced.
    fn duration_number(&mut self, mut number: NumberLiteral, place: Span) -> DurationExpr {
        if number.value.abs() > MAX_SECONDS {
            self.error(place, "duration out of range");
            number.value = 1.0;
        }
        DurationExpr { span: number.span, kind: DurationKind::Number(number) }
    }

    fn experimental_duration(&mut self, span: Span) {
        if !self.options.duration_expressions {
            self.error(span, "experimental duration expression is not enabled");
        }
    }

    fn expect_in_duration(&mut self, kind: TokenKind, place: Place) -> Result<(), Stop> {
        if self.accept(kind) { Ok(()) } else { Err(self.unexpected_in_duration(place)) }
    }

    fn unexpected_in_duration(&mut self, place: Place) -> Stop {
        match place {
            Place::Offset => self.unexpected_in("offset", "number, duration, step(), or range()"),
            Place::Range => {
                self.unexpected_in("subquery or range selector", "number, duration, step(), or range()")
            }
            Place::Step => {
                self.unexpected_in("subquery selector", r#"number, duration, step(), range(), or "]""#)
            }
        }
    }
}

fn inner_span(expr: &DurationExpr) -> Span {
    match &expr.kind {
        DurationKind::Paren(inner) => inner.span,
        _ => expr.span,
    }
}

fn duration_op(op: BinaryOp) -> Option<DurationOp> {
    match op {
        BinaryOp::Add => Some(DurationOp::Add),
        BinaryOp::Sub => Some(DurationOp::Sub),
        BinaryOp::Mul => Some(DurationOp::Mul),
        BinaryOp::Div => Some(DurationOp::Div),
        BinaryOp::Mod => Some(DurationOp::Mod),
        BinaryOp::Pow => Some(DurationOp::Pow),
        _ => None,
    }
}

/// Seconds become nanoseconds and then whole milliseconds, which is how Prometheus comes to its milliseconds.
fn interval(expr: DurationExpr) -> Interval {
    match expr.kind {
        DurationKind::Number(number) => Interval::Fixed((number.value * 1e9).round() as i64 / 1_000_000),
        _ => Interval::Expr(Box::new(expr)),
    }
}
