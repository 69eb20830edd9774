//! Who sends a request, as far as a query cares: its lane and what the query log says of it.
//!
//! Facts: Grafana names the dashboard and panel of a query (`X-Dashboard-Uid`, before 9.0 `X-Dashboard-Id`; `X-Panel-Id`), and in
//! queries of its alert rules the rule (`X-Rule-Uid`) and `FromAlert: true`. `X-Narthex-Lane` is ours, and wins.

use http::HeaderMap;
use narthex_net::server::Request;
use narthex_promql::desk::{Lane, Origin};

/// Says the lane outright: `rules`, `dashboards` or `ad-hoc`. What is none of them is passed over.
pub(crate) const LANE_HEADER: &str = "x-narthex-lane";

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// Whom the query serves.
    pub(crate) lane: Lane,
    /// Address, method and path.
    pub(crate) origin: Origin,
}

impl Caller {
    /// The sender of a request.
    pub(crate) fn of(request: &Request) -> Self {
        let head = &request.head;
        let origin = Origin::Http {
            client: request.peer.ip().to_string(),
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
        };
        Self { lane: lane(&head.headers), origin }
    }
}

fn lane(headers: &HeaderMap) -> Lane {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let given = |names: &[&str]| names.iter().any(|name| !text(name).is_empty());
    if let Some(lane) = Lane::parse(text(LANE_HEADER)) {
        lane
    } else if text("fromalert") == "true" || given(&["x-rule-uid"]) {
        Lane::Rules
    } else if given(&["x-dashboard-uid", "x-dashboard-id", "x-panel-id"]) {
        Lane::Dashboards
    } else {
        Lane::AdHoc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: Lane) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let headers: HeaderMap = headers;
        assert_eq!(lane(&headers), expected, "{headers:?}");
    }

    #[test]
    fn headers_tell_whom_a_query_serves() {
        check(&[("x-grafana-org-id", "1")], Lane::AdHoc);
        check(&[("x-dashboard-uid", "abc"), ("x-panel-id", "2")], Lane::Dashboards);
        check(&[("x-dashboard-uid", "")], Lane::AdHoc);
        check(&[("fromalert", "true"), ("x-dashboard-uid", "abc")], Lane::Rules);
        check(&[("x-rule-uid", "r")], Lane::Rules);
        check(&[("x-narthex-lane", "ad-hoc"), ("x-panel-id", "2")], Lane::AdHoc);
        check(&[("x-narthex-lane", "fast"), ("x-panel-id", "2")], Lane::Dashboards);
    }
}
