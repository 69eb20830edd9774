//! The region: of the configuration, of the environment, or of the profile in AWS' files.

use ini::Ini;
use narthex_config::SigV4Config;
use reqsign_core::Context;

/// The first region that is said somewhere.
pub(super) fn find(config: &SigV4Config, context: &Context) -> Option<String> {
    let variable = |name: &str| context.env_var(name).filter(|text| !text.is_empty());
    if !config.region.is_empty() {
        return Some(config.region.clone());
    }
    let of_environment = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    of_environment.or_else(|| of_profile(config, context))
}

fn of_profile(config: &SigV4Config, context: &Context) -> Option<String> {
    let named = Some(config.profile.clone()).filter(|name| !name.is_empty());
    let name = named.or_else(|| context.env_var("AWS_PROFILE")).unwrap_or_else(|| "default".to_owned());
    let in_config = if name == "default" { name.clone() } else { format!("profile {name}") };
    let files = [
        ("AWS_CONFIG_FILE", "~/.aws/config", in_config),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ];
    files.iter().find_map(|(variable, usual, section)| {
        let path = context.env_var(variable).unwrap_or_else(|| (*usual).to_owned());
        // A file that is absent or no INI file says nothing here; the chain of credentials reads it again and tells.
        let file = Ini::load_from_file(context.expand_home_dir(&path)?).ok()?;
        file.get_from(Some(section.as_str()), "region").map(str::to_owned)
    })
}
