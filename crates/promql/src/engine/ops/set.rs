//! `and`, `or`, `unless`: series of one side kept or dropped by what the other side has in their match group.

use super::join::MatchGroups;
use crate::ast::{BinaryOp, VectorMatching};
use crate::engine::block::{Block, BlockRow};
use crate::engine::context::QueryContext;
use crate::engine::error::QueryError;
use crate::engine::steps::Mask;

/// `left op right`.
pub(crate) fn set_operation(
    ctx: &QueryContext<'_>,
    op: BinaryOp,
    matching: &VectorMatching,
    mut left: Block,
    mut right: Block,
) -> Result<Block, QueryError> {
    let groups = MatchGroups::of(&left, &right, matching);
    let steps = left.steps;
    let present = |rows: &[BlockRow], group_of: &[usize]| {
        let mut masks = vec![Mask::none(steps.count); groups.signatures.len()];
        for (row, group) in rows.iter().zip(group_of) {
            masks[*group].add(&row.row.occupied());
        }
        masks
    };
    let mut rows;
    if op == BinaryOp::Or {
        let left_has = present(&left.rows, &groups.left);
        for (row, group) in right.rows.iter_mut().zip(&groups.right) {
            let mut keep = row.row.occupied();
            keep.remove(&left_has[*group]);
            row.row.keep(&keep);
        }
        rows = std::mem::take(&mut left.rows);
        rows.append(&mut right.rows);
    } else {
        let right_has = present(&right.rows, &groups.right);
        for (row, group) in left.rows.iter_mut().zip(&groups.left) {
            let mut keep = row.row.occupied();
            if op == BinaryOp::And {
                keep.keep(&right_has[*group]);
            } else {
                keep.remove(&right_has[*group]);
            }
            row.row.keep(&keep);
        }
        rows = std::mem::take(&mut left.rows);
    }
    drop((left, right));
    let mut block = Block::new(ctx, steps, rows)?;
    block.merge_equal_labels()?;
    Ok(block)
}
