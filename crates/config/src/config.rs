//! The main file: all sections together, their rules across sections, and the files that they include.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use narthex_model::{LabelsBuilder, NameValidation, quote_go};

use crate::codec::{Codec, Object, clean, directory_of};
use crate::decode::{Check, Decoder, Section};
use crate::error::{ConfigErrors, Problem};
use crate::expand::expand;
use crate::glob::{absolute, glob, read_text};
use crate::scrape::check_relabels;
use crate::section::section;
use crate::yaml::{Kind, NodeRef, Tree, write};
use crate::{
    AlertingConfig, FeatureDefaults, GlobalConfig, OtlpConfig, RemoteReadConfig, RemoteWriteConfig,
    RetentionConfig, ScrapeConfig, StorageConfig, TracingConfig,
};

section! {
    /// A whole configuration. Compare sections of two values to see what a reload changes.
    pub struct Config("config.plain") {
        /// What other sections inherit.
        global: GlobalConfig = GlobalConfig::default() => "global" show Object<GlobalConfig>,
        /// Settings of the process.
        runtime: RuntimeConfig = RuntimeConfig::default() => "runtime" omit Object<RuntimeConfig>,
        /// Where alerts go.
        alerting: AlertingConfig = AlertingConfig::default() => "alerting" omit Object<AlertingConfig>,
        /// Rule files; the last part of a path may hold `*`.
        rule_files: Vec<String> = Vec::new() => "rule_files" omit List<FilePath>,
        /// Files with further jobs; the last part of a path may hold `*`.
        scrape_config_files: Vec<String> = Vec::new() => "scrape_config_files" omit List<FilePath>,
        /// The jobs of the main file. See [`Config::all_scrape_configs`] for those of all files.
        scrape_configs: Vec<ScrapeConfig> = Vec::new() => "scrape_configs" omit Entries<ScrapeConfig>,
        /// Storage settings that a reload may change.
        storage: StorageConfig = StorageConfig::default() => "storage" omit Object<StorageConfig>,
        /// Where spans of the server itself go.
        tracing: TracingConfig = TracingConfig::default() => "tracing" omit Object<TracingConfig>,
        /// Endpoints that samples are sent to.
        remote_write: Vec<RemoteWriteConfig> = Vec::new() => "remote_write" omit Entries<RemoteWriteConfig>,
        /// Endpoints that queries are also sent to.
        remote_read: Vec<RemoteReadConfig> = Vec::new() => "remote_read" omit Entries<RemoteReadConfig>,
        /// How OpenTelemetry metrics become series.
        otlp: OtlpConfig = OtlpConfig::default() => "otlp" omit Object<OtlpConfig>,
    }
    beside {
        /// The jobs that `scrape_config_files` brought, in order of files.
        included_scrape_configs: Vec<ScrapeConfig> = Vec::new(),
        /// What the user should know although it is no error, to be logged once.
        warnings: Vec<String> = Vec::new(),
    }
}

section! {
    /// Settings of the process.
    pub struct RuntimeConfig("config.RuntimeConfig") {
        /// The garbage collector's percentage: accepted and shown, but there is no garbage collector here.
        gogc: i64 = default_gogc() => "gogc" omit Int,
    }
}

section! {
    /// A file of `scrape_config_files`.
    struct IncludedFile("config.ScrapeConfigs") {
        /// Its jobs.
        scrape_configs: Vec<ScrapeConfig> = Vec::new() => "scrape_configs" omit Entries<ScrapeConfig>,
    }
}

impl Check for RuntimeConfig {}
impl Check for IncludedFile {}

/// Prometheus' 75 unless the variable `GOGC` says something; only shown, so that `/api/v1/status/config` agrees.
fn default_gogc() -> i64 {
    const DEFAULT: i64 = 75;
    match std::env::var("GOGC") {
        Ok(text) if text.eq_ignore_ascii_case("off") => -1,
        Ok(text) => text.parse().unwrap_or(DEFAULT),
        Err(_) => DEFAULT,
    }
}

/// How a file is loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Refuse what an agent cannot do.
    pub agent: bool,
    /// Do not read the files of `scrape_config_files`.
    pub main_file_only: bool,
    /// What is kept when the file has no `storage.tsdb.retention`.
    pub retention: RetentionConfig,
    /// Defaults that features change.
    pub features: FeatureDefaults,
}

impl Config {
    /// Reads and validates a file and those it includes.
    ///
    /// # Errors
    /// When a file cannot be read or anything in it is wrong; all problems of one file at once.
    pub fn load_file(path: &Path) -> Result<Self, ConfigErrors> {
        Self::load(path, &LoadOptions::default())
    }

    /// Like [`Config::load_file`], with options.
    ///
    /// # Errors
    /// As there; also when agent mode refuses a section.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, ConfigErrors> {
        let file = path.to_string_lossy();
        let bytes = read_text(&file).map_err(|text| ConfigErrors::bare(&file, text))?;
        let mut config = Self::parse_with(&bytes, &file, options)?;
        if options.agent {
            config.refuse_in_agent(&file)?;
        }
        if !options.main_file_only {
            config.include_files()?;
        }
        Ok(config)
    }

    /// Reads and validates a text; `file_name` stands in errors and its directory is where relative paths start. Files of
    /// `scrape_config_files` are not read.
    ///
    /// # Errors
    /// When anything is wrong; all problems at once.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigErrors> {
        Self::parse_bytes(text.as_bytes(), file_name)
    }

    /// Like [`Config::parse`] for bytes that need not be UTF-8.
    ///
    /// # Errors
    /// As there.
    pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Self, ConfigErrors> {
        Self::parse_with(bytes, file_name, &LoadOptions::default())
    }

    fn parse_with(bytes: &[u8], file_name: &str, options: &LoadOptions) -> Result<Self, ConfigErrors> {
        let read = read_with(bytes, &directory_of(file_name), options.features, |_: &mut Self, _, _| {});
        let mut config = read
            .map_err(|problems| ConfigErrors::in_main(file_name, problems))?
            .unwrap_or_else(|| Self { global: GlobalConfig::with(options.features), ..Self::default() });
        let tsdb = config.storage.tsdb.get_or_insert_default();
        tsdb.retention.get_or_insert_with(|| options.retention.clone());
        config.expand_external_labels(|name| std::env::var(name).unwrap_or_default());
        Ok(config)
    }

    /// The jobs of the main file and of `scrape_config_files`.
    pub fn all_scrape_configs(&self) -> impl Iterator<Item = &ScrapeConfig> {
        self.scrape_configs.iter().chain(&self.included_scrape_configs)
    }

    /// The configuration as `/api/v1/status/config` shows it, secrets hidden.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        write(&Object::<Self>::print(self))
    }

    /// Replaces variables in external labels; an unset one becomes nothing and is warned of.
    fn expand_external_labels(&mut self, environment: impl Fn(&str) -> String) {
        let mut builder = LabelsBuilder::new();
        for (name, value) in &self.global.external_labels {
            let expanded = expand(value, |variable| {
                let found = if variable == "$" { "$".to_owned() } else { environment(variable) };
                if found.is_empty() {
                    self.warnings
                        .push(format!("external label {name}: environment variable {variable} is empty"));
                }
                found
            });
            builder.set(name, &expanded);
        }
        self.global.external_labels = builder.labels();
    }

    fn refuse_in_agent(&self, file: &str) -> Result<(), ConfigErrors> {
        let refused = [
            (!self.alerting.is_zero(), "alerting"),
            (!self.rule_files.is_empty(), "rule_files"),
            (!self.remote_read.is_empty(), "remote_read"),
        ];
        match refused.into_iter().find(|(is, _)| *is) {
            Some((_, field)) => {
                Err(ConfigErrors::bare(file, format!("field {field} is not allowed in agent mode")))
            }
            None => Ok(()),
        }
    }

    /// Reads the files of `scrape_config_files`. Job names are unique over all files.
    ///
    /// # Errors
    /// The problems of the first file that has any.
    pub fn include_files(&mut self) -> Result<(), ConfigErrors> {
        let mut first_in: HashMap<String, String> =
            self.scrape_configs.iter().map(|s| (s.job_name.clone(), "main config file".to_owned())).collect();
        let mut included = Vec::new();
        for pattern in &self.scrape_config_files {
            let files = glob(pattern).map_err(|e| {
                let text = format!("error retrieving scrape config files for {}: {e}", quote_go(pattern));
                ConfigErrors::bare(pattern, text)
            })?;
            for file in files {
                included.extend(self.include_file(&file, &mut first_in)?);
            }
        }
        self.included_scrape_configs = included;
        Ok(())
    }

    fn include_file(
        &self,
        file: &str,
        first_in: &mut HashMap<String, String>,
    ) -> Result<Vec<ScrapeConfig>, ConfigErrors> {
        let absolute = absolute(file);
        let fail = |problems| ConfigErrors::in_included(&absolute, problems);
        let bytes = read_text(file).map_err(|text| fail(vec![Problem::of_rule(Default::default(), text)]))?;
        let finish = |jobs: &mut IncludedFile, root: NodeRef<'_>, d: &mut Decoder| {
            for (job, node) in jobs.scrape_configs.iter_mut().zip(entries(root, "scrape_configs")) {
                job.inherit(&self.global, node, d);
                if let Some(first) = first_in.get(&job.job_name) {
                    let name = quote_go(&job.job_name);
                    let text =
                        format!("found multiple scrape configs with job name {name}, first found in {first}");
                    d.rule(node.mark_of("job_name"), text);
                }
                first_in.insert(job.job_name.clone(), quote_go(&absolute));
            }
        };
        let jobs = read_with::<IncludedFile>(&bytes, &directory_of(file), FeatureDefaults::default(), finish)
            .map_err(fail)?;
        Ok(jobs.unwrap_or_default().scrape_configs)
    }

    /// The sections that Narthex reads but does not act on yet, for one warning at start.
    #[must_use]
    pub fn not_acted_on(&self) -> Vec<String> {
        let sections = [
            (!self.rule_files.is_empty(), "rule_files"),
            (!self.alerting.is_zero(), "alerting"),
            (!self.tracing.is_zero(), "tracing"),
            (self.otlp != OtlpConfig::default(), "otlp"),
        ];
        let mut out: Vec<String> =
            sections.into_iter().filter(|(is, _)| *is).map(|(_, name)| name.to_owned()).collect();
        for job in self.all_scrape_configs() {
            for kind in crate::sd::not_acted_on(&job.sd) {
                out.push(format!("{kind} of job {}", quote_go(&job.job_name)));
            }
        }
        out
    }
}

impl Check for Config {
    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        if self.global.is_zero() || at.get("global").is_none() {
            self.global = GlobalConfig::with(d.features);
        }
        if self.runtime.is_zero() {
            self.runtime = RuntimeConfig::default();
        }
        check_patterns(at.get("rule_files"), "rule", d);
        check_patterns(at.get("scrape_config_files"), "scrape config", d);
        self.check_jobs(at, d);
        self.check_alerting(at, d);
        self.check_remote(at, d);
        self.check_otlp(at, d);
    }
}

impl Config {
    fn check_jobs(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        let mut names = HashSet::new();
        for (job, node) in self.scrape_configs.iter_mut().zip(entries(at, "scrape_configs")) {
            job.inherit(&self.global, node, d);
            if !names.insert(job.job_name.clone()) {
                let name = quote_go(&job.job_name);
                d.rule(
                    node.mark_of("job_name"),
                    format!("found multiple scrape configs with job name {name}"),
                );
            }
        }
    }

    fn check_alerting(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        let scheme = self.name_validation();
        let Some(section) = at.get("alerting") else { return };
        let steps = section.get("alert_relabel_configs");
        check_relabels(&mut self.alerting.alert_relabel_configs, scheme, steps, d);
        for (set, node) in self.alerting.alertmanagers.iter_mut().zip(entries(section, "alertmanagers")) {
            check_relabels(&mut set.alert_relabel_configs, scheme, node.get("alert_relabel_configs"), d);
            check_relabels(&mut set.relabel_configs, scheme, node.get("relabel_configs"), d);
        }
    }

    fn check_remote(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        let scheme = self.name_validation();
        let mut names = HashSet::new();
        for (endpoint, node) in self.remote_write.iter_mut().zip(entries(at, "remote_write")) {
            check_relabels(&mut endpoint.write_relabel_configs, scheme, node.get("write_relabel_configs"), d);
            check_name(&endpoint.name, "write", &mut names, node, d);
        }
        let mut names = HashSet::new();
        for (endpoint, node) in self.remote_read.iter().zip(entries(at, "remote_read")) {
            check_name(&endpoint.name, "read", &mut names, node, d);
        }
    }

    fn check_otlp(&self, at: NodeRef<'_>, d: &mut Decoder) {
        let strategy = &self.otlp.translation_strategy;
        let text = match strategy.as_str() {
            "" | "UnderscoreEscapingWithSuffixes" | "UnderscoreEscapingWithoutSuffixes" => return,
            "NoTranslation" | "NoUTF8EscapingWithSuffixes"
                if self.name_validation() == NameValidation::Utf8 =>
            {
                return;
            }
            "NoTranslation" | "NoUTF8EscapingWithSuffixes" => {
                format!(
                    "OTLP translation strategy {} is not allowed when UTF8 is disabled",
                    quote_go(strategy)
                )
            }
            _ => format!("unsupported OTLP translation strategy {}", quote_go(strategy)),
        };
        let place = at.get("otlp").unwrap_or(at);
        d.rule(place.mark_of("translation_strategy"), text);
    }

    fn name_validation(&self) -> NameValidation {
        self.global.metric_name_validation_scheme.unwrap_or_default()
    }
}

/// The nodes of a list without its nulls, which reading leaves out too.
fn entries<'t>(at: NodeRef<'t>, key: &str) -> impl Iterator<Item = NodeRef<'t>> + use<'t> {
    let list = at.get(key);
    list.into_iter().flat_map(NodeRef::items).map(NodeRef::resolved).filter(|item| !item.is_null())
}

fn check_name(name: &str, kind: &str, names: &mut HashSet<String>, node: NodeRef<'_>, d: &mut Decoder) {
    if !name.is_empty() && !names.insert(name.to_owned()) {
        let text = format!("found multiple remote {kind} configs with job name {}", quote_go(name));
        d.rule(node.mark_of("name"), text);
    }
}

/// A star stands only in the last part of a path.
fn check_patterns(list: Option<NodeRef<'_>>, kind: &str, d: &mut Decoder) {
    for item in list.iter().flat_map(|list| list.items()).map(NodeRef::resolved) {
        if let Kind::Scalar { value, .. } = item.kind()
            && value.find('*').is_some_and(|star| value[star..].contains('/'))
        {
            d.rule(item.mark(), format!("invalid {kind} file path {}", quote_go(value)));
        }
    }
}

/// Reads one document; `None` when there is none.
pub(crate) fn read_document<T: Check>(bytes: &[u8], directory: &str) -> Result<Option<T>, Vec<Problem>> {
    read_with(bytes, directory, FeatureDefaults::default(), |_: &mut T, _, _| {})
}

/// Like [`read_document`], with more rules that run when the document itself was right.
fn read_with<T: Check>(
    bytes: &[u8],
    directory: &str,
    features: FeatureDefaults,
    finish: impl FnOnce(&mut T, NodeRef<'_>, &mut Decoder),
) -> Result<Option<T>, Vec<Problem>> {
    let tree = Tree::parse(bytes).map_err(|e| vec![e.into()])?;
    let Some(tree) = tree else { return Ok(None) };
    let mut d = Decoder::new(&clean(directory));
    d.features = features;
    let root = tree.root();
    let value = if root.is_null() { None } else { Object::<T>::read(root, &mut d) };
    let mut value = value;
    if let Some(read) = &mut value
        && d.problem_count() == 0
    {
        finish(read, root.resolved(), &mut d);
    }
    let problems = d.into_problems();
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
