use super::tree::{Package, Tree};
use anyhow::Result;

/// Raise it in the commit that adds a dependency, and say there why the dependency is worth its cost.
const LOCKED_PACKAGES_MAX: usize = 481;

/// What each crate may be built with inside the workspace. A crate that is not here may use every other but the
/// development crates and the binary.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("secret", &[]),
    ("crypto", &["secret"]),
    ("storage", &["secret"]),
    ("fingerprint", &["secret"]),
    ("kernel", &["crypto", "fingerprint", "secret", "storage"]),
    ("backends", &["crypto", "kernel", "secret"]),
    ("api", &["secret"]),
    ("http", &["api", "crypto", "kernel", "secret"]),
    ("formats", &["crypto", "secret"]),
    ("project", &["api", "crypto", "formats", "secret"]),
    ("detect", &["fingerprint", "secret"]),
    ("scan", &["detect", "secret"]),
];

const DEVELOPMENT: [&str; 2] = ["testkit", "xtask"];

/// Crates that must not speak to the network, and the packages that do.
const OFFLINE: [&str; 6] = ["crypto", "detect", "fingerprint", "formats", "kernel", "secret"];
const NETWORK: [&str; 12] = [
    "axum",
    "hyper",
    "hyper-util",
    "mio",
    "native-tls",
    "openssl",
    "reqwest",
    "rustls",
    "socket2",
    "tokio-postgres",
    "tokio-rustls",
    "ureq",
];

pub(crate) fn forbidden_edges(tree: &Tree) -> Result<Vec<String>> {
    Ok(tree.packages.iter().flat_map(|package| edges_of(package, &tree.packages)).collect())
}

fn edges_of(package: &Package, packages: &[Package]) -> Vec<String> {
    let from = package.folder.as_str();
    let development = DEVELOPMENT.contains(&from);
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        if OFFLINE.contains(&from) && NETWORK.contains(&dependency.as_str()) {
            problems.push(format!("{from} must not use the network: drop {dependency}"));
        }
        let Some(to) =
            packages.iter().find(|other| other.name == *dependency).map(|other| other.folder.as_str())
        else {
            continue;
        };
        let allowed = match ALLOWED.iter().find(|(name, _)| *name == from) {
            Some((_, allowed)) => allowed.contains(&to),
            None => to != "cli" && (development || !DEVELOPMENT.contains(&to)),
        };
        if !allowed {
            problems.push(format!("{from} must not depend on {to}"));
        }
    }
    problems
}

/// The lines of a manifest's tables of dependencies, with the table's name.
fn dependency_lines(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut tables: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            tables.push((table, Vec::new()));
        } else if let (Some((_, lines)), Some(first)) = (tables.last_mut(), line.chars().next())
            && (first.is_alphanumeric() || first == '"')
            && line.contains('=')
        {
            lines.push(line);
        }
    }
    tables.retain(|(table, _)| table.ends_with("dependencies"));
    tables
}

fn manifests(tree: &Tree) -> impl Iterator<Item = &super::tree::TextFile> {
    tree.files.iter().filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
}

fn dependency_name(line: &str) -> &str {
    line.split(['=', '.', ' ']).next().unwrap_or_default()
}

pub(crate) fn unsorted_dependencies(tree: &Tree) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for manifest in manifests(tree) {
        for (table, lines) in dependency_lines(&manifest.text) {
            let names: Vec<&str> = lines.iter().copied().map(dependency_name).collect();
            let unsorted = names.windows(2).find(|pair| pair.first() > pair.last());
            if let Some([before, after]) = unsorted {
                problems.push(format!("{} [{table}]: {after} comes before {before}", manifest.path));
            }
        }
    }
    Ok(problems)
}

pub(crate) fn own_versions(tree: &Tree) -> Result<Vec<String>> {
    let of_crates = manifests(tree).filter(|manifest| manifest.path.starts_with("crates/"));
    let lines = of_crates.flat_map(|manifest| {
        let tables = dependency_lines(&manifest.text);
        let lines: Vec<&str> = tables.into_iter().flat_map(|(_, lines)| lines).collect();
        lines.into_iter().map(|line| (&manifest.path, line))
    });
    let own = lines.filter(|(_, line)| !line.contains("workspace = true"));
    Ok(own.map(|(path, line)| format!("{path}: write {}.workspace = true", dependency_name(line))).collect())
}

pub(crate) fn missing_lints(tree: &Tree) -> Result<Vec<String>> {
    let of_crates = manifests(tree).filter(|manifest| manifest.path.starts_with("crates/"));
    // An exception writes its own table of lints, and says why above it.
    let missing = of_crates.filter(|manifest| {
        !manifest.text.contains("[lints]\nworkspace = true") && !manifest.text.contains("[lints.rust]\n")
    });
    Ok(missing.map(|manifest| format!("{}: add [lints] workspace = true", manifest.path)).collect())
}

pub(crate) fn odd_names(tree: &Tree) -> Result<Vec<String>> {
    let odd = tree.packages.iter().filter(|package| match package.folder.as_str() {
        "cli" => package.name != "strongroom",
        "xtask" => package.name != "xtask",
        folder => package.name != format!("strongroom-{folder}"),
    });
    Ok(odd.map(|package| format!("crates/{} holds {}", package.folder, package.name)).collect())
}

pub(crate) fn too_many_packages(tree: &Tree) -> Result<Vec<String>> {
    let count = tree.file("Cargo.lock")?.text.lines().filter(|line| *line == "[[package]]").count();
    let problem =
        format!("{count} packages are locked, the cap is {LOCKED_PACKAGES_MAX} (tidy/manifests.rs)");
    Ok((count > LOCKED_PACKAGES_MAX).then_some(problem).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::TextFile;

    fn package(folder: &str, dependencies: &[&str]) -> Package {
        let name = format!("strongroom-{folder}");
        let dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
        Package { name, folder: folder.to_owned(), dependencies }
    }

    fn tree_of(path: &str, text: &str) -> Tree {
        Tree { files: vec![TextFile { path: path.to_owned(), text: text.to_owned() }], packages: Vec::new() }
    }

    #[test]
    fn edges_against_the_design_are_found() {
        let packages = vec![
            package("kernel", &["strongroom-backends", "strongroom-secret", "hyper", "serde"]),
            package("backends", &["strongroom-kernel"]),
            package("secret", &[]),
            package("cli", &["strongroom-backends", "strongroom-testkit"]),
            package("testkit", &[]),
        ];
        let tree = Tree { files: Vec::new(), packages };
        assert_eq!(
            forbidden_edges(&tree).unwrap(),
            [
                "kernel must not depend on backends",
                "kernel must not use the network: drop hyper",
                "cli must not depend on testkit"
            ]
        );
    }

    #[test]
    fn manifests_out_of_order_are_found() {
        let text = "[package]\nname = \"z\"\n\n[dependencies]\nb.workspace = true\na = \"1\"\n";
        let tree = tree_of("crates/z/Cargo.toml", text);
        assert_eq!(
            unsorted_dependencies(&tree).unwrap(),
            ["crates/z/Cargo.toml [dependencies]: a comes before b"]
        );
        assert_eq!(own_versions(&tree).unwrap(), ["crates/z/Cargo.toml: write a.workspace = true"]);
        assert_eq!(missing_lints(&tree).unwrap().len(), 1);
    }
}
