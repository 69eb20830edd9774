//! What runs: our own version, and the version of Prometheus whose place we take.

use narthex_metrics::Registry;
use narthex_web::BuildInfo;

/// The release whose contract we keep. Clients switch features by this number.
pub(crate) const COMPATIBLE_WITH: &str = "3.14.0";
/// Our own version.
pub(crate) const OWN: &str = env!("CARGO_PKG_VERSION");

/// What the build was told about itself, `unknown` where it was not.
fn told(value: Option<&'static str>) -> &'static str {
    value.unwrap_or("unknown")
}

fn revision() -> &'static str {
    told(option_env!("NARTHEX_REVISION"))
}

fn branch() -> &'static str {
    told(option_env!("NARTHEX_BRANCH"))
}

/// `linux/amd64`, in Go's words.
fn platform() -> (&'static str, &'static str) {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    (std::env::consts::OS, arch)
}

/// For `/api/v1/status/buildinfo` and `/version`. The version is that of Prometheus with ours as build metadata, so that
/// clients which compare versions see the contract that we keep.
#[must_use]
pub(crate) fn build_info() -> BuildInfo {
    BuildInfo {
        version: format!("{COMPATIBLE_WITH}+narthex.{OWN}"),
        revision: revision().to_owned(),
        branch: branch().to_owned(),
        user: told(option_env!("NARTHEX_BUILD_USER")).to_owned(),
        date: told(option_env!("NARTHEX_BUILD_DATE")).to_owned(),
        compiler: "rust".to_owned(),
    }
}

/// The text of `--version`, laid out as Prometheus does.
#[must_use]
pub(crate) fn text(program: &str) -> String {
    let build = build_info();
    let (os, arch) = platform();
    format!(
        "{program}, version {OWN} (branch: {}, revision: {})\n  build user:       {}\n  build date:       {}\n  \
         compatible with:  Prometheus {COMPATIBLE_WITH}\n  platform:         {os}/{arch}\n  tags:             none\n",
        build.branch, build.revision, build.user, build.date
    )
}

/// `(version=…, branch=…, revision=…)` for the first log line.
#[must_use]
pub(crate) fn summary() -> String {
    format!("(version={OWN}, branch={}, revision={})", branch(), revision())
}

/// Registers `prometheus_build_info`.
pub(crate) fn register(registry: &Registry) {
    let labels = ["branch", "goarch", "goos", "goversion", "revision", "tags", "version"];
    let build = build_info();
    let (os, arch) = platform();
    let help = "A metric with a constant '1' value labeled by version, revision, branch, goversion from which prometheus was built, and the goos and goarch for the build.";
    let values = [&*build.branch, arch, os, &*build.compiler, &*build.revision, "none", &*build.version];
    registry.gauge_vec("prometheus_build_info", help, &labels).with(&values).set(1.0);
}
