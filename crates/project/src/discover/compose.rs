//! docker-compose files: `services.*.environment` as a map or a list, the files of `env_file`, and the variables that the
//! file itself refers to (<https://docs.docker.com/reference/compose-file/>).

use std::path::PathBuf;
use strongroom_formats::document::{Document, Kind, Limits, Node, Step, Syntax};
use strongroom_secret::SecretString;

/// What a file says.
#[derive(Default)]
pub(super) struct Compose {
    /// Name, value and line.
    pub(super) pairs: Vec<(String, Option<SecretString>, Option<usize>)>,
    /// As they are written: relative to the file's folder.
    pub(super) files: Vec<PathBuf>,
}

/// Aliases and merge keys are not followed further.
const DEPTH_MAX: usize = 8;

pub(super) fn read(text: &str) -> Result<Compose, String> {
    let document =
        Document::parse(Syntax::Yaml, text, &Limits::default()).map_err(|error| error.to_string())?;
    let mut found = Compose::default();
    let services = document.find(0, &[Step::Key("services".to_owned())]).map(target);
    let services: Vec<Node<'_>> =
        services.map(|services| services.children().map(target).collect()).unwrap_or_default();
    for service in services {
        for (key, node) in entries(service, DEPTH_MAX) {
            match key {
                "environment" => environment(target(node), &mut found),
                "env_file" => env_files(target(node), &mut found.files),
                _ => {}
            }
        }
    }
    for node in document.walk() {
        if let Some(scalar) = node.scalar() {
            let line = node.line();
            let named = references(scalar.expose());
            found.pairs.extend(named.into_iter().map(|(name, value)| (name, value, Some(line))));
        }
    }
    Ok(found)
}

/// What an alias stands for.
fn target(node: Node<'_>) -> Node<'_> {
    node.target().unwrap_or(node)
}

/// The entries of a map, those of its merge keys last.
fn entries(map: Node<'_>, depth: usize) -> Vec<(&str, Node<'_>)> {
    let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
    let (mut own, mut merged) = (Vec::new(), Vec::new());
    for node in map.children() {
        match node.key() {
            Some("<<") => {
                let source = target(node);
                let maps: Vec<Node<'_>> = match source.kind() {
                    Kind::List => source.children().map(target).collect(),
                    _ => vec![source],
                };
                merged.extend(maps.into_iter().flat_map(|map| entries(map, depth)));
            }
            Some(key) => own.push((key, node)),
            None => {}
        }
    }
    merged.retain(|(key, _)| !own.iter().any(|(known, _)| known == key));
    own.extend(merged);
    own
}

fn environment(node: Node<'_>, found: &mut Compose) {
    if node.kind() == Kind::List {
        for item in node.children() {
            let Some(scalar) = item.scalar() else { continue };
            let (name, value) = match scalar.expose().split_once('=') {
                Some((name, value)) => (name, plain(value)),
                None => (scalar.expose(), None),
            };
            found.pairs.push((name.trim().to_owned(), value, Some(item.line())));
        }
        return;
    }
    for (name, node) in entries(node, DEPTH_MAX) {
        let scalar = target(node).scalar();
        let value = scalar.as_ref().and_then(|scalar| plain(scalar.expose()));
        found.pairs.push((name.to_owned(), value, Some(node.line())));
    }
}

/// A path, a list of paths, or of maps with a `path`.
fn env_files(node: Node<'_>, files: &mut Vec<PathBuf>) {
    let mut take = |node: Node<'_>| {
        if let Some(path) = node.scalar().filter(|path| !path.expose().contains('$')) {
            files.push(PathBuf::from(path.expose()));
        }
    };
    match node.kind() {
        Kind::List => {
            for item in node.children().map(target) {
                let path = entries(item, DEPTH_MAX).into_iter().find(|(key, _)| *key == "path");
                take(path.map_or(item, |(_, path)| target(path)));
            }
        }
        _ => take(node),
    }
}

/// A value that stands there itself. What refers to a variable has its value elsewhere; `$$` is a dollar sign.
fn plain(text: &str) -> Option<SecretString> {
    let without = text.replace("$$", "");
    let refers = without.contains('$');
    (!refers && !text.is_empty()).then(|| text.replace("$$", "$").into())
}

/// The variables that a text refers to, with the defaults that it gives: `$NAME`, `${NAME}`, `${NAME:-default}`.
fn references(text: &str) -> Vec<(String, Option<SecretString>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
            continue;
        }
        let inner = after.strip_prefix('{').unwrap_or(after);
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, tail) = inner.split_at(end);
        rest = tail;
        if name.is_empty() {
            continue;
        }
        let default = tail.strip_prefix(":-").or_else(|| tail.strip_prefix('-'));
        let default = default.filter(|_| after.starts_with('{')).and_then(|tail| tail.split('}').next());
        found.push((name.to_owned(), default.and_then(plain)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, Option<&str>)], files: &[&str]) {
        let found = read(text).unwrap();
        let pairs: Vec<_> = found
            .pairs
            .iter()
            .map(|(name, value, _)| (name.as_str(), value.as_ref().map(SecretString::expose)))
            .collect();
        assert_eq!(pairs, expected);
        assert_eq!(found.files, files.iter().map(PathBuf::from).collect::<Vec<_>>());
    }

    #[test]
    fn lists_and_maps_in_every_style_of_yaml() {
        check(
            "services:\n  web:\n    image: x\n    environment:\n      - A=1\n      - \"B=x y\"\n      - C\n    ports: [80]\n  db:\n    environment: {D: \"q: # no note\", E: , F: 5, G: true}\n",
            &[
                ("A", Some("1")),
                ("B", Some("x y")),
                ("C", None),
                ("D", Some("q: # no note")),
                ("E", None),
                ("F", Some("5")),
                ("G", Some("true")),
            ],
            &[],
        );
    }

    #[test]
    fn anchors_merge_keys_and_block_texts() {
        check(
            "x-common: &common\n  LOG: info\n  KEY: |\n    -----BEGIN-----\n    a\nservices:\n  web:\n    environment:\n      <<: *common\n      LOG: debug\n  job:\n    environment: *common\n",
            &[
                ("LOG", Some("debug")),
                ("KEY", Some("-----BEGIN-----\na\n")),
                ("LOG", Some("info")),
                ("KEY", Some("-----BEGIN-----\na\n")),
            ],
            &[],
        );
    }

    #[test]
    fn files_and_references() {
        check(
            "services:\n  web:\n    image: shop:${TAG:-latest}\n    env_file: .env.web\n    environment:\n      URL: postgres://app:${DB_PASSWORD}@db/$$x\n  db:\n    env_file:\n      - db.env\n      - path: ./more.env\n        required: false\n      - ${OTHER}.env\n",
            &[("URL", None), ("TAG", Some("latest")), ("DB_PASSWORD", None), ("OTHER", None)],
            &[".env.web", "db.env", "./more.env"],
        );
    }

    #[test]
    fn what_is_no_compose_file_has_nothing_and_what_is_no_yaml_is_an_error() {
        check("on: push\njobs: [a, b]\n", &[], &[]);
        check("", &[], &[]);
        assert!(read("services: [\n").is_err());
        assert!(read("services: *nowhere\n").is_err());
    }
}
