//! What git knows of files with values. Asked of git itself, whose rules for ignoring nobody else gets right.

use crate::manifest::{Problem, ProblemKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a file stands with git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracked {
    /// In the repository, for all who have it.
    Yes,
    /// Not yet, but `git add` would take it.
    Untracked,
    Ignored,
    /// There is no repository, or no git.
    Unknown,
}

/// What a repository should ignore.
const PATTERNS: [&str; 7] =
    [".env", ".env.*", "!.env.example", "*.pem", "*.key", "credentials.json", "*.local.toml"];

pub(super) fn problems(folder: &Path, files: &[PathBuf]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files {
        let name = file.display();
        match tracked(folder, file) {
            Tracked::Yes => {
                let message = format!("{name} holds values and is in the git repository");
                let hint = format!(
                    "git rm --cached {name}, then `strongroom guard install`; what was pushed is known: change those values"
                );
                problems.push(Problem::error(ProblemKind::NotIgnored, message).hint(hint));
            }
            Tracked::Untracked => {
                let message = format!("{name} holds values, and git does not ignore it");
                let hint = "`strongroom guard install` adds it to .gitignore";
                problems.push(Problem::error(ProblemKind::NotIgnored, message).hint(hint));
            }
            Tracked::Ignored | Tracked::Unknown => {}
        }
    }
    problems
}

/// Asks git.
pub fn tracked(folder: &Path, file: &Path) -> Tracked {
    let Some(name) = file.file_name() else { return Tracked::Unknown };
    let folder_of_file = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(folder);
    let folder_of_file = if folder_of_file.as_os_str().is_empty() { Path::new(".") } else { folder_of_file };
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder_of_file).args(arguments).arg("--").arg(name);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().ok().and_then(|status| status.code())
    };
    match git(&["ls-files", "--error-unmatch"]) {
        Some(0) => return Tracked::Yes,
        Some(1) => {}
        _ => return Tracked::Unknown,
    }
    match git(&["check-ignore", "--quiet"]) {
        Some(0) => Tracked::Ignored,
        Some(1) => Tracked::Untracked,
        _ => Tracked::Unknown,
    }
}

/// Lines that a .gitignore lacks, in an order in which they mean what they should.
pub fn ignored_patterns_missing(gitignore: &str) -> Vec<&'static str> {
    let present: Vec<&str> = gitignore.lines().map(str::trim).collect();
    PATTERNS.into_iter().filter(|pattern| !present.contains(pattern)).collect()
}
