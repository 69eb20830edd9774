//! Paths: joined to the directory of the file that names them, and cleaned as Go's `filepath` does.

use super::{Codec, Text};
use crate::decode::Decoder;
use crate::yaml::{NodeRef, Yaml};

/// A path, absolute or relative to the file that names it.
pub(crate) struct FilePath;

impl Codec for FilePath {
    type Value = String;
    const GO_TYPE: &'static str = "string";

    fn read(node: NodeRef<'_>, d: &mut Decoder) -> Option<String> {
        let path = Text::read(node, d)?;
        Some(join(&d.directory, &path))
    }

    fn is_zero(value: &String) -> bool {
        value.is_empty()
    }

    fn zero() -> Self::Value {
        String::new()
    }

    fn print(value: &String) -> Yaml {
        Yaml::Text(value.clone())
    }
}

/// `path` under `directory`. An empty or absolute path stays; so does every path when the directory is empty.
pub(crate) fn join(directory: &str, path: &str) -> String {
    if path.is_empty() || path.starts_with('/') || directory.is_empty() {
        return path.to_owned();
    }
    clean(&format!("{directory}/{path}"))
}

/// The directory of a file; `.` when its name has none.
pub(crate) fn directory_of(file: &str) -> String {
    match file.rfind('/') {
        Some(at) => clean(&file[..=at]),
        None => ".".to_owned(),
    }
}

/// Drops `.`, resolves `..` by the text alone, and joins repeated slashes.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (directory, path, joined) in [
            (".", "rules/*.yml", "rules/*.yml"),
            ("conf", "./a//b", "conf/a/b"),
            ("conf", "../a", "a"),
            ("conf", "../../a", "../a"),
            ("/etc", "/abs", "/abs"),
            ("/etc", "../../x", "/x"),
            ("conf", "", ""),
            ("", "x/../y", "x/../y"),
        ] {
            assert_eq!(join(directory, path), joined, "{directory} {path}");
        }
        for (file, directory) in [("p.yml", "."), ("a/b.yml", "a"), ("/p.yml", "/"), ("./x/p.yml", "x")] {
            assert_eq!(directory_of(file), directory);
        }
    }
}
