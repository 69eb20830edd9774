//! The `otlp` section: how OpenTelemetry metrics become series.

use crate::decode::Check;
use crate::section::section;

section! {
    /// How OpenTelemetry metrics become series.
    pub struct OtlpConfig("config.plain") {
        /// Make every resource attribute but the ignored a label.
        promote_all_resource_attributes: bool = false => "promote_all_resource_attributes" omit Flag,
        /// Resource attributes to make labels.
        promote_resource_attributes: Vec<String> = Vec::new() => "promote_resource_attributes" omit List<Text>,
        /// Resource attributes not to promote when all others are.
        ignore_resource_attributes: Vec<String> = Vec::new() => "ignore_resource_attributes" omit List<Text>,
        /// `UnderscoreEscapingWithSuffixes`, `UnderscoreEscapingWithoutSuffixes`, `NoUTF8EscapingWithSuffixes` or `NoTranslation`.
        translation_strategy: String = "UnderscoreEscapingWithSuffixes".to_owned() => "translation_strategy" omit Text,
        /// Keep `service.name`, `service.namespace` and `service.instance.id` in `target_info`.
        keep_identifying_resource_attributes: bool = false => "keep_identifying_resource_attributes" omit Flag,
        /// Make classic histograms native ones with custom buckets.
        convert_histograms_to_nhcb: bool = false => "convert_histograms_to_nhcb" omit Flag,
        /// Make name, version, schema URL and attributes of the scope labels.
        promote_scope_metadata: bool = false => "promote_scope_metadata" omit Flag,
        /// Put `key_` before label names that begin with one `_`, as the first translators did.
        label_name_underscore_sanitization: bool = true => "label_name_underscore_sanitization" omit Flag,
        /// Keep several `_` in a row, as the first translators did.
        label_name_preserve_multiple_underscores: bool = true => "label_name_preserve_multiple_underscores" omit Flag,
    }
}

impl Check for OtlpConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.promote_all_resource_attributes {
            if !self.promote_resource_attributes.is_empty() {
                let both = "'promote_all_resource_attributes' and 'promote_resource_attributes'";
                return Err(format!("{both} cannot be configured simultaneously"));
            }
            return tidy(&mut self.ignore_resource_attributes, "ignored")
                .map_err(|e| format!("invalid 'ignore_resource_attributes': {e}"));
        }
        if !self.ignore_resource_attributes.is_empty() {
            let needs = "cannot be configured unless 'promote_all_resource_attributes' is true";
            return Err(format!("'ignore_resource_attributes' {needs}"));
        }
        tidy(&mut self.promote_resource_attributes, "promoted")
            .map_err(|e| format!("invalid 'promote_resource_attributes': {e}"))
    }
}

/// Trims the names; empty and repeated ones are errors, all of them named, a line each.
fn tidy(attributes: &mut [String], adjective: &str) -> Result<(), String> {
    let mut problems = Vec::new();
    for i in 0..attributes.len() {
        let trimmed = attributes[i].trim().to_owned();
        if trimmed.is_empty() {
            problems.push(format!("empty {adjective} OTel resource attribute"));
        } else if attributes[..i].contains(&trimmed) {
            let name = narthex_model::quote_go(&trimmed);
            problems.push(format!("duplicated {adjective} OTel resource attribute {name}"));
        } else {
            attributes[i] = trimmed;
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}
