//! What operators join: literals, parentheses, calls and aggregations. Selectors are in `selector.rs`.

use narthex_model::{parse_duration_ms, quote_go};

use crate::ast::{Aggregate, AggregateOp, BinaryOp, Call, Expr, NumberLiteral, Paren, Span, StringLiteral};
use crate::functions_table::Function;
use crate::lexer::{Keyword, Token, TokenKind};

use super::cursor::{Parsed, Parser, Stop};
use super::literal::{parse_number, unquote_bytes};

/// The labels of an aggregation, in front of its arguments or behind them.
#[derive(Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Result<Parsed, Stop> {
        match self.current.kind {
            TokenKind::Number | TokenKind::Duration => {
                let token = self.advance();
                Ok(Parsed::leaf(Expr::Number(self.number_literal(token))))
            }
            TokenKind::String => {
                let token = self.advance();
                let (value, not_utf8) = unquote_bytes(self.text_of(token.span));
                let literal = StringLiteral { value, not_utf8, span: token.span };
                Ok(Parsed::leaf(Expr::String(Box::new(literal))))
            }
            TokenKind::LeftParen => self.paren(),
            TokenKind::LeftBrace => self.selector_without_name(),
            TokenKind::Aggregate(op) => self.aggregation_or_selector(op),
            kind if kind.is_metric_name() => self.call_or_selector(),
            _ => Err(self.unexpected()),
        }
    }

    pub(super) fn starts_expression(&self) -> bool {
        match self.current.kind {
            TokenKind::Number | TokenKind::Duration | TokenKind::String => true,
            TokenKind::LeftParen | TokenKind::LeftBrace => true,
            TokenKind::Op(BinaryOp::Add | BinaryOp::Sub) => true,
            kind => kind.is_metric_name(),
        }
    }

    /// The value of a number or duration token. After an error it is 0.
    pub(super) fn number_literal(&mut self, token: Token) -> NumberLiteral {
        let text = self.text_of(token.span);
        let is_duration = token.kind == TokenKind::Duration;
        let value = if is_duration {
            parse_duration_ms(text).map(|ms| ms as f64 / 1000.0).map_err(|e| e.to_string())
        } else {
            parse_number(text).map_err(|e| format!("error parsing number: {e}"))
        };
        let value = value.unwrap_or_else(|message| {
            self.error(token.span, message);
            0.0
        });
        NumberLiteral { value, is_duration, span: token.span }
    }

    fn paren(&mut self) -> Result<Parsed, Stop> {
        let open = self.advance();
        let inner = self.expression()?;
        let close = self.expect(TokenKind::RightParen)?;
        let height = self.height_over(inner.height)?;
        let span = open.span.to(close.span);
        Ok(Parsed { expr: Expr::Paren(Box::new(Paren { expr: inner.expr, span })), height })
    }

    fn call_or_selector(&mut self) -> Result<Parsed, Stop> {
        let name = self.advance();
        let callable = matches!(
            name.kind,
            TokenKind::Identifier
                | TokenKind::Keyword(
                    Keyword::Start
                        | Keyword::End
                        | Keyword::Step
                        | Keyword::Range
                        | Keyword::MaxOf
                        | Keyword::MinOf
                )
        );
        if callable && self.at(TokenKind::LeftParen) { self.call(name) } else { self.selector_named(name) }
    }

    fn call(&mut self, name: Token) -> Result<Parsed, Stop> {
        let mut args = Vec::new();
        self.arguments(&mut args)?;
        self.new_call(name, args)
    }

    #[inline(never)]
    fn new_call(&mut self, name: Token, args: Vec<Parsed>) -> Result<Parsed, Stop> {
        let text = self.text_of(name.span);
        let span = name.span.to(self.last);
        let Some(func) = Function::from_name(text) else {
            self.error(name.span, format!("unknown function with name {}", quote_go(text)));
            return Ok(Parsed::leaf(stand_in(span)));
        };
        if func.signature().experimental && !self.options.experimental_functions {
            self.error(name.span, format!("function {} is not enabled", quote_go(text)));
        }
        let height = self.height_over(args.iter().map(|a| a.height).max().unwrap_or(0))?;
        let args = args.into_iter().map(|a| a.expr).collect();
        Ok(Parsed { expr: Expr::Call(Box::new(Call { func, args, span })), height })
    }

    /// Arguments in parentheses.
    fn arguments(&mut self, args: &mut Vec<Parsed>) -> Result<(), Stop> {
        self.expect(TokenKind::LeftParen)?;
        if self.accept(TokenKind::RightParen) {
            return Ok(());
        }
        args.push(self.expression()?);
        while self.at(TokenKind::Comma) {
            let comma = self.advance();
            if self.starts_expression() {
                args.push(self.expression()?);
            } else {
                self.no_lexer_error()?;
                self.error(comma.span, "trailing commas not allowed in function call args");
            }
        }
        self.expect(TokenKind::RightParen)?;
        Ok(())
    }

    fn aggregation_or_selector(&mut self, op: AggregateOp) -> Result<Parsed, Stop> {
        let name = self.advance();
        match self.current.kind {
            TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without) => {
                self.aggregation(op, name)
            }
            _ => self.selector_named(name),
        }
    }

    fn aggregation(&mut self, op: AggregateOp, name: Token) -> Result<Parsed, Stop> {
        self.open_aggregations += 1;
        let mut args = Vec::new();
        let mut grouping = self.grouping()?;
        self.arguments(&mut args)?;
        if grouping.is_none() {
            self.no_lexer_error()?;
            grouping = self.grouping()?;
        }
        self.open_aggregations -= 1;
        self.new_aggregation(op, name.span.to(self.last), grouping.unwrap_or_default(), args)
    }

    /// `by (…)` or `without (…)`, or nothing.
    fn grouping(&mut self) -> Result<Option<Grouping>, Stop> {
        let without = match self.current.kind {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        let labels = self.grouping_labels()?;
        Ok(Some(Grouping { labels, without }))
    }

    #[inline(never)]
    fn new_aggregation(
        &mut self,
        op: AggregateOp,
        span: Span,
        grouping: Grouping,
        args: Vec<Parsed>,
    ) -> Result<Parsed, Stop> {
        let wanted = 1 + usize::from(op.param_type().is_some());
        let got = args.len();
        let error = if got == 0 {
            "no arguments for aggregate expression provided".to_owned()
        } else if op.is_experimental() && !self.options.experimental_functions {
            let flag = "--enable-feature=promql-experimental-functions";
            format!("{}() is experimental and must be enabled with {flag}", op.as_str())
        } else if got != wanted {
            format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"
            )
        } else {
            let height = self.height_over(args.iter().map(|a| a.height).max().unwrap_or(0))?;
            let mut args = args.into_iter().map(|a| a.expr);
            let param = if wanted == 2 { args.next() } else { None };
            let expr = args.next().expect("the number of arguments was compared");
            let Grouping { labels, without } = grouping;
            let aggregate = Aggregate { op, expr, param, grouping: labels, without, span };
            return Ok(Parsed { expr: Expr::Aggregate(Box::new(aggregate)), height });
        };
        self.error(span, error);
        Ok(Parsed::leaf(stand_in(span)))
    }
}

/// Takes the place of an expression that is in error already; nobody but the parser ever sees it.
fn stand_in(span: Span) -> Expr {
    Expr::String(Box::new(StringLiteral { value: String::new(), not_utf8: None, span }))
}
