//! `/api/v1/openapi.yaml`: the API described for programs, in OpenAPI 3.1 and 3.2.
//!
//! Holds: the layout of the document; what it says is in `table`, methods are those of the routes. It is our own description: it
//! names what this server answers, its own paths included.
//! COMPAT: an unknown version means 3.1, which lacks the path of events and the titles of tags, as in Prometheus 3.14.

mod table;

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, StatusCode};
use narthex_model::push_json_string;
use narthex_net::server::{Request, Response};

use self::table::{Answer, Kind, PATHS, Param, Path, TAGS};
use crate::answer::with_type;
use crate::form::Form;
use crate::routes::{API, ROUTES};
use crate::site::{Shared, SiteOptions};

const PROTOBUF: &str = "application/x-protobuf";
const FORM: &str = "application/x-www-form-urlencoded";

/// What all answers share.
const COMPONENTS: &str = "components:
  schemas:
    Error:
      type: object
      required: [status, errorType, error]
      properties:
        status: {type: string, enum: [error]}
        errorType: {type: string, enum: [bad_data, canceled, execution, internal, timeout, unavailable]}
        error: {type: string}
    Notes:
      type: object
      required: [status]
      properties:
        status: {type: string, enum: [success]}
        warnings: {type: array, items: {type: string}}
        infos: {type: array, items: {type: string}}
    Time:
      oneOf:
        - {type: number, description: Seconds since the epoch.}
        - {type: string, format: date-time}
    Duration:
      oneOf:
        - {type: number, description: Seconds.}
        - {type: string, description: 'Such as 1h30m.'}
    Notification:
      type: object
      required: [text, date, active]
      properties:
        text: {type: string}
        date: {type: string, format: date-time}
        active: {type: boolean}
";

/// Answers one request.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Response {
    let form = Form::parse(request.head.uri.query().unwrap_or(""), "");
    let is_newer = matches!(form.value("openapi_version"), "3.2" | "3.2.0");
    let text = document(&shared.options, is_newer);
    let mut response = with_type(StatusCode::OK, "application/yaml; charset=utf-8", text.into());
    let no_cache = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    response.headers_mut().insert(CACHE_CONTROL, no_cache);
    response
}

/// Adds formatted text. Writing to a `String` cannot fail.
macro_rules! push {
    ($out:expr, $($text:tt)*) => {
        let _ = writeln!($out, $($text)*);
    };
}

fn document(options: &SiteOptions, is_newer: bool) -> String {
    let mut out = String::with_capacity(48 * 1024);
    push!(out, "openapi: {}", if is_newer { "3.2.0" } else { "3.1.0" });
    push!(out, "info:\n  title: Narthex API\n  version: {}", quoted(&options.build.version));
    push!(out, "  description: The HTTP API of Prometheus 3.14, and what Narthex adds to it.");
    let base = format!("{}{}", options.external_url.trim_end_matches('/'), API.trim_end_matches('/'));
    push!(out, "servers:\n  - url: {}\ntags:", quoted(&base));
    for (name, title, text) in TAGS {
        push!(out, "  - name: {name}\n    description: {}", quoted(text));
        if is_newer {
            push!(out, "    summary: {}", quoted(title));
        }
    }
    push!(out, "paths:");
    for path in PATHS.iter().filter(|path| is_newer || path.answer != Answer::Events) {
        push_path(&mut out, path);
    }
    out.push_str(COMPONENTS);
    out
}

/// A text between double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_json_string(&mut out, text);
    out
}

/// The methods of a path of the document.
fn methods(path: &Path) -> &'static [Method] {
    let pattern = path.path.replace("{name}", ":name");
    let below = |route: &&crate::routes::Route| route.pattern.strip_prefix(API.trim_end_matches('/'));
    ROUTES.iter().find(|r| below(r) == Some(&*pattern)).map_or(&[], |route| route.methods)
}

fn push_path(out: &mut String, path: &Path) {
    push!(out, "  {}:", path.path);
    for method in methods(path) {
        let word = method.as_str().to_lowercase();
        let id = path.path.trim_start_matches('/').replace(['/', '.'], "-").replace(['{', '}'], "");
        push!(out, "    {word}:\n      tags: [{}]\n      operationId: {word}-{id}", path.tag);
        push!(out, "      summary: {}", quoted(path.text));
        let takes_form = *method == Method::POST && !path.params.is_empty();
        let in_url = if takes_form { &[] } else { path.params };
        if path.path.contains("{name}") || !in_url.is_empty() {
            push!(out, "      parameters:");
        }
        if path.path.contains("{name}") {
            push!(out, "        - {{name: name, in: path, required: true, schema: {{type: string}}}}");
        }
        in_url.iter().for_each(|param| push_param(out, param));
        match (takes_form, path.path) {
            (true, _) => push_form(out, path.params),
            (false, "/write" | "/read" | "/otlp/v1/metrics") => {
                let body = "schema: {type: string, format: binary}";
                push!(out, "      requestBody:\n        required: true\n        content:");
                push!(out, "          {PROTOBUF}:\n            {body}");
            }
            (false, _) => {}
        }
        push_answer(out, path.answer);
    }
}

fn push_param(out: &mut String, param: &Param) {
    push!(out, "        - name: {}\n          in: query", quoted(param.name));
    push!(out, "          description: {}", quoted(param.text));
    if param.is_required {
        push!(out, "          required: true");
    }
    if param.kind == Kind::Texts {
        push!(out, "          explode: true");
    }
    push!(out, "          schema: {}", schema(param.kind));
}

fn push_form(out: &mut String, params: &[Param]) {
    push!(out, "      requestBody:\n        content:\n          {FORM}:\n            schema:");
    push!(out, "              type: object");
    let required: Vec<String> = params.iter().filter(|p| p.is_required).map(|p| quoted(p.name)).collect();
    if !required.is_empty() {
        push!(out, "              required: [{}]", required.join(", "));
    }
    push!(out, "              properties:");
    for param in params {
        push!(out, "                {}: {}", quoted(param.name), schema(param.kind));
    }
}

fn schema(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "{type: string}",
        Kind::Integer => "{type: integer, format: int64}",
        Kind::Switch => "{type: boolean}",
        Kind::Time => "{$ref: '#/components/schemas/Time'}",
        Kind::Duration => "{$ref: '#/components/schemas/Duration'}",
        Kind::Texts => "{type: array, items: {type: string}}",
    }
}

fn push_answer(out: &mut String, answer: Answer) {
    push!(out, "      responses:");
    let status = if answer == Answer::Nothing { 204 } else { 200 };
    push!(out, "        \"{status}\":\n          description: Done.");
    let data = |kind| {
        format!(
            "application/json:\n              schema:\n                allOf:\n                  - $ref: '#/components/schemas/Notes'\n                  - {{type: object, required: [data], properties: {{data: {{type: {kind}}}}}}}"
        )
    };
    let content = match answer {
        Answer::Object => Some(data("object")),
        Answer::List => Some(data("array")),
        Answer::Text => Some(data("string")),
        Answer::Nothing => None,
        Answer::Lines => Some("application/x-ndjson:\n              schema: {type: object}".to_owned()),
        Answer::Events => Some(
            "text/event-stream:\n              itemSchema:\n                type: object\n                required: [data]\n                properties:\n                  data:\n                    type: string\n                    contentMediaType: application/json\n                    contentSchema: {$ref: '#/components/schemas/Notification'}"
                .to_owned(),
        ),
        Answer::Message => Some(format!("{PROTOBUF}:\n              schema: {{type: string, format: binary}}")),
        Answer::Yaml => Some("application/yaml:\n              schema: {type: string}".to_owned()),
    };
    if let Some(content) = content {
        push!(out, "          content:\n            {content}");
    }
    push!(
        out,
        "        default:\n          description: An error.\n          content:\n            application/json:"
    );
    push!(out, "              schema: {{$ref: '#/components/schemas/Error'}}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::options;

    #[test]
    fn the_document_has_each_path_of_the_api_and_no_other() {
        let mut routes: Vec<String> = ROUTES
            .iter()
            .filter_map(|r| r.pattern.strip_prefix("/api/v1"))
            .map(|below| below.replace(":name", "{name}"))
            .collect();
        let mut told: Vec<String> = PATHS.iter().map(|p| p.path.to_owned()).collect();
        routes.sort();
        told.sort();
        assert_eq!(told, routes);
        let tags: Vec<&str> = TAGS.iter().map(|(name, ..)| *name).collect();
        for path in PATHS {
            assert!(!methods(path).is_empty() && tags.contains(&path.tag), "{}", path.path);
        }
    }

    #[test]
    fn the_versions_differ_in_what_only_the_newer_one_can_say() {
        let (older, newer) = (document(&options(), false), document(&options(), true));
        assert!(older.starts_with("openapi: 3.1.0\n") && newer.starts_with("openapi: 3.2.0\n"));
        assert!(newer.contains("/notifications/live:") && newer.contains("itemSchema"));
        assert!(!older.contains("/notifications/live:") && !older.contains("itemSchema"));
        assert!(older.contains("url: \"http://host:9090/api/v1\"") && older.contains("version: \"3.14.0\""));
        assert!(older.lines().all(|line| !line.contains('\t') && line.trim_end() == line), "plain YAML");
    }
}
