//! The handlers of API v1, grouped by what they ask for.
//!
//! Each takes a [`Call`], asks the services and writes `data` into the envelope. What was quick lately (`quick`) runs where its
//! request was read. Else queries run on blocking threads; the others where their request was read, which hands its other tasks to
//! another thread first.

mod admin;
mod cardinality;
mod explain;
mod features;
mod labels;
mod language;
mod query;
mod remote_write;
mod rules;
mod running;
mod self_metrics;
pub(crate) mod status;
mod syntax_tree;
mod targets;

pub(crate) use labels::parse_selectors;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use narthex_net::server::Response;
use narthex_promql::engine::CancelToken;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::answer::{ApiResult, REPLAYING, envelope};
use crate::api_error::{ApiError, ErrorType};
use crate::caller::Caller;
use crate::encoding::Encoding;
use crate::form::Form;
use crate::json::JsonOut;
use crate::quick::Question;
use crate::routes::Endpoint;
use crate::services::Services;
use crate::site::Shared;

/// One request to the API.
#[derive(Debug)]
pub(crate) struct Call {
    /// The parameters.
    pub(crate) form: Form,
    /// The segment of the path that stands for a name, unescaped.
    pub(crate) name: Vec<u8>,
    /// How the answer is to be encoded.
    pub(crate) encoding: Encoding,
    /// Who asks.
    pub(crate) caller: Caller,
}

/// Calls a query off when the answer is no longer wanted.
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Answers one request. Dropping the future cancels a query under way.
pub(crate) async fn run(shared: &Arc<Shared>, endpoint: Endpoint, call: Call) -> Response {
    let cancel = CancelToken::new();
    let _guard = CancelOnDrop(cancel.clone());
    let question = may_be_quick(endpoint).then(|| Question::of(endpoint, &call));
    if matches!(endpoint, Endpoint::Query | Endpoint::QueryRange | Endpoint::QueryExplain) {
        return query::run(shared, endpoint, question, call, cancel).await;
    }
    let (encoding, services) = (call.encoding, Arc::clone(shared));
    let work = move || envelope(encoding, |out| answer(&services, endpoint, &call, out));
    make(shared, question, Aside::AfterTheOthers, encoding, work).await
}

/// Whether the endpoint only reads, and mostly little.
pub(crate) fn may_be_quick(endpoint: Endpoint) -> bool {
    use Endpoint::{CancelQuery, CleanTombstones, DeleteSeries, QueryExplain, Snapshot};
    use Endpoint::{DeadLetters, DropLetters, ReplayLetters, ShowLetters};
    !matches!(
        endpoint,
        CancelQuery
            | CleanTombstones
            | DeleteSeries
            | QueryExplain
            | Snapshot
            | DeadLetters
            | DropLetters
            | ReplayLetters
            | ShowLetters
    )
}

/// Where an answer is made that is not known to be quick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aside {
    /// On a blocking thread.
    Elsewhere,
    /// On the network thread, whose other tasks go to another thread first.
    ///
    /// PERF: for what mostly takes less time than waking another thread for it and being woken by it.
    AfterTheOthers,
}

/// Makes an answer by `work`, on the thread that read the question when that was quick lately.
async fn make(
    shared: &Shared,
    question: Option<Question>,
    aside: Aside,
    encoding: Encoding,
    work: impl FnOnce() -> Response + Send + 'static,
) -> Response {
    let timed = move || {
        let began = Instant::now();
        (work(), began.elapsed())
    };
    let leave = question.and_then(|question| shared.quick.leave_for(question));
    let has_others = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    let made = if leave.is_some() {
        catch_unwind(AssertUnwindSafe(timed)).ok()
    } else if aside == Aside::AfterTheOthers && has_others {
        catch_unwind(AssertUnwindSafe(|| tokio::task::block_in_place(timed))).ok()
    } else {
        tokio::task::spawn_blocking(timed).await.ok()
    };
    let Some((response, took)) = made else { return failed(encoding) };
    if let Some(question) = question {
        shared.quick.note(question, took);
    }
    response
}

/// The answer when a handler broke; the panic itself was logged where it happened.
fn failed(encoding: Encoding) -> Response {
    let error = ApiError::new(ErrorType::Internal, "unexpected error while answering, see the log");
    envelope(encoding, |_| Err(error))
}

fn answer(shared: &Shared, endpoint: Endpoint, call: &Call, out: &mut JsonOut) -> ApiResult {
    match endpoint {
        Endpoint::StatusWalReplay => return status::wal_replay(shared, out),
        Endpoint::Notifications => return status::notifications(shared, out),
        _ => {}
    }
    // The site may have begun to stop since it let the request in.
    let Some(services) = shared.services() else {
        return Err(ApiError::new(ErrorType::Unavailable, "the server is stopping"));
    };
    let replaying = shared.is_replaying();
    let outcome = ready_answer(shared, services, endpoint, call, out)?;
    Ok(if replaying && endpoint.reads_samples() { outcome.with_warning(REPLAYING) } else { outcome })
}

fn ready_answer(
    shared: &Shared,
    services: &Services,
    endpoint: Endpoint,
    call: &Call,
    out: &mut JsonOut,
) -> ApiResult {
    match endpoint {
        Endpoint::QueryExemplars => language::exemplars(services, call, out),
        Endpoint::FormatQuery => language::format(services, call, out),
        Endpoint::ParseQuery => language::parse(services, call, out),
        Endpoint::Labels => labels::names(services, call, out),
        Endpoint::LabelValues => labels::values(services, call, out),
        Endpoint::Series => labels::series(services, call, out),
        Endpoint::ScrapePools => targets::pools(services, out),
        Endpoint::PoolConfig => targets::pool_config(services, call, out),
        Endpoint::RelabelSteps => targets::relabel_steps(services, call, out),
        Endpoint::Targets => targets::targets(&shared.options, services, call, out),
        Endpoint::TargetsMetadata => targets::target_metadata(services, call, out),
        Endpoint::Metadata => targets::metadata(services, call, out),
        Endpoint::Alertmanagers => rules::alertmanagers(out),
        Endpoint::Alerts => rules::alerts(out),
        Endpoint::Rules => rules::rules(call, out),
        Endpoint::StatusConfig => status::config(shared, out),
        Endpoint::StatusRuntimeInfo => status::runtime(shared, out),
        Endpoint::StatusBuildInfo => status::build(shared, out),
        Endpoint::StatusFlags => status::flags(shared, out),
        Endpoint::Features => features::features(shared, services, out),
        Endpoint::RunningQueries => running::list(services, out),
        Endpoint::CancelQuery => running::cancel(shared, services, call),
        Endpoint::StatusTsdb => status::tsdb(services, call, out),
        Endpoint::StatusCardinality => cardinality::answer(services, call, out),
        Endpoint::StatusTsdbBlocks => status::blocks(services, out),
        Endpoint::StatusSelfMetrics => self_metrics::answer(shared, call, out),
        Endpoint::DeleteSeries | Endpoint::CleanTombstones | Endpoint::Snapshot => {
            admin::run(shared, services, endpoint, call, out)
        }
        Endpoint::RemoteWrite
        | Endpoint::DeadLetters
        | Endpoint::ShowLetters
        | Endpoint::ReplayLetters
        | Endpoint::DropLetters => remote_write::run(shared, services, endpoint, call, out),
        other => unreachable!("{other:?} is not answered here"),
    }
}
