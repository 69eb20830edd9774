//! Stack for deep queries: evaluation recurses as deep as the query nests, and a thread's stack is small.
//!
//! A query of usual depth runs where it was called. A deeper one gets a thread of its own whose stack is reserved by depth; the
//! parser bounds the depth, and memory is only used as far as the stack grows.

use crate::ast::Expr;
use crate::engine::error::QueryError;

/// Up to this height a query fits on any stack.
const SHALLOW: usize = 24;
/// More than any operator needs for one level, in debug builds as well.
const BYTES_PER_LEVEL: usize = 64 << 10;

/// How much stack evaluating the query takes; `None` for what any thread has.
pub(crate) fn bytes_for(expr: &Expr) -> Option<usize> {
    let height = height(expr);
    (height > SHALLOW).then(|| (2 << 20) + height * BYTES_PER_LEVEL)
}

fn height(expr: &Expr) -> usize {
    let mut below = 0;
    expr.for_each_child(|child| below = below.max(height(child)));
    below + 1
}

/// Runs `f` with so much stack.
///
/// # Errors
/// Those of `f`; the system has no thread to give.
pub(crate) fn with_stack<T: Send>(
    bytes: Option<usize>,
    f: impl FnOnce() -> Result<T, QueryError> + Send,
) -> Result<T, QueryError> {
    let Some(bytes) = bytes else { return f() };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(bytes).spawn_scoped(scope, f);
        let thread = thread.map_err(|e| QueryError::Execution(format!("no thread for a deep query: {e}")))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
