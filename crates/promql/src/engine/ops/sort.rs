//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`.

use std::cmp::Ordering;

use narthex_model::Labels;

use crate::engine::block::{Block, BlockRow};
use crate::engine::context::QueryContext;
use crate::engine::error::QueryError;
use crate::engine::plan::SortKey;
use crate::engine::row::RowSource;

/// The rows of `input` in order; over several steps the order means nothing and stays as it is.
pub(crate) fn sort(
    ctx: &QueryContext<'_>,
    key: &SortKey,
    descending: bool,
    input: &dyn RowSource,
) -> Result<Block, QueryError> {
    let mut block = Block::of(ctx, input)?;
    if matches!(key, SortKey::Value) {
        block.rows.iter_mut().for_each(|r| r.row.histograms.clear());
        block.rows.retain(|r| !r.row.is_empty());
    }
    if block.steps.count != 1 {
        return Ok(block);
    }
    match key {
        SortKey::Value => block.rows.sort_by(|a, b| by_value(a, b, descending)),
        SortKey::Labels(names) => block.rows.sort_by(|a, b| {
            let order = by_labels(&a.labels, &b.labels, names);
            if descending { order.reverse() } else { order }
        }),
    }
    Ok(block)
}

/// NaN last in both directions.
fn by_value(a: &BlockRow, b: &BlockRow, descending: bool) -> Ordering {
    let (a, b) = (a.row.values[0], b.row.values[0]);
    match a.partial_cmp(&b) {
        Some(order) if descending => order.reverse(),
        Some(order) => order,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

fn by_labels(a: &Labels, b: &Labels, names: &[String]) -> Ordering {
    for name in names {
        let (x, y) = (a.value(name), b.value(name));
        if x != y {
            return if naturally_before(x, y) { Ordering::Less } else { Ordering::Greater };
        }
    }
    a.cmp(b)
}

/// Whether `a` stands before `b` when runs of digits count as numbers.
///
/// COMPAT: as Prometheus' natural order: parts are compared in turn; of two that agree as far as they go the shorter is first.
fn naturally_before(a: &str, b: &str) -> bool {
    let (mut x, mut y) = (parts(a), parts(b));
    loop {
        let (left, right) = match (x.next(), y.next()) {
            (None, _) => return true,
            (Some(_), None) => return false,
            (Some(left), Some(right)) => (left, right),
        };
        match (left.parse::<i64>(), right.parse::<i64>()) {
            (Ok(m), Ok(n)) if m != n => return m < n,
            (Ok(_), Ok(_)) => {}
            _ if left != right => return left < right,
            _ => {}
        }
    }
}

/// Runs of digits and runs of other characters.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.bytes().next()?;
        let digits = first.is_ascii_digit();
        let end = rest.bytes().position(|b| b.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        rest = tail;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_inside_texts_count_as_numbers() {
        let mut names = ["i10", "i9", "i1", "j", "i", "4m600", "4m5", "4m1000"];
        names.sort_by(|a, b| if naturally_before(a, b) { Ordering::Less } else { Ordering::Greater });
        assert_eq!(names, ["4m5", "4m600", "4m1000", "i", "i1", "i9", "i10", "j"]);
    }
}
