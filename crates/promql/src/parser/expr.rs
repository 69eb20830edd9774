//! Operators between and before expressions.
//!
//! A binary operator binds as [`BinaryOp::precedence`] says, `^` to the right and all others to the left. A sign binds like
//! `*`, so `-a ^ b` is `-(a ^ b)` and `-a * b` is `(-a) * b`.

use crate::ast::{Binary, BinaryOp, Expr, Span, Unary, UnaryOp};
use crate::lexer::{Token, TokenKind};

use super::cursor::{Parsed, Parser, Stop};
use super::matching::Modifiers;

impl Parser<'_> {
    /// A query from its first to its last token.
    pub(super) fn whole_expression(&mut self) -> Result<Expr, Stop> {
        if self.at(TokenKind::Eof) {
            self.error(Span::default(), "no expression found in input");
            return Err(Stop);
        }
        let parsed = self.expression()?;
        self.expect(TokenKind::Eof)?;
        Ok(parsed.expr)
    }

    pub(super) fn expression(&mut self) -> Result<Parsed, Stop> {
        self.binary(1)
    }

    /// Operands joined by operators that bind at least as tightly as `min_precedence`.
    fn binary(&mut self, min_precedence: u8) -> Result<Parsed, Stop> {
        self.enter()?;
        let mut lhs = self.unary()?;
        while let TokenKind::Op(op) = self.current.kind {
            let precedence = op.precedence();
            if precedence < min_precedence {
                break;
            }
            self.advance();
            let modifiers = self.modifiers()?;
            let rhs = self.binary(if op == BinaryOp::Pow { precedence } else { precedence + 1 })?;
            lhs = self.join(op, modifiers, lhs, rhs)?;
        }
        self.leave();
        Ok(lhs)
    }

    #[inline(never)]
    fn join(&mut self, op: BinaryOp, modifiers: Modifiers, lhs: Parsed, rhs: Parsed) -> Result<Parsed, Stop> {
        self.no_lexer_error()?;
        let span = lhs.expr.span().to(rhs.expr.span());
        let fill = modifiers.matching.fill;
        if !self.options.fill_modifiers && (fill.left.is_some() || fill.right.is_some()) {
            self.error(span, "binop fill modifiers are experimental and not enabled");
        }
        let height = self.height_over(lhs.height.max(rhs.height))?;
        let expr = Expr::Binary(Box::new(Binary {
            op,
            lhs: lhs.expr,
            rhs: rhs.expr,
            matching: Some(modifiers.matching),
            return_bool: modifiers.return_bool,
            span,
        }));
        Ok(Parsed { expr, height })
    }

    fn unary(&mut self) -> Result<Parsed, Stop> {
        let op = match self.current.kind {
            TokenKind::Op(BinaryOp::Add) => UnaryOp::Plus,
            TokenKind::Op(BinaryOp::Sub) => UnaryOp::Minus,
            _ => return self.postfix(),
        };
        let sign = self.advance();
        let operand = self.binary(BinaryOp::Pow.precedence())?;
        self.with_sign(op, sign, operand)
    }

    /// Folds the sign into a number literal, or puts a node over the operand.
    #[inline(never)]
    fn with_sign(&mut self, op: UnaryOp, sign: Token, operand: Parsed) -> Result<Parsed, Stop> {
        let span = sign.span.to(operand.expr.span());
        if let Expr::Number(mut number) = operand.expr {
            if op == UnaryOp::Minus {
                number.value = -number.value;
            }
            number.span = span;
            return Ok(Parsed::leaf(Expr::Number(number)));
        }
        let height = self.height_over(operand.height)?;
        Ok(Parsed { expr: Expr::Unary(Box::new(Unary { op, expr: operand.expr, span })), height })
    }
}
