//! The page at `/`: what runs here, its targets and where to go on. One HTML text, nothing to load.

use bytes::Bytes;
use http::StatusCode;
use narthex_model::{UnixTime, push_rfc3339};
use narthex_net::server::Response;

use crate::answer::with_type;
use crate::services::{ActiveTarget, Health};
use crate::site::Shared;

/// Most targets on the page; the API has them all.
const MAX_TARGETS: usize = 200;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--soft:#888;--up:#1a7f4b;--down:#c0362c}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.25rem 0}.soft{color:var(--soft)}code,input{font:.9em ui-monospace,monospace}
form{display:flex;gap:.5rem;margin-top:.5rem}input{flex:1;padding:.5rem;border:1px solid var(--line);border-radius:.4rem}
button{padding:.5rem 1rem;border:0;border-radius:.4rem;background:#e2562b;color:#fff;font:inherit;cursor:pointer}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:anywhere}.up{color:var(--up)}.down{color:var(--down)}ul{padding-left:1.2rem;margin:.25rem 0}a{color:inherit}
";

/// Links below the query box: path and what is there.
const LINKS: &[(&str, &str)] = &[
    ("metrics", "own metrics"),
    ("api/v1/targets", "targets as JSON"),
    ("api/v1/status/config", "loaded configuration"),
    ("api/v1/status/flags", "flags"),
    ("api/v1/status/tsdb", "head statistics"),
    ("api/v1/status/runtimeinfo", "runtime"),
    ("api/v1/status/buildinfo", "build"),
    ("-/ready", "readiness"),
];

/// The page.
pub(crate) fn answer(shared: &Shared) -> Response {
    let html = render(shared);
    with_type(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(html))
}

fn render(shared: &Shared) -> String {
    let options = &shared.options;
    let base = &options.external_path;
    let mut html = String::with_capacity(8 * 1024);
    let title = escape(&options.page_title);
    html.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    html.push_str(&format!("<title>{title}</title><style>{STYLE}</style></head><body>"));
    html.push_str(&format!("<h1>Narthex</h1><p class=\"soft\">{title}</p>"));
    let mut started = String::new();
    push_rfc3339(&mut started, UnixTime { nanos: 0, ..shared.process.runtime().start });
    let version = escape(&options.build.version);
    html.push_str(&format!("<p>Version <code>{version}</code>, running since <code>{started}</code>.</p>"));
    html.push_str(&format!("<form action=\"{}/api/v1/query\">", escape(base)));
    html.push_str("<input name=\"query\" value=\"up\" aria-label=\"PromQL\" spellcheck=\"false\"><button>Query</button></form>");
    push_targets(&mut html, shared);
    html.push_str("<h2>Go on</h2><ul>");
    for (path, words) in LINKS {
        html.push_str(&format!(
            "<li><a href=\"{}/{path}\"><code>/{path}</code></a> {words}</li>",
            escape(base)
        ));
    }
    html.push_str("</ul></body></html>\n");
    html
}

fn push_targets(html: &mut String, shared: &Shared) {
    let Some(services) = shared.services() else {
        html.push_str(
            "<h2>Targets</h2><p>The storage is still being opened; targets are scraped after that.</p>",
        );
        return;
    };
    let targets = services.targets.active(None);
    let up = targets.iter().filter(|t| t.health == Health::Up).count();
    html.push_str(&format!("<h2>Targets <span class=\"soft\">{up} of {} up</span></h2>", targets.len()));
    if targets.is_empty() {
        html.push_str("<p>None yet: name some under <code>scrape_configs</code> in the configuration.</p>");
        return;
    }
    html.push_str("<table><tr><th>Job</th><th>Endpoint</th><th>State</th><th>Last error</th></tr>");
    for target in targets.iter().take(MAX_TARGETS) {
        push_target(html, target);
    }
    html.push_str("</table>");
    if targets.len() > MAX_TARGETS {
        html.push_str(&format!("<p class=\"soft\">… and {} more</p>", targets.len() - MAX_TARGETS));
    }
}

fn push_target(html: &mut String, target: &ActiveTarget) {
    let state = target.health.as_str();
    let (pool, url) = (escape(&target.pool), escape(&target.url));
    html.push_str(&format!(
        "<tr><td>{pool}</td><td><a href=\"{url}\">{url}</a></td><td class=\"{state}\">{state}</td><td>{}</td></tr>",
        escape(&target.last_error)
    ));
}

/// Text that may stand in an element or an attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}
