//! Service discovery sections, a list per kind. Static and file-based ones are written out here, the others in `sd/`.

use crate::TargetGroup;
use crate::section::section;

section! {
    /// All discovery sections of one job or one set of Alertmanagers.
    pub struct SdConfigs("config.SdConfigs") {
        /// Target groups that stand in the file itself; `source` is the position.
        static_configs: Vec<TargetGroup> = Vec::new() => "static_configs" omit TargetGroups,
        /// Files with target groups.
        file_sd_configs: Vec<FileSdConfig> = Vec::new() => "file_sd_configs" omit List<Object<FileSdConfig>>,
    }
}

section! {
    /// Target groups in files that are watched.
    pub struct FileSdConfig("file.plain") {
        /// Paths; the last part may hold `*`. Each ends in `.json`, `.yml` or `.yaml`.
        files: Vec<String> = Vec::new() => "files" show List<FilePath>,
        /// How often the files are read even when nothing seems to have changed.
        refresh_interval_ms: i64 = 300_000 => "refresh_interval" omit Duration,
    }
}
