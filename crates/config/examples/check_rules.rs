//! Reads a rule file's structure and prints what is wrong with it, to compare with promtool.
//!
//! Run: `cargo run -p narthex-config --example check_rules -- rules.yml`

use narthex_config::RuleFile;

fn main() -> std::io::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    match RuleFile::parse(&std::fs::read(&file)?, &file, false) {
        Ok(rules) => println!("{} groups", rules.groups.len()),
        Err(e) => println!("{}", e.as_prometheus()),
    }
    Ok(())
}
