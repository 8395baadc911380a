//! Turns the rules in `rules/*.toml` into constants: parsing them takes milliseconds, which each start of the program would pay for.

use serde::Deserialize;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    #[serde(default, rename = "title")]
    _title: String,
    #[serde(default)]
    allowlists: Vec<Allowlist>,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    id: String,
    description: String,
    severity: String,
    confidence: String,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    regex: String,
    #[serde(default)]
    names: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    structure: String,
    #[serde(default)]
    token_efficiency: bool,
    #[serde(default = "specificity_usual")]
    specificity: i64,
    remediation: String,
    references: Vec<String>,
    #[serde(default, rename = "examplePath")]
    _example_path: String,
    #[serde(default, rename = "examples")]
    _examples: Vec<String>,
    #[serde(default, rename = "counterexamples")]
    _counterexamples: Vec<String>,
    #[serde(default)]
    allowlists: Vec<Allowlist>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Allowlist {
    description: String,
    #[serde(default)]
    regex_target: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default)]
    stopwords: Vec<String>,
}

fn specificity_usual() -> i64 {
    100
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=rules");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = std::fs::read_dir("rules")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let (mut table, mut sources, mut globals) = (String::new(), String::new(), String::new());
    for path in &files {
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or("a file of rules has an odd name")?;
        let text = std::fs::read_to_string(path)?;
        let document: Document = toml::from_str(&text).map_err(|error| format!("rules/{name}: {error}"))?;
        table.extend(document.rules.iter().map(|rule| entry(rule, name)));
        globals.extend(document.allowlists.iter().map(allowlist));
        writeln!(
            sources,
            "    ({name:?}, include_str!({:?})),",
            std::fs::canonicalize(path)?.display().to_string()
        )?;
    }
    let text = format!(
        "const RULES: &[Entry] = &[\n{table}];\n\nconst GLOBAL_ALLOWLISTS: &[ListEntry] = &[{globals}];\n\n\
         const SOURCES: &[(&str, &str)] = &[\n{sources}];\n"
    );
    #[expect(clippy::disallowed_methods, reason = "it is how cargo tells a build script where to write")]
    let folder = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(Path::new(&folder).join("rules.rs"), text)?;
    Ok(())
}

fn entry(rule: &Rule, file: &str) -> String {
    let lists: String = rule.allowlists.iter().map(allowlist).collect();
    format!(
        "    Entry {{ id: {:?}, description: {:?}, file: {file:?}, severity: Severity::{}, confidence: Confidence::{}, keywords: &{:?}, \
         path: {:?}, regex: {:?}, names: {:?}, value: {:?}, entropy: {:?}, structure: {:?}, token_efficiency: {:?}, specificity: {:?}, \
         remediation: {:?}, references: &{:?}, allowlists: &[{lists}] }},\n",
        rule.id,
        rule.description,
        capitalised(&rule.severity),
        capitalised(&rule.confidence),
        rule.keywords,
        rule.path,
        rule.regex,
        rule.names,
        rule.value,
        rule.entropy,
        rule.structure,
        rule.token_efficiency,
        rule.specificity,
        rule.remediation,
        rule.references,
    )
}

fn allowlist(list: &Allowlist) -> String {
    let target =
        if list.regex_target.is_empty() { "Secret".to_owned() } else { capitalised(&list.regex_target) };
    format!(
        "ListEntry {{ description: {:?}, target: Target::{target}, paths: &{:?}, regexes: &{:?}, stopwords: &{:?} }}, ",
        list.description, list.paths, list.regexes, list.stopwords
    )
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}
