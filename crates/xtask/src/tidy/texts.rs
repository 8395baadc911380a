use super::tree::Tree;
use anyhow::Result;

/// Written in two halves, so that this file does not break its own rule. Where something is installed from is the
/// business of each machine's configuration; folders of one machine mean nothing on another.
const FORBIDDEN: [(&str, &str); 8] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("static.cra", "tes.io"),
    ("index.cra", "tes.io"),
    ("files.python", "hosted.org"),
    ("registry.npm", "js.org"),
    ("proxy.go", "lang.org"),
    ("repo.maven.apa", "che.org"),
];

/// Names of files that say nothing about what is in them.
const VAGUE: [&str; 5] = ["utils", "util", "common", "helpers", "misc"];

pub(crate) fn forbidden_texts(tree: &Tree) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            for needle in FORBIDDEN.map(|(left, right)| format!("{left}{right}")) {
                if starts_a_word(line, &needle) {
                    problems.push(format!("{}:{}: names {needle}", file.path, number + 1));
                }
            }
        }
        let stem = file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
        if VAGUE.contains(&stem) {
            problems.push(format!("{}: name the file after what it holds", file.path));
        }
    }
    Ok(problems)
}

/// Whether `needle` is in the line where no longer path or name runs into it.
fn starts_a_word(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        let before = line.split_at(at).0.chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '.' | '-' | '_' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::TextFile;

    #[test]
    fn local_folders_are_found() {
        let text =
            format!("cd {}x\nhttps://example.org/a{}b\n", ["/wo", "rk/"].concat(), ["/wo", "rk/"].concat());
        let files = vec![
            TextFile { path: "README.md".to_owned(), text },
            TextFile { path: "crates/x/src/utils.rs".to_owned(), text: String::new() },
        ];
        let problems = forbidden_texts(&Tree { files, packages: Vec::new() }).unwrap();
        assert_eq!(
            problems,
            [
                format!("README.md:1: names {}", ["/wo", "rk/"].concat()),
                "crates/x/src/utils.rs: name the file after what it holds".to_owned()
            ]
        );
    }
}
