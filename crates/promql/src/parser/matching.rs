//! What may stand between a binary operator and its right side: `bool`, `on`, `ignoring`, `group_left`, `fill` and the like.

use narthex_model::quote_go_bytes;

use crate::ast::{BinaryOp, Cardinality, VectorMatching};
use crate::lexer::{Keyword, TokenKind};

use super::cursor::{Parser, Stop};
use super::literal::unquote_bytes;

/// The modifiers of a binary operator.
pub(super) struct Modifiers {
    pub(super) return_bool: bool,
    pub(super) matching: VectorMatching,
}

impl Parser<'_> {
    #[inline(never)]
    pub(super) fn modifiers(&mut self) -> Result<Modifiers, Stop> {
        let return_bool = self.accept_keyword(Keyword::Bool);
        let on = self.at(TokenKind::Keyword(Keyword::On));
        let mut matching = VectorMatching { on, ..VectorMatching::default() };
        if on || self.at(TokenKind::Keyword(Keyword::Ignoring)) {
            self.advance();
            matching.labels = self.grouping_labels()?;
            self.group_modifier(&mut matching)?;
        }
        self.fill_modifiers(&mut matching)?;
        Ok(Modifiers { return_bool, matching })
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> bool {
        self.accept(TokenKind::Keyword(keyword))
    }

    /// `group_left` or `group_right`, with or without labels.
    fn group_modifier(&mut self, matching: &mut VectorMatching) -> Result<(), Stop> {
        matching.cardinality = if self.accept_keyword(Keyword::GroupLeft) {
            Cardinality::ManyToOne
        } else if self.accept_keyword(Keyword::GroupRight) {
            Cardinality::OneToMany
        } else {
            return Ok(());
        };
        // Without labels the right side follows. Anything else is taken for labels that lack their parenthesis.
        if self.at(TokenKind::LeftParen) || !self.starts_expression() {
            matching.include = self.grouping_labels()?;
        }
        Ok(())
    }

    /// `fill`, or `fill_left` and `fill_right` in any order, each at most once.
    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Result<(), Stop> {
        let fill = &mut matching.fill;
        if self.accept_keyword(Keyword::Fill) {
            let value = Some(self.fill_value()?);
            (fill.left, fill.right) = (value, value);
            return Ok(());
        }
        for _ in 0..2 {
            if fill.left.is_none() && self.accept_keyword(Keyword::FillLeft) {
                fill.left = Some(self.fill_value()?);
            } else if fill.right.is_none() && self.accept_keyword(Keyword::FillRight) {
                fill.right = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Result<f64, Stop> {
        self.expect(TokenKind::LeftParen)?;
        let value = self.signed_number()?.ok_or(()).map_err(|()| self.unexpected())?;
        self.expect(TokenKind::RightParen)?;
        Ok(value)
    }

    /// A number or duration with or without a sign; `None`, at the token that does not fit, when there is none.
    pub(super) fn signed_number(&mut self) -> Result<Option<f64>, Stop> {
        let negative = self.at(TokenKind::Op(BinaryOp::Sub));
        if negative || self.at(TokenKind::Op(BinaryOp::Add)) {
            self.advance();
        }
        if !matches!(self.current.kind, TokenKind::Number | TokenKind::Duration) {
            return Ok(None);
        }
        let token = self.advance();
        let value = self.number_literal(token).value;
        Ok(Some(if negative { -value } else { value }))
    }

    /// Labels in parentheses.
    pub(super) fn grouping_labels(&mut self) -> Result<Vec<String>, Stop> {
        if !self.accept(TokenKind::LeftParen) {
            return Err(self.unexpected_in("grouping opts", r#""(""#));
        }
        let mut labels = Vec::new();
        while !self.at(TokenKind::RightParen) {
            labels.push(self.grouping_label()?);
            if !self.accept(TokenKind::Comma) && !self.at(TokenKind::RightParen) {
                return Err(self.unexpected_in("grouping opts", r#""," or ")""#));
            }
        }
        self.advance();
        Ok(labels)
    }

    fn grouping_label(&mut self) -> Result<String, Stop> {
        let span = self.current.span;
        let (label, not_utf8) = match self.current.kind {
            TokenKind::String => unquote_bytes(self.text_of(span)),
            kind if kind.is_grouping_label() => (self.text_of(span).to_owned(), None),
            _ => return Err(self.unexpected_in("grouping opts", "label")),
        };
        self.advance();
        if label.is_empty() || not_utf8.is_some() {
            let quoted = quote_go_bytes(not_utf8.as_deref().unwrap_or_default());
            self.error(span, format!("invalid label name for grouping: {quoted}"));
        }
        Ok(label)
    }
}
