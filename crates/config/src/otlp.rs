//! The `otlp` section: how OpenTelemetry metrics become series.

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
