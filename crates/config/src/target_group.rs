//! A target group: what discovery emits and `static_configs` lists; files of them; the labels of one target.

use narthex_model::{Labels, LabelsBuilder, format_duration_ms, parse_duration_ms, quote_go};

use crate::codec::{Codec, TargetGroups, check_addresses};
use crate::decode::Decoder;
use crate::yaml::Tree;
use crate::{ConfigErrors, ScrapeConfig};

/// Targets that share labels and come from one source.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetGroup {
    /// The labels of each target; `__address__` is always among them.
    pub targets: Vec<Labels>,
    /// Labels of all targets of the group.
    pub labels: Labels,
    /// Names the group within its provider; a later group with the same source replaces it. Static groups are numbered.
    pub source: String,
}

/// Reads the groups of a YAML file (or of a JSON one, which YAML includes); their sources are empty.
///
/// # Errors
/// When anything is wrong; all problems at once.
pub fn parse_target_groups(bytes: &[u8], file_name: &str) -> Result<Vec<TargetGroup>, ConfigErrors> {
    let fail = |problems| ConfigErrors::without_prefix(file_name, problems);
    let Some(tree) = Tree::parse(bytes).map_err(|e| fail(vec![e.into()]))? else { return Ok(Vec::new()) };
    let mut d = Decoder::new("");
    let root = tree.root();
    if let Some((i, null)) = root.items().enumerate().find(|(_, item)| item.resolved().is_null()) {
        d.rule(null.mark(), format!("nil target group item found (index {i})"));
        return Err(fail(d.into_problems()));
    }
    let groups = TargetGroups::read(root, &mut d);
    let problems = d.into_problems();
    if !problems.is_empty() {
        return Err(fail(problems));
    }
    let unnamed = |group| TargetGroup { source: String::new(), ..group };
    Ok(groups.unwrap_or_default().into_iter().map(unnamed).collect())
}

/// The labels that one target gets: its own, its group's, the job's, relabelled; `None` when relabeling drops it.
///
/// # Errors
/// Why the target cannot be scraped, in Prometheus' words.
pub(crate) fn target_labels(
    target: &Labels,
    group: &Labels,
    job: &ScrapeConfig,
) -> Result<Option<Labels>, String> {
    let mut builder = discovered_labels(target, group, job);
    if !narthex_relabel::process(&mut builder, &job.relabel_configs) {
        return Ok(None);
    }
    let labels = builder.labels();
    if labels.value("__address__").is_empty() {
        return Err("no address".to_owned());
    }
    let kept = TargetGroup { targets: vec![labels.clone()], labels: Labels::empty(), source: String::new() };
    check_addresses(std::slice::from_ref(&kept))?;
    let (interval, timeout) = (labels.value("__scrape_interval__"), labels.value("__scrape_timeout__"));
    let (interval_ms, timeout_ms) = (time_label(interval, "interval")?, time_label(timeout, "timeout")?);
    if timeout_ms > interval_ms {
        let (timeout, interval) = (quote_go(timeout), quote_go(interval));
        return Err(format!(
            "scrape timeout cannot be greater than scrape interval ({timeout} > {interval})"
        ));
    }
    Ok(Some(labels))
}

fn discovered_labels(target: &Labels, group: &Labels, job: &ScrapeConfig) -> LabelsBuilder {
    let mut builder = LabelsBuilder::new();
    builder.set("job", &job.job_name);
    builder.set("__scrape_interval__", &format_duration_ms(job.scrape_interval_ms));
    builder.set("__scrape_timeout__", &format_duration_ms(job.scrape_timeout_ms));
    builder.set("__metrics_path__", &job.metrics_path);
    builder.set("__scheme__", &job.scheme);
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            builder.set(&format!("__param_{name}"), first);
        }
    }
    for (name, value) in group.iter().chain(target) {
        builder.set(name, value);
    }
    builder
}

fn time_label(text: &str, name: &str) -> Result<i64, String> {
    match parse_duration_ms(text) {
        Ok(0) => Err(format!("scrape {name} cannot be 0")),
        Ok(ms) => Ok(ms),
        Err(e) => Err(format!("error parsing scrape {name}: {e}")),
    }
}
