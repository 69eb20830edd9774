//! The page at `/`: what runs here, what is wrong, the targets and where to go on. One HTML text, nothing to load.
//!
//! Always true: text from outside is escaped; targets that are not up stand first, so that a cut list never hides them.

use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;
use narthex_metrics::Value;
use narthex_model::{UnixTime, format_duration_ms, push_rfc3339};
use narthex_net::server::Response;

use crate::answer::with_type;
use crate::global_url::global_url;
use crate::services::{ActiveTarget, Health};
use crate::site::Shared;

/// Most targets on the page; the API has them all.
const MAX_TARGETS: usize = 200;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--soft:#777;--up:#1a7f4b;--down:#c0362c;--unknown:#8a6d1a}
@media(prefers-color-scheme:dark){:root{--soft:#999;--up:#4cc38a;--down:#ff7b72;--unknown:#d9b44a}}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.25rem 0}.soft{color:var(--soft)}code,input{font:.9em ui-monospace,monospace}
.note{border-left:.3rem solid var(--down);padding:.4rem .8rem;margin:1rem 0}
form{display:flex;gap:.5rem;margin-top:1rem}input{flex:1;min-width:0;padding:.5rem;border:1px solid var(--line);border-radius:.4rem}
button{padding:.5rem 1rem;border:0;border-radius:.4rem;background:#c8451d;color:#fff;font:inherit;cursor:pointer}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;white-space:nowrap}td.time,td.state{white-space:nowrap}.error{color:var(--down);overflow-wrap:anywhere}
.up{color:var(--up)}.down{color:var(--down)}.unknown{color:var(--unknown)}
ul{padding:0;margin:.25rem 0;list-style:none;columns:20rem 2}li{padding:.1rem 0}a{color:inherit}
";

/// Links at the end: path and what is there.
const LINKS: &[(&str, &str)] = &[
    ("metrics", "own metrics"),
    ("api/v1/targets", "targets"),
    ("api/v1/label/__name__/values", "metric names"),
    ("api/v1/metadata", "types and help texts"),
    ("api/v1/status/config", "loaded configuration"),
    ("api/v1/status/flags", "flags"),
    ("api/v1/status/tsdb", "storage statistics"),
    ("api/v1/status/runtimeinfo", "runtime"),
    ("api/v1/status/buildinfo", "build"),
    ("-/ready", "readiness"),
];

/// The page.
pub(crate) fn answer(shared: &Shared) -> Response {
    let html = render(shared, UnixTime::from_system(std::time::SystemTime::now()));
    with_type(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(html))
}

/// Adds formatted text. Writing to a `String` cannot fail.
macro_rules! push {
    ($html:expr, $($text:tt)*) => {
        let _ = write!($html, $($text)*);
    };
}

fn render(shared: &Shared, now: UnixTime) -> String {
    let base = escape(&shared.options.external_path);
    let mut html = String::with_capacity(8 * 1024);
    push_head(&mut html, shared, now);
    for notification in shared.process.notifications() {
        push!(html, "<p class=\"note\">{}</p>", escape(&notification.text));
    }
    push!(html, "<form action=\"{base}/api/v1/query\"><input name=\"query\" value=\"up\" ");
    html.push_str("aria-label=\"PromQL\" spellcheck=\"false\"><button>Query (JSON)</button></form>");
    push_targets(&mut html, shared, now);
    html.push_str("<h2>Look closer</h2><ul>");
    for (path, words) in LINKS {
        push!(html, "<li><a href=\"{base}/{path}\"><code>/{path}</code></a> {words}</li>");
    }
    html.push_str("</ul></body></html>\n");
    html
}

/// Title, version, uptime, state of the configuration, number of series.
fn push_head(html: &mut String, shared: &Shared, now: UnixTime) {
    let title = escape(&shared.options.page_title);
    html.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    push!(html, "<title>{title}</title><style>{STYLE}</style></head><body>");
    push!(html, "<h1>Narthex</h1><p class=\"soft\">{title}</p>");
    let runtime = shared.process.runtime();
    let mut started = String::new();
    push_rfc3339(&mut started, UnixTime { nanos: 0, ..runtime.start });
    push!(html, "<p>Version <code>{}</code>, up for ", escape(&shared.options.build.version));
    push!(html, "<time datetime=\"{started}\" title=\"since {started}\">");
    push!(html, "{}</time>", ago(runtime.start, now));
    if let Some(series) = head_series(shared) {
        push!(html, ", {series} series in memory");
    }
    match runtime.last_config.secs {
        0 => html.push_str(".</p>"),
        _ => {
            // The start is known to a fraction of a second only; nothing was loaded before it.
            let loaded = [runtime.last_config, runtime.start].into_iter().max_by_key(|t| t.to_ms());
            push!(html, ". Configuration loaded {} ago.</p>", ago(loaded.unwrap_or(now), now));
        }
    }
}

/// Time between two moments in whole seconds, as `1h2m3s`.
fn ago(from: UnixTime, to: UnixTime) -> String {
    format_duration_ms(((to.to_ms() - from.to_ms()) / 1000).max(0) * 1000)
}

/// The gauge of the head, when the storage is open.
fn head_series(shared: &Shared) -> Option<u64> {
    shared.services()?;
    let families = shared.registry.gather();
    let family = families.iter().find(|f| f.name == "prometheus_tsdb_head_series")?;
    match family.metrics.first()?.value {
        Value::Number(series) => Some(series as u64),
        _ => None,
    }
}

fn push_targets(html: &mut String, shared: &Shared, now: UnixTime) {
    let Some(services) = shared.services() else {
        let replay = shared.process.wal_replay();
        html.push_str("<h2>Targets</h2><p>The storage is not open; targets are scraped while it is. ");
        push!(html, "Replayed: WAL segment {} of {} to {}.</p>", replay.current, replay.min, replay.max);
        return;
    };
    let mut targets = services.targets.active(None);
    let up = targets.iter().filter(|t| t.health == Health::Up).count();
    push!(html, "<h2>Targets <span class=\"soft\">{up} of {} up</span></h2>", targets.len());
    if targets.is_empty() {
        html.push_str("<p>None yet: name some under <code>scrape_configs</code> in the configuration.</p>");
        return;
    }
    targets.sort_by_key(|t| match t.health {
        Health::Down => 0,
        Health::Unknown => 1,
        Health::Up => 2,
    });
    html.push_str("<div class=\"wide\"><table><tr><th>Health</th><th>Job</th><th>Endpoint</th>");
    html.push_str("<th>Last scrape</th><th>Took</th></tr>");
    for target in targets.iter().take(MAX_TARGETS) {
        push_target(html, shared, target, now);
    }
    html.push_str("</table></div>");
    if targets.len() > MAX_TARGETS {
        let rest = targets.len() - MAX_TARGETS;
        push!(html, "<p class=\"soft\">{rest} more are in <code>/api/v1/targets</code>.</p>");
    }
}

fn push_target(html: &mut String, shared: &Shared, target: &ActiveTarget, now: UnixTime) {
    let state = target.health.as_str();
    push!(html, "<tr><td class=\"state {state}\">{state}</td><td>{}</td>", escape(&target.pool));
    let link = escape(&global_url(&target.url, &shared.options));
    push!(html, "<td><a href=\"{link}\">{}</a>", escape(&target.url));
    if !target.last_error.is_empty() {
        push!(html, "<div class=\"error\">{}</div>", escape(&target.last_error));
    }
    match target.last_scrape {
        Some(at) => {
            push!(html, "</td><td class=\"time\">{} ago</td>", ago(at, now));
            push!(html, "<td class=\"time\">{:.1} ms</td></tr>", target.last_duration_s * 1000.0);
        }
        None => html.push_str("</td><td class=\"time soft\">not yet</td><td></td></tr>"),
    }
}

/// Text that may stand in an element or an attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}
