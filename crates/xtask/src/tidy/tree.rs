use crate::tools;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::Command;

/// The repository as the rules see it.
pub(crate) struct Tree {
    /// Every file that is tracked or would be, as long as it is text.
    pub files: Vec<TextFile>,
    pub packages: Vec<Package>,
}

/// A text file, by its path from the root.
pub(crate) struct TextFile {
    pub path: String,
    pub text: String,
}

/// A crate of the workspace.
pub(crate) struct Package {
    pub name: String,
    /// The folder's name below `crates/`.
    pub folder: String,
    /// What it is built with, without what only its tests need.
    pub dependencies: Vec<String>,
}

impl Tree {
    pub(crate) fn read() -> Result<Self> {
        Ok(Self { files: files()?, packages: packages()? })
    }

    pub(crate) fn file(&self, path: &str) -> Result<&TextFile> {
        self.files.iter().find(|file| file.path == path).with_context(|| format!("{path} is not there"))
    }

    /// The Rust sources of crates outside their `tests`, `benches` and `examples`, with the crate's folder.
    pub(crate) fn product_sources(&self) -> impl Iterator<Item = (&str, &TextFile)> {
        self.files.iter().filter_map(|file| {
            let (folder, rest) = file.path.strip_prefix("crates/")?.split_once('/')?;
            let tests =
                rest.contains("/tests/") || ["/tests.rs", "/testing.rs"].iter().any(|it| rest.ends_with(it));
            (rest.starts_with("src/") && rest.ends_with(".rs") && !tests).then_some((folder, file))
        })
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output =
        command.current_dir(tools::root()).output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn files() -> Result<Vec<TextFile>> {
    let list = output(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    // A file that was deleted and not yet staged is listed and not there; one that is no text concerns no rule.
    let read = |path: &str| std::fs::read_to_string(tools::root().join(path)).ok();
    Ok(list.lines().filter_map(|path| Some(TextFile { path: path.to_owned(), text: read(path)? })).collect())
}

fn packages() -> Result<Vec<Package>> {
    let metadata =
        output(Command::new("cargo").args(["metadata", "--format-version=1", "--no-deps", "--offline"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages =
        metadata.get("packages").and_then(Value::as_array).context("cargo metadata in another form")?;
    packages.iter().map(|package| read_package(package).context("cargo metadata in another form")).collect()
}

fn read_package(package: &Value) -> Option<Package> {
    let manifest = package.get("manifest_path")?.as_str()?;
    let folder = manifest.rsplit('/').nth(1)?.to_owned();
    let dependencies = package.get("dependencies")?.as_array()?;
    let dependencies = dependencies
        .iter()
        .filter(|dependency| dependency.get("kind").and_then(Value::as_str) != Some("dev"))
        .filter_map(|dependency| Some(dependency.get("name")?.as_str()?.to_owned()))
        .collect();
    Some(Package { name: package.get("name")?.as_str()?.to_owned(), folder, dependencies })
}
