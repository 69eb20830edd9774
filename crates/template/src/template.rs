//! Templates as callers hold them: parsed once, run over data of alerts and consoles.
//!
//! Facts: Prometheus puts `{{$labels := .Labels}}…` before the text, so columns in errors count it; names begin with
//! `__alert_` and `__console_`.

use std::collections::BTreeMap;
use std::sync::Arc;

use narthex_model::Labels;

use crate::context::{Context, SampleValue};
use crate::error::{ExecError, TemplateError};
use crate::exec::Machine;
use crate::functions;
use crate::html;
use crate::limits::{Budget, Limits};
use crate::set::Set;
use crate::syntax;
use crate::value::{Field, StructValue, Value};

/// What alert templates may say instead of `.Labels`.
const ALERT_PREFIX: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := \
                            .ExternalURL}}{{$value := .Value}}";
/// What console pages may say instead of `.Params`.
const CONSOLE_PREFIX: &str = "{{$rawParams := .RawParams }}{{$params := .Params}}{{$path := .Path}}{{$externalLabels \
                              := .ExternalLabels}}";

/// A template whose output is plain text.
#[derive(Debug)]
pub struct Template {
    name: String,
    /// The text itself when it has no actions: most labels and annotations.
    plain: Option<String>,
    set: Set,
}

impl Template {
    /// Parses a text. `name` stands in errors.
    ///
    /// # Errors
    /// When the text is malformed or names a function that does not exist.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        if !text.contains("{{") {
            return Ok(Self { name: name.to_owned(), plain: Some(text.to_owned()), set: Set::default() });
        }
        let parsed = syntax::parse(name, text, &|function| functions::is_known(function, false))
            .map_err(|source| TemplateError::Parse { name: name.to_owned(), source })?;
        let mut set = Set::default();
        set.add(parsed);
        Ok(Self { name: name.to_owned(), plain: None, set })
    }

    /// Parses a label or annotation of an alert, or of a recording rule's label, with `$labels`, `$externalLabels`,
    /// `$externalURL` and `$value` declared. It runs over [`AlertData`].
    ///
    /// # Errors
    /// See [`Template::parse`].
    pub fn parse_alert(alert: &str, text: &str) -> Result<Self, TemplateError> {
        if !text.contains("{{") {
            return Self::parse(alert, text);
        }
        Self::parse(&format!("__alert_{alert}"), &format!("{ALERT_PREFIX}{text}"))
    }

    /// Runs over `data` with the usual limits.
    ///
    /// # Errors
    /// When the template asks for what is not there, a function fails, or a limit is reached.
    pub fn expand(&self, data: &Value, context: &Context<'_>) -> Result<String, TemplateError> {
        self.expand_within(data, context, Limits::default())
    }

    /// As [`Template::expand`], with limits of the caller's choice.
    ///
    /// # Errors
    /// See [`Template::expand`].
    pub fn expand_within(
        &self,
        data: &Value,
        context: &Context<'_>,
        limits: Limits,
    ) -> Result<String, TemplateError> {
        if let Some(plain) = &self.plain {
            return Ok(plain.clone());
        }
        let mut budget = Budget::new(limits);
        run(&self.set, &self.name, data, context, &mut budget)
            .map_err(|source| TemplateError::Execute { name: self.name.clone(), source })
    }
}

fn run(
    set: &Set,
    name: &str,
    data: &Value,
    context: &Context<'_>,
    budget: &mut Budget,
) -> Result<String, ExecError> {
    let tree = set.tree(name).ok_or_else(|| ExecError {
        text: format!("template: {name}: \"{name}\" is an incomplete or empty template"),
    })?;
    let out = Machine::run(set, tree, data.clone(), context, budget)?;
    Ok(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// A page: what comes from actions is escaped for the place where it stands.
#[derive(Debug)]
pub struct HtmlTemplate {
    name: String,
    set: Set,
    /// Why the page cannot be made safe.
    refused: Option<ExecError>,
}

impl HtmlTemplate {
    /// Parses a page and the files beside it: pairs of a file's name and its text, which may define templates.
    ///
    /// # Errors
    /// When one of the texts is malformed. What cannot be escaped is an error of [`HtmlTemplate::expand`], as it is in
    /// Prometheus.
    pub fn parse(name: &str, text: &str, files: &[(String, String)]) -> Result<Self, TemplateError> {
        let is_function = |function: &str| functions::is_known(function, true);
        let mut set = Set::default();
        let page = syntax::parse(name, text, &is_function)
            .map_err(|source| TemplateError::Parse { name: name.to_owned(), source })?;
        set.add(page);
        for (file, text) in files {
            let parsed = syntax::parse(file, text, &is_function)
                .map_err(|source| TemplateError::ParseFile { name: name.to_owned(), source })?;
            set.add(parsed);
        }
        let (set, refused) = html::make_safe(&set, name);
        Ok(Self { name: name.to_owned(), set, refused })
    }

    /// Parses a console page, with `$rawParams`, `$params`, `$path` and `$externalLabels` declared. It runs over
    /// [`ConsoleData`].
    ///
    /// # Errors
    /// See [`HtmlTemplate::parse`].
    pub fn parse_console(
        path: &str,
        text: &str,
        libraries: &[(String, String)],
    ) -> Result<Self, TemplateError> {
        Self::parse(&format!("__console_{path}"), &format!("{CONSOLE_PREFIX}{text}"), libraries)
    }

    /// Runs over `data` with the usual limits.
    ///
    /// # Errors
    /// As [`Template::expand`]; also when the page cannot be made safe.
    pub fn expand(&self, data: &Value, context: &Context<'_>) -> Result<String, TemplateError> {
        self.expand_within(data, context, Limits::default())
    }

    /// As [`HtmlTemplate::expand`], with limits of the caller's choice.
    ///
    /// # Errors
    /// See [`HtmlTemplate::expand`].
    pub fn expand_within(
        &self,
        data: &Value,
        context: &Context<'_>,
        limits: Limits,
    ) -> Result<String, TemplateError> {
        let failed = |source| TemplateError::Execute { name: self.name.clone(), source };
        if let Some(refused) = &self.refused {
            return Err(failed(refused.clone()));
        }
        let mut budget = Budget::new(limits);
        run(&self.set, &self.name, data, context, &mut budget).map_err(failed)
    }
}

/// What the templates of an alert see.
#[derive(Clone, Debug)]
pub struct AlertData {
    /// The labels of the series that the expression returned.
    pub labels: Labels,
    /// The labels of this server.
    pub external_labels: Labels,
    /// The URL of this server.
    pub external_url: String,
    /// The value of the series.
    pub value: SampleValue,
}

impl AlertData {
    /// The value to run over; make it once for all texts of an alert.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let value = match &self.value {
            SampleValue::Float(float) => Value::Float(*float),
            SampleValue::Histogram(histogram) => Value::histogram((**histogram).clone()),
        };
        let field = |name, value| Field { name, value, any: false };
        let fields = vec![
            field("Labels", Value::labels(&self.labels)),
            field("ExternalLabels", Value::labels(&self.external_labels)),
            field("ExternalURL", Value::text(self.external_url.as_str())),
            Field { name: "Value", value, any: true },
        ];
        let type_name = "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; \
                         Value interface {} }";
        Value::Struct(Arc::new(StructValue { type_name, fields }))
    }
}

/// What a console page sees.
#[derive(Clone, Debug)]
pub struct ConsoleData {
    /// The parameters of the request with all their values.
    pub raw_params: BTreeMap<String, Vec<String>>,
    /// The path of the page below the directory, without a slash before it.
    pub path: String,
    /// The labels of this server.
    pub external_labels: Labels,
}

impl ConsoleData {
    /// The value to run over.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let first = |(name, values): (&String, &Vec<String>)| {
            values.first().map(|value| (name.clone(), value.clone()))
        };
        let field = |name, value| Field { name, value, any: false };
        let fields = vec![
            field("RawParams", Value::url_values(&self.raw_params)),
            field("Params", Value::text_map(self.raw_params.iter().filter_map(first))),
            field("Path", Value::text(self.path.as_str())),
            field("ExternalLabels", Value::labels(&self.external_labels)),
        ];
        let type_name = "struct { RawParams url.Values; Params map[string]string; Path string; ExternalLabels \
                         map[string]string }";
        Value::Struct(Arc::new(StructValue { type_name, fields }))
    }
}
