//! Vector selectors: a metric name, conditions in braces, or both; and series, which have labels instead of conditions.

use narthex_model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher};

use crate::ast::{BinaryOp, Expr, VectorSelector};
use crate::lexer::{Token, TokenKind};

use super::cursor::{Parsed, Parser, Stop};
use super::literal::unquote;

impl Parser<'_> {
    /// A selector from the first to the last token, without modifiers.
    pub(super) fn whole_selector(&mut self) -> Result<VectorSelector, Stop> {
        let selector = if self.at(TokenKind::LeftBrace) {
            self.selector(None)?
        } else if self.current.kind.is_metric_name() {
            let name = self.advance();
            self.selector(Some(name))?
        } else {
            return Err(self.unexpected());
        };
        self.expect(TokenKind::Eof)?;
        Ok(selector)
    }

    pub(super) fn selector_without_name(&mut self) -> Result<Parsed, Stop> {
        let selector = self.selector(None)?;
        Ok(Parsed::leaf(Expr::Vector(Box::new(selector))))
    }

    #[inline(never)]
    pub(super) fn selector_named(&mut self, name: Token) -> Result<Parsed, Stop> {
        let selector = self.selector(Some(name))?;
        Ok(Parsed::leaf(Expr::Vector(Box::new(selector))))
    }

    /// A selector whose name, if it has one, was read.
    fn selector(&mut self, name: Option<Token>) -> Result<VectorSelector, Stop> {
        let mut span = name.map_or(self.current.span, |n| n.span);
        let mut matchers = Vec::new();
        if self.at(TokenKind::LeftBrace) {
            self.matchers(&mut matchers)?;
            span = span.to(self.last);
        }
        let name = name.map(|n| self.text_of(n.span).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        Ok(VectorSelector { name, matchers, span, ..VectorSelector::default() })
    }

    /// Conditions in braces.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Result<(), Stop> {
        self.advance();
        while !self.at(TokenKind::RightBrace) {
            matchers.extend(self.matcher()?);
            if !self.accept(TokenKind::Comma) && !self.at(TokenKind::RightBrace) {
                return Err(self.unexpected_in("label matching", r#""," or "}""#));
            }
        }
        self.advance();
        Ok(())
    }

    /// One condition; `None` after an error that does not end the parse.
    fn matcher(&mut self) -> Result<Option<Matcher>, Stop> {
        let label = self.current;
        let name = match label.kind {
            TokenKind::Identifier => self.text_of(label.span).to_owned(),
            TokenKind::String => unquote(self.text_of(label.span)),
            _ => return Err(self.unexpected_in("label matching", r#"identifier or "}""#)),
        };
        self.advance();
        let op = match self.current.kind {
            TokenKind::Equal => MatchOp::Equal,
            TokenKind::Op(BinaryOp::Ne) => MatchOp::NotEqual,
            TokenKind::EqualRegex => MatchOp::Regex,
            TokenKind::NotEqualRegex => MatchOp::NotRegex,
            _ if label.kind == TokenKind::String => return Ok(Some(Matcher::equal(METRIC_NAME, name))),
            _ => return Err(self.unexpected_in("label matching", "label matching operator")),
        };
        self.advance();
        if !self.at(TokenKind::String) {
            return Err(self.unexpected_in("label matching", "string"));
        }
        let value = self.advance();
        match Matcher::new(op, name, unquote(self.text_of(value.span))) {
            Ok(matcher) => Ok(Some(matcher)),
            Err(error) => {
                self.error(label.span.to(value.span), error.to_string());
                Ok(None)
            }
        }
    }

    /// A series from the first to the last token.
    pub(super) fn whole_metric(&mut self) -> Result<Labels, Stop> {
        let labels = self.metric()?;
        self.expect(TokenKind::Eof)?;
        Ok(labels)
    }

    /// A name, labels in braces, or both. Nothing at all is the empty label set.
    pub(super) fn metric(&mut self) -> Result<Labels, Stop> {
        let mut labels = LabelsBuilder::new();
        let name = self.current.kind.is_metric_name().then(|| self.advance());
        if self.accept(TokenKind::LeftBrace) {
            while !self.at(TokenKind::RightBrace) {
                self.label(&mut labels)?;
                if !self.accept(TokenKind::Comma) && !self.at(TokenKind::RightBrace) {
                    return Err(self.unexpected_in("label set", r#""," or "}""#));
                }
            }
            self.advance();
        }
        if let Some(name) = name {
            labels.set(METRIC_NAME, self.text_of(name.span));
        }
        Ok(labels.labels())
    }

    fn label(&mut self, labels: &mut LabelsBuilder) -> Result<(), Stop> {
        let label = self.current;
        let name = match label.kind {
            TokenKind::Identifier => self.text_of(label.span).to_owned(),
            TokenKind::String => unquote(self.text_of(label.span)),
            _ => return Err(self.unexpected_in("label set", r#"identifier or "}""#)),
        };
        self.advance();
        if !self.at(TokenKind::Equal) {
            if label.kind == TokenKind::String {
                labels.set(METRIC_NAME, &name);
                return Ok(());
            }
            return Err(self.unexpected_in("label set", r#""=""#));
        }
        self.advance();
        if !self.at(TokenKind::String) {
            return Err(self.unexpected_in("label set", "string"));
        }
        let value = self.advance();
        labels.set(&name, &unquote(self.text_of(value.span)));
        Ok(())
    }
}
