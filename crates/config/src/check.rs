//! What `promtool check config` does: load a file, then look at what it names.
//!
//! Always true: the texts are promtool's own, so scripts that read them keep working; with `places` the errors say more.
//! Rule files are only found here; who can read rules checks them next.
//! Facts: promtool of release 3.14; recorded runs in `conformance/promtool`.

use std::path::Path;

use narthex_model::{LabelsBuilder, format_duration_ms, quote_go};

use crate::codec::check_addresses;
use crate::glob::{glob, io_text};
use crate::target_group::{parse_target_groups, target_labels};
use crate::{AlertmanagerConfig, Config, FileSdConfig, LoadOptions, ScrapeConfig, TargetGroup, TlsConfig};

/// How a file is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// As for an agent.
    pub agent: bool,
    /// Look at no file but the main one.
    pub syntax_only: bool,
    /// Say where each error is and which name may have been meant, beyond promtool's own words.
    pub places: bool,
    /// Report jobs whose scrape interval reaches this lookback, in milliseconds; 0: do not.
    pub lint_lookback_ms: i64,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// What goes to standard output, up to where the rule files are checked.
    pub stdout: String,
    /// What goes to standard error.
    pub stderr: String,
    /// There are errors: exit status 1.
    pub failed: bool,
    /// A lint was hit: exit status 3 when lints are fatal.
    pub lint_failed: bool,
    /// The rule files to check next.
    pub rule_files: Vec<String>,
}

/// Checks one file.
#[must_use]
pub fn check_config_file(path: &str, options: CheckOptions) -> CheckReport {
    let mut report = CheckReport { stdout: format!("Checking {path}\n"), ..CheckReport::default() };
    match check(path, options, &mut report.stdout) {
        Ok((config, rule_files)) => {
            if !rule_files.is_empty() {
                report.stdout.push_str(&format!("  SUCCESS: {} rule files found\n", rule_files.len()));
            }
            report.stdout.push_str(&format!(" SUCCESS: {path} is valid prometheus config file syntax\n"));
            report.rule_files = rule_files;
            if !options.syntax_only {
                lint(&config, options.lint_lookback_ms, &mut report);
            }
        }
        Err(text) => {
            report.stderr.push_str(&format!("  FAILED: {text}\n"));
            report.failed = true;
        }
    }
    report.stdout.push('\n');
    report
}

fn lint(config: &Config, lookback_ms: i64, report: &mut CheckReport) {
    let long = |job: &&ScrapeConfig| lookback_ms > 0 && job.scrape_interval_ms >= lookback_ms;
    if let Some(job) = config.all_scrape_configs().find(long) {
        let interval = format_duration_ms(job.scrape_interval_ms);
        let what = "too long scrape interval found, data point will be marked as stale";
        report.stderr.push_str(&format!("  FAILED: {what} - job: {}, interval: {interval}\n", job.job_name));
        report.lint_failed = true;
    }
}

fn check(path: &str, options: CheckOptions, stdout: &mut String) -> Result<(Config, Vec<String>), String> {
    let show = |e: crate::ConfigErrors| if options.places { e.to_string() } else { e.as_prometheus() };
    let load = LoadOptions { agent: options.agent, main_file_only: true, ..LoadOptions::default() };
    let mut config = Config::load(Path::new(path), &load).map_err(show)?;
    let mut rule_files = Vec::new();
    if !options.syntax_only {
        rule_files = find_rule_files(&config)?;
        config.include_files().map_err(|e| format!("error loading scrape configs: {}", show(e)))?;
    }
    for job in config.all_scrape_configs() {
        check_job(job, options.syntax_only, stdout)?;
    }
    for set in &config.alerting.alertmanagers {
        check_alertmanagers(set, options.syntax_only, stdout)?;
    }
    Ok((config, rule_files))
}

fn find_rule_files(config: &Config) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for pattern in &config.rule_files {
        let found = glob(pattern).map_err(|e| e.to_string())?;
        if let ([], false) = (found.as_slice(), pattern.contains('*')) {
            return Err(format!("{} does not point to an existing file", quote_go(pattern)));
        }
        if !pattern.contains('*') {
            must_exist(&found[0])
                .map_err(|e| format!("error checking rule file {}: {e}", quote_go(&found[0])))?;
        }
        out.extend(found);
    }
    Ok(out)
}

/// An empty path names no file and is fine.
fn must_exist(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    std::fs::metadata(path).map(|_| ()).map_err(|e| format!("stat {path}: {}", io_text(&e)))
}

fn check_job(job: &ScrapeConfig, syntax_only: bool, stdout: &mut String) -> Result<(), String> {
    if let (Some(auth), false) = (&job.http.authorization, syntax_only) {
        let file = &auth.credentials_file;
        let what = "authorization credentials or bearer token file";
        must_exist(file).map_err(|e| format!("error checking {what} {}: {e}", quote_go(file)))?;
    }
    check_tls(&job.http.tls, syntax_only)?;
    let groups_fit = |groups: &[TargetGroup]| check_targets(groups, job);
    if !syntax_only {
        let whose = format!("scrape job {}", quote_go(&job.job_name));
        check_group_files(&job.sd.file_sd_configs, &whose, stdout, &groups_fit)?;
    }
    for kubernetes in &job.sd.kubernetes_sd_configs {
        check_tls(&kubernetes.http.tls, syntax_only)?;
    }
    groups_fit(&job.sd.static_configs)
}

fn check_tls(tls: &TlsConfig, syntax_only: bool) -> Result<(), String> {
    let (cert, key) = (&tls.cert_file, &tls.key_file);
    if !cert.is_empty() && key.is_empty() {
        return Err(format!("client cert file {} specified without client key file", quote_go(cert)));
    }
    if !key.is_empty() && cert.is_empty() {
        return Err(format!("client key file {} specified without client cert file", quote_go(key)));
    }
    if syntax_only {
        return Ok(());
    }
    must_exist(cert).map_err(|e| format!("error checking client cert file {}: {e}", quote_go(cert)))?;
    must_exist(key).map_err(|e| format!("error checking client key file {}: {e}", quote_go(key)))
}

fn check_alertmanagers(
    set: &AlertmanagerConfig,
    syntax_only: bool,
    stdout: &mut String,
) -> Result<(), String> {
    let groups_fit = |groups: &[TargetGroup]| check_alertmanager_targets(groups, set);
    if !syntax_only {
        check_group_files(&set.sd.file_sd_configs, "alertmanager config", stdout, &groups_fit)?;
    }
    groups_fit(&set.sd.static_configs)
}

fn check_group_files(
    sections: &[FileSdConfig],
    whose: &str,
    stdout: &mut String,
    groups_fit: &dyn Fn(&[TargetGroup]) -> Result<(), String>,
) -> Result<(), String> {
    for pattern in sections.iter().flat_map(|s| &s.files) {
        let files = glob(pattern).map_err(|e| e.to_string())?;
        if files.is_empty() {
            let file = quote_go(pattern);
            stdout.push_str(&format!("  WARNING: file {file} for file_sd in {whose} does not exist\n"));
        }
        for file in files {
            let wrong = |e: String| format!("checking SD file {}: {e}", quote_go(pattern));
            let bytes = crate::glob::read_text(&file).map_err(wrong)?;
            let groups = parse_target_groups(&bytes, &file).map_err(|e| wrong(e.as_prometheus()))?;
            groups_fit(&groups)?;
        }
    }
    Ok(())
}

/// Each target that relabeling keeps must be one that can be scraped.
fn check_targets(groups: &[TargetGroup], job: &ScrapeConfig) -> Result<(), String> {
    for group in groups {
        for (i, target) in group.targets.iter().enumerate() {
            target_labels(target, &group.labels, job)
                .map_err(|e| format!("instance {i} in group {}: {e}", group.source))?;
        }
    }
    Ok(())
}

fn check_alertmanager_targets(groups: &[TargetGroup], set: &AlertmanagerConfig) -> Result<(), String> {
    let mut kept = Vec::new();
    for group in groups {
        for target in &group.targets {
            let mut builder = LabelsBuilder::new();
            for (name, value) in group.labels.iter().chain(target) {
                builder.set(name, value);
            }
            builder.set("__scheme__", &set.scheme);
            builder.set("__alerts_path__", &format!("{}/api/v2/alerts", set.path_prefix));
            if narthex_relabel::process(&mut builder, &set.relabel_configs) {
                kept.push(builder.labels());
            }
        }
    }
    let group = TargetGroup { targets: kept, labels: narthex_model::Labels::empty(), source: String::new() };
    check_addresses(std::slice::from_ref(&group))
}

#[cfg(test)]
mod tests;
