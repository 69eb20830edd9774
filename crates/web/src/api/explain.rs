//! `/api/v1/query_explain`, Narthex' own: the plan of a query as a tree, with `analyze=true` also what each operator cost.
//!
//! The parameters are those of `query_range` when `start` is given, else those of `query`. An analyzed query runs as any other: it
//! has its turn, its limits and its lane; its result is thrown away.

use narthex_promql::desk::{Ticket, Times, stats_json};
use narthex_promql::engine::{OperatorCost, PlanNode};

use super::query::{Query, stopping};
use crate::answer::{ApiResult, PLAIN};
use crate::json::JsonOut;
use crate::services::Services;
use crate::site::Shared;

/// The plan alone.
pub(super) fn explain(services: &Services, query: &Query, out: &mut JsonOut) -> ApiResult {
    let engine = services.desk.engine();
    let (start, end, step) = match query.times {
        Times::At(t_ms) => (t_ms, t_ms, None),
        Times::Range { start, end, step } => (start, end, Some(step)),
    };
    let plan = engine.explain(&query.text, (start, end, step), query.lookback_ms)?;
    out.raw("{").member("plan", true);
    push_plan(out, &plan);
    out.raw("}");
    PLAIN
}

/// The plan of a query that is run for it.
pub(super) fn analyze(shared: &Shared, ticket: &mut Ticket, out: &mut JsonOut) -> ApiResult {
    let Some(services) = shared.services() else { return Err(stopping()) };
    let output = ticket.run(&*services.storage)?;
    let plan = output.plan.as_deref().expect("an analyzed query has a plan");
    out.raw("{").member("plan", true);
    push_plan(out, plan);
    out.member("stats", false).raw(&stats_json(&output.stats, ticket.queued()));
    out.member("peakBytes", false).int(number(output.stats.samples.peak_bytes));
    out.raw("}");
    PLAIN
}

fn push_plan(out: &mut JsonOut, node: &PlanNode) {
    out.raw("{").member("operator", true).html_safe(node.operator);
    out.member("detail", false).html_safe(&node.detail);
    out.member("steps", false).int(number(node.steps as u64));
    if let Some(cost) = &node.cost {
        push_cost(out, cost);
    }
    out.member("inputs", false);
    out.list(&node.inputs, push_plan);
    out.raw("}");
}

fn push_cost(out: &mut JsonOut, cost: &OperatorCost) {
    out.member("seconds", false).number(cost.time.as_secs_f64());
    for (name, value) in [("series", cost.series), ("samples", cost.samples), ("bytes", cost.bytes)] {
        out.member(name, false).int(number(value));
    }
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
