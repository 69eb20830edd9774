//! Rules, alerts and Alertmanagers: the shapes, with nothing in them as long as no rule is evaluated.

use std::num::IntErrorKind;

use narthex_model::quote_go;

use super::Call;
use super::labels::parse_selectors;
use crate::answer::{ApiResult, PLAIN};
use crate::api_error::ApiError;
use crate::form::Form;
use crate::json::JsonOut;

/// `/api/v1/rules`
pub(super) fn rules(call: &Call, out: &mut JsonOut) -> ApiResult {
    call.form.check().map_err(ApiError::bad_data)?;
    parse_selectors(&call.form.values("match[]")).map_err(ApiError::bad_data)?;
    let kind = call.form.url_value("type").to_lowercase();
    if !matches!(&*kind, "" | "alert" | "record") {
        return Err(ApiError::invalid_parameter("type", format!("not supported value \"{kind}\"")));
    }
    check_switch(&call.form)?;
    check_page(&call.form)?;
    out.raw("{\"groups\":[]}");
    PLAIN
}

fn check_switch(form: &Form) -> Result<(), ApiError> {
    let text = form.url_value("exclude_alerts").to_lowercase();
    if matches!(&*text, "" | "1" | "t" | "true" | "0" | "f" | "false") {
        return Ok(());
    }
    let reason = format!(
        "error converting exclude_alerts: strconv.ParseBool: parsing {}: invalid syntax",
        quote_go(&text)
    );
    Err(ApiError::invalid_parameter("exclude_alerts", reason))
}

/// Without groups no token can be the right one.
fn check_page(form: &Form) -> Result<(), ApiError> {
    let (limit, token) = (form.url_value("group_limit"), form.url_value("group_next_token"));
    if limit.is_empty() && !token.is_empty() {
        let reason = "group_limit needs to be present in order to paginate over the groups";
        return Err(ApiError::invalid_parameter("group_next_token", reason));
    }
    if limit.is_empty() {
        return Ok(());
    }
    let invalid = |reason: &str| {
        let quoted = quote_go(limit);
        let reason =
            format!("group_limit needs to be a valid number: strconv.ParseInt: parsing {quoted}: {reason}");
        ApiError::invalid_parameter("group_limit", reason)
    };
    let number = limit.parse::<i32>().map_err(|e| match e.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => invalid("value out of range"),
        _ => invalid("invalid syntax"),
    })?;
    if number <= 0 {
        return Err(ApiError::invalid_parameter("group_limit", "group_limit needs to be greater than 0"));
    }
    if !token.is_empty() {
        let reason = format!("invalid group_next_token '{token}'. were rule groups changed?");
        return Err(ApiError::invalid_parameter("group_next_token", reason));
    }
    Ok(())
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
