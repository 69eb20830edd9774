//! Rules, alerts and Alertmanagers: the shapes, with nothing in them as long as no rule is evaluated.

use super::Call;
use super::labels::parse_selectors;
use crate::answer::{ApiResult, PLAIN};
use crate::api_error::ApiError;
use crate::json::JsonOut;

/// `/api/v1/rules`
pub(super) fn rules(call: &Call, out: &mut JsonOut) -> ApiResult {
    parse_selectors(&call.form.values("match[]")).map_err(ApiError::bad_data)?;
    let kind = call.form.url_value("type").to_lowercase();
    if !matches!(&*kind, "" | "alert" | "record") {
        return Err(ApiError::invalid_parameter("type", format!("not supported value \"{kind}\"")));
    }
    out.raw("{\"groups\":[]}");
    PLAIN
}

/// `/api/v1/alerts`
pub(super) fn alerts(out: &mut JsonOut) -> ApiResult {
    out.raw("{\"alerts\":[]}");
    PLAIN
}

/// `/api/v1/alertmanagers`
pub(super) fn alertmanagers(out: &mut JsonOut) -> ApiResult {
    out.raw("{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}");
    PLAIN
}
