//! The form of an expression that people read: broken into lines and indented where one line would be too long.
//!
//! Road in: [`prettify`]. A node whose one-line form has more than 100 bytes puts its parts on lines of their own, one level
//! deeper; the parts decide for themselves.
//! Facts: the output of Prometheus' `/api/v1/format_query`, `promql/parser/prettier_rules.md`,
//! `conformance/promql/prettier-cases.json`.

#[cfg(test)]
mod tests;

use std::fmt::{self, Write};

use crate::ast::{Aggregate, Expr, Subquery};
use crate::printer::{
    AggregateHead, OperatorHead, SubquerySuffix, ends_with_open_offset, with_closed_offset,
};

const LINE_BYTES: usize = 100;
const INDENT: &str = "  ";

/// The expression over as many lines as it needs, without a line end at the end.
#[must_use]
pub fn prettify(expr: &Expr) -> String {
    prettify_within(expr, LINE_BYTES)
}

/// As [`prettify`] with another limit on one line's bytes.
fn prettify_within(expr: &Expr, line_bytes: usize) -> String {
    let mut prettier = Prettier { out: String::new(), line_bytes };
    prettier.expr(expr, 0);
    prettier.out
}

struct Prettier {
    out: String,
    line_bytes: usize,
}

impl Prettier {
    fn expr(&mut self, expr: &Expr, level: usize) {
        match expr {
            Expr::Subquery(s) => self.subquery(expr, s, level),
            Expr::Unary(u) => {
                self.indent(level);
                self.out.push_str(u.op.as_str());
                let child = self.out.len();
                self.expr(&u.expr, level);
                let blanks = self.out[child..].len() - self.out[child..].trim_start().len();
                self.out.replace_range(child..child + blanks, "");
            }
            Expr::Binary(b) if self.is_long(expr) => {
                self.expr(&b.lhs, level + 1);
                if ends_with_open_offset(&b.lhs) {
                    self.out = with_closed_offset(std::mem::take(&mut self.out));
                }
                self.new_line(level);
                self.put(OperatorHead(b));
                self.out.push('\n');
                self.expr(&b.rhs, level + 1);
            }
            Expr::Aggregate(a) if self.is_long(expr) => self.aggregate(a, level),
            Expr::Call(c) if self.is_long(expr) => {
                self.indent(level);
                self.out.push_str(c.func.name());
                self.parts(&c.args, level);
            }
            Expr::Paren(p) if self.is_long(expr) => {
                self.indent(level);
                self.parts(std::slice::from_ref(&p.expr), level);
            }
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => self.line(expr, level),
            Expr::Binary(_) | Expr::Aggregate(_) | Expr::Call(_) | Expr::Paren(_) => self.line(expr, level),
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate, level: usize) {
        self.indent(level);
        self.put(AggregateHead(aggregate));
        self.out.push_str("(\n");
        if let Some(param) = &aggregate.param {
            self.expr(param, level + 1);
            self.out.push_str(",\n");
        }
        self.expr(&aggregate.expr, level + 1);
        self.new_line(level);
        self.out.push(')');
    }

    fn subquery(&mut self, whole: &Expr, subquery: &Subquery, level: usize) {
        if self.is_long(whole) {
            self.expr(&subquery.expr, level);
            self.put(SubquerySuffix(subquery));
        } else {
            // COMPAT: Prometheus does not indent a subquery that fits.
            self.put(whole);
        }
    }

    /// `(`, the parts one level deeper with commas between them, `)`.
    fn parts(&mut self, parts: &[Expr], level: usize) {
        self.out.push_str("(\n");
        for (i, part) in parts.iter().enumerate() {
            self.out.push_str(if i > 0 { ",\n" } else { "" });
            self.expr(part, level + 1);
        }
        self.new_line(level);
        self.out.push(')');
    }

    fn line(&mut self, expr: &Expr, level: usize) {
        self.indent(level);
        self.put(expr);
    }

    fn new_line(&mut self, level: usize) {
        self.out.push('\n');
        self.indent(level);
    }

    fn indent(&mut self, level: usize) {
        for _ in 0..level {
            self.out.push_str(INDENT);
        }
    }

    fn put(&mut self, part: impl fmt::Display) {
        write!(self.out, "{part}").expect("writing to a string cannot fail");
    }

    /// Whether the one-line form is longer than a line. Stops printing once it is, so that nested nodes cost little.
    fn is_long(&self, expr: &Expr) -> bool {
        write!(Budget { left: self.line_bytes }, "{expr}").is_err()
    }
}

/// Takes text up to a number of bytes and keeps none of it.
struct Budget {
    left: usize,
}

impl Write for Budget {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}
