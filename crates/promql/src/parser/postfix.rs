//! What may stand behind an expression: a range or subquery in brackets, `offset`, `@`, `anchored`, `smoothed`.
//!
//! They bind tighter than every operator and may follow each other; the last word on which may follow which is an error of
//! meaning, so that the parse goes on.

use narthex_model::format_float;

use crate::ast::{At, Expr, Interval, MatrixSelector, RangeEdges, Span, Subquery, VectorSelector};
use crate::lexer::{Keyword, TokenKind};

use super::cursor::{Parsed, Parser, Stop};
use super::duration::Place;

const RANGES_ONLY: &str = "ranges only allowed for vector selectors";

/// An expression while modifiers are added to it.
struct Target {
    parsed: Parsed,
    /// It is a range over something that is no vector selector, which was reported.
    broken_range: bool,
}

/// Where a selector or subquery keeps its modifiers, and the span it has before the next one is added.
struct Modified<'t> {
    span: Span,
    slots: Slots<'t>,
}

struct Slots<'t> {
    at: &'t mut Option<At>,
    offset: &'t mut Option<Interval>,
    span: &'t mut Span,
}

impl Parser<'_> {
    pub(super) fn postfix(&mut self) -> Result<Parsed, Stop> {
        let parsed = self.primary()?;
        match self.current.kind {
            TokenKind::LeftBracket
            | TokenKind::At
            | TokenKind::Keyword(Keyword::Offset | Keyword::Anchored | Keyword::Smoothed) => {
                self.modified(parsed)
            }
            _ => Ok(parsed),
        }
    }

    #[inline(never)]
    fn modified(&mut self, parsed: Parsed) -> Result<Parsed, Stop> {
        let mut target = Target { parsed, broken_range: false };
        loop {
            match self.current.kind {
                TokenKind::LeftBracket => target = self.brackets(target)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut target)?,
                TokenKind::At => self.at_modifier(&mut target)?,
                TokenKind::Keyword(Keyword::Anchored) => self.edges(&mut target, RangeEdges::Anchored),
                TokenKind::Keyword(Keyword::Smoothed) => self.edges(&mut target, RangeEdges::Smoothed),
                _ => return Ok(target.parsed),
            }
        }
    }

    /// `[range]`, `[range:]` or `[range:step]`.
    fn brackets(&mut self, target: Target) -> Result<Target, Stop> {
        let open = self.advance();
        let range = self.positive_duration(Place::Range)?;
        match self.current.kind {
            TokenKind::RightBracket => {
                let close = self.advance();
                Ok(self.new_matrix(target, range, open.span.to(close.span)))
            }
            TokenKind::Colon => {
                self.advance();
                let step = match self.current.kind {
                    TokenKind::RightBracket => None,
                    _ => Some(self.positive_duration(Place::Step)?),
                };
                if !self.at(TokenKind::RightBracket) {
                    return Err(self.unexpected_in("subquery selector", r#""]""#));
                }
                let close = self.advance();
                self.new_subquery(target.parsed, range, step, close.span)
            }
            _ => Err(self.unexpected_in("subquery or range", r#"":" or "]""#)),
        }
    }

    fn new_matrix(&mut self, target: Target, range: Interval, brackets: Span) -> Target {
        let span = target.parsed.expr.span().to(brackets);
        let (selector, error) = match target.parsed.expr {
            Expr::Vector(v) if v.offset.is_some() => (*v, Some("no offset modifiers allowed before range")),
            Expr::Vector(v) if v.at.is_some() => (*v, Some("no @ modifiers allowed before range")),
            Expr::Vector(v) => (*v, None),
            _ => (VectorSelector::default(), Some(RANGES_ONLY)),
        };
        if let Some(error) = error {
            self.error(brackets, error);
        }
        let parsed = Parsed::leaf(Expr::Matrix(Box::new(MatrixSelector { selector, range, span })));
        Target { parsed, broken_range: error == Some(RANGES_ONLY) }
    }

    fn new_subquery(
        &mut self,
        below: Parsed,
        range: Interval,
        step: Option<Interval>,
        close: Span,
    ) -> Result<Target, Stop> {
        let height = self.height_over(below.height)?;
        let span = below.expr.span().to(close);
        let subquery = Subquery { expr: below.expr, range, step, at: None, offset: None, span };
        Ok(Target {
            parsed: Parsed { expr: Expr::Subquery(Box::new(subquery)), height },
            broken_range: false,
        })
    }

    fn offset(&mut self, target: &mut Target) -> Result<(), Stop> {
        self.advance();
        let offset = self.offset_duration()?;
        let end = self.last;
        let Some(Modified { span, slots }) = self.selector_of(target, "offset modifier") else {
            return Ok(());
        };
        let was_set = slots.offset.is_some();
        *slots.offset = Some(offset).filter(|offset| *offset != Interval::Fixed(0));
        *slots.span = span.to(end);
        if was_set {
            self.error(span, "offset may not be set multiple times");
        }
        Ok(())
    }

    fn at_modifier(&mut self, target: &mut Target) -> Result<(), Stop> {
        self.advance();
        let at = self.at_time(target.parsed.expr.span())?;
        let end = self.last;
        let Some(Modified { span, slots }) = self.selector_of(target, "@ modifier") else { return Ok(()) };
        if slots.at.is_some() {
            self.error(span, "@ <timestamp> may not be set multiple times");
            return Ok(());
        }
        *slots.at = Some(at);
        *slots.span = span.to(end);
        Ok(())
    }

    /// Where the expression's `offset` and `@` are kept; `None` after an error when it cannot have them.
    fn selector_of<'t>(&mut self, target: &'t mut Target, modifier: &str) -> Option<Modified<'t>> {
        let span = target.parsed.expr.span();
        let slots = match &mut target.parsed.expr {
            Expr::Matrix(_) if target.broken_range => {
                self.error(span, RANGES_ONLY);
                return None;
            }
            Expr::Vector(v) => Slots { at: &mut v.at, offset: &mut v.offset, span: &mut v.span },
            Expr::Matrix(m) => {
                Slots { at: &mut m.selector.at, offset: &mut m.selector.offset, span: &mut m.span }
            }
            Expr::Subquery(s) => Slots { at: &mut s.at, offset: &mut s.offset, span: &mut s.span },
            _ => {
                let wanted = "an instant vector selector or range vector selector or a subquery";
                self.error(span, format!("{modifier} must be preceded by {wanted}"));
                return None;
            }
        };
        Some(Modified { span, slots })
    }

    /// What stands behind `@`. `target` is where an error about the time is reported.
    fn at_time(&mut self, target: Span) -> Result<At, Stop> {
        let at = match self.current.kind {
            TokenKind::Keyword(Keyword::Start) => At::Start,
            TokenKind::Keyword(Keyword::End) => At::End,
            _ => {
                let seconds = self.signed_number()?;
                let seconds = seconds.ok_or(()).map_err(|()| self.unexpected_in("@", "timestamp"))?;
                return Ok(self.timestamp(seconds, target));
            }
        };
        self.advance();
        for kind in [TokenKind::LeftParen, TokenKind::RightParen] {
            if !self.accept(kind) {
                return Err(self.unexpected_in("@", "timestamp"));
            }
        }
        Ok(at)
    }

    fn timestamp(&mut self, seconds: f64, target: Span) -> At {
        let bound = i64::MAX as f64;
        if !(-bound < seconds && seconds < bound) {
            let shown = if seconds.is_finite() { format!("{seconds:.6}") } else { format_float(seconds) };
            self.error(target, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        At::Timestamp((seconds * 1000.0).round() as i64)
    }

    /// `anchored` or `smoothed`. COMPAT: the span does not grow, as positions of operators are found from it.
    fn edges(&mut self, target: &mut Target, edges: RangeEdges) {
        self.advance();
        let word = if edges == RangeEdges::Anchored { "anchored" } else { "smoothed" };
        let span = target.parsed.expr.span();
        if !self.options.extended_range_selectors {
            self.error(span, format!("{word} modifier is experimental and not enabled"));
            return;
        }
        let slot = match &mut target.parsed.expr {
            Expr::Vector(v) => &mut v.edges,
            Expr::Matrix(m) => &mut m.selector.edges,
            Expr::Subquery(_) => {
                return self.error(span, format!("{word} modifier is not supported for subqueries"));
            }
            _ => return self.error(span, format!("{word} modifier not implemented")),
        };
        if *slot != RangeEdges::Plain && *slot != edges {
            self.error(span, "anchored and smoothed modifiers cannot be used together");
        }
        *slot = edges;
    }
}
