use super::{Entry, RULES};
use std::fmt::Write as _;

/// The rules as a page of documentation in Markdown: a table for each file.
pub fn markdown() -> String {
    let mut page = format!(
        "# The rules that come with the program\n\n\
         Made from `crates/detect/rules/` with `cargo run -p strongroom-detect --example rules_table`: {} rules. How they are \
         written is in [scan-rules.md](scan-rules.md). **Structure** names what is verified offline inside the secret; where it \
         fits, confidence rises to verified, and where it does not, it falls to low or the finding is dropped.\n",
        RULES.len()
    );
    let mut file = "";
    for rule in RULES {
        if rule.file != file {
            file = rule.file;
            let _ = write!(
                page,
                "\n## {}\n\n| id | finds | severity | confidence | structure |\n|---|---|---|---|---|\n",
                family(file)
            );
        }
        page.push_str(&row(rule));
    }
    page
}

fn family(file: &str) -> String {
    file.trim_end_matches(".toml").replace('-', " ")
}

fn row(rule: &Entry) -> String {
    let documentation = rule
        .references
        .first()
        .map_or_else(String::new, |address| format!("[{}]({address})", rule.description));
    format!(
        "| `{}` | {documentation} | {} | {} | {} |\n",
        rule.id,
        rule.severity.name(),
        rule.confidence.name(),
        rule.structure
    )
}
