use super::tree::{TextFile, Tree};
use anyhow::{Context, Result};
use syn::visit::{self, Visit};

/// A screen, in lines (STYLE: "a function fits a screen").
const FUNCTION_LINES_MAX: usize = 70;
/// How many functions are longer today. The number may only fall: lower it when one gets shorter.
const LONG_FUNCTIONS_MAX: usize = 0;

/// Crates that may read the clock, the environment and the system's randomness.
const COMPOSITION: [&str; 3] = ["cli", "testkit", "xtask"];
/// The last two segments of what the others may not name.
const AMBIENT: [[&str; 2]; 8] = [
    ["SystemTime", "now"],
    ["Instant", "now"],
    ["Timestamp", "now"],
    ["Zoned", "now"],
    ["env", "var"],
    ["env", "var_os"],
    ["env", "vars"],
    ["env", "args"],
];

/// Crates that take values and give values.
const PURE: [&str; 4] = ["crypto", "detect", "formats", "secret"];
const IMPURE_MODULES: [&str; 3] = ["fs", "net", "process"];

fn parse(file: &TextFile) -> Result<syn::File> {
    syn::parse_file(&file.text).with_context(|| file.path.clone())
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string().starts_with("test"),
        syn::Meta::NameValue(_) => false,
    })
}

/// Collects the functions of a file outside its tests, with their length in lines.
#[derive(Default)]
struct Functions {
    lengths: Vec<(String, usize)>,
}

impl Functions {
    fn note(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let end = block.brace_token.span.close().end().line;
        let lines = end.saturating_sub(signature.fn_token.span.start().line) + 1;
        self.lengths.push((signature.ident.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.note(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

pub(crate) fn long_functions(tree: &Tree) -> Result<Vec<String>> {
    let mut long = Vec::new();
    for (_, file) in tree.product_sources() {
        let mut functions = Functions::default();
        functions.visit_file(&parse(file)?);
        let of_file = functions.lengths.into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        long.extend(of_file.map(|(name, lines)| format!("{}: {name} has {lines} lines", file.path)));
    }
    let count = long.len();
    if count > LONG_FUNCTIONS_MAX {
        long.push(format!("{count} functions, the ratchet allows {LONG_FUNCTIONS_MAX} (tidy/sources.rs)"));
        return Ok(long);
    }
    Ok(Vec::new())
}

/// Collects the paths that a file names outside its tests, each as its segments.
#[derive(Default)]
struct Paths {
    found: Vec<(Vec<String>, usize)>,
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.found.push((segments, line));
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let line = item.use_token.span.start().line;
        flatten(&item.tree, Vec::new(), &mut |segments| self.found.push((segments, line)));
    }
}

/// Calls `found` with every path that a `use` brings in.
fn flatten(tree: &syn::UseTree, mut prefix: Vec<String>, found: &mut dyn FnMut(Vec<String>)) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, found);
        }
        syn::UseTree::Name(name) => {
            prefix.push(name.ident.to_string());
            found(prefix);
        }
        syn::UseTree::Rename(rename) => {
            prefix.push(rename.ident.to_string());
            found(prefix);
        }
        syn::UseTree::Glob(_) => found(prefix),
        syn::UseTree::Group(group) => {
            for item in &group.items {
                flatten(item, prefix.clone(), found);
            }
        }
    }
}

fn paths(file: &TextFile) -> Result<Vec<(Vec<String>, usize)>> {
    let mut paths = Paths::default();
    paths.visit_file(&parse(file)?);
    Ok(paths.found)
}

pub(crate) fn ambient_inputs(tree: &Tree) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (folder, file) in tree.product_sources() {
        if COMPOSITION.contains(&folder) {
            continue;
        }
        for (segments, line) in paths(file)? {
            if AMBIENT.iter().any(|ambient| segments.ends_with(&ambient.map(str::to_owned))) {
                problems.push(format!("{}:{line}: {} belongs in cli", file.path, segments.join("::")));
            }
        }
    }
    Ok(problems)
}

pub(crate) fn impure_crates(tree: &Tree) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (_, file) in tree.product_sources().filter(|(folder, _)| PURE.contains(folder)) {
        for (segments, line) in paths(file)? {
            let impure = match segments.as_slice() {
                [first, second, ..] => first == "std" && IMPURE_MODULES.contains(&second.as_str()),
                _ => false,
            };
            // std::net holds address types too, which are values.
            let value =
                segments.iter().any(|segment| segment.starts_with("Ip") || segment == "AddrParseError");
            if impure && !value {
                problems.push(format!("{}:{line}: {}", file.path, segments.join("::")));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_of(path: &str, text: &str) -> Tree {
        Tree { files: vec![TextFile { path: path.to_owned(), text: text.to_owned() }], packages: Vec::new() }
    }

    #[test]
    fn the_clock_is_found_outside_tests_alone() {
        let text = "use std::{env::var, time::Instant};\nfn f() { let _ = Instant::now(); }\n\
                    #[cfg(test)]\nmod tests { fn g() { std::time::SystemTime::now(); } }";
        assert_eq!(
            ambient_inputs(&tree_of("crates/kernel/src/lib.rs", text)).unwrap(),
            [
                "crates/kernel/src/lib.rs:1: std::env::var belongs in cli",
                "crates/kernel/src/lib.rs:2: Instant::now belongs in cli"
            ]
        );
        assert!(ambient_inputs(&tree_of("crates/cli/src/main.rs", text)).unwrap().is_empty());
    }

    #[test]
    fn files_and_sockets_are_found_in_pure_crates() {
        let text = "use std::fs::File;\nuse std::net::IpAddr;\nfn f() { std::process::exit(1) }";
        let problems = impure_crates(&tree_of("crates/detect/src/lib.rs", text)).unwrap();
        assert_eq!(
            problems,
            ["crates/detect/src/lib.rs:1: std::fs::File", "crates/detect/src/lib.rs:3: std::process::exit"]
        );
        assert!(impure_crates(&tree_of("crates/scan/src/lib.rs", text)).unwrap().is_empty());
    }

    #[test]
    fn a_function_longer_than_a_screen_is_found() {
        let text = format!("fn long() {{\n{}}}\n", "    f();\n".repeat(FUNCTION_LINES_MAX));
        let problems = long_functions(&tree_of("crates/kernel/src/lib.rs", &text)).unwrap();
        assert_eq!(problems.first().unwrap(), "crates/kernel/src/lib.rs: long has 72 lines");
    }
}
