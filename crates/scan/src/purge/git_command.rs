//! The user's git, for what is around the rewriting: whether files are changed, checking out, packing anew.

use super::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

/// What of a caller's environment would lead git elsewhere.
const VARIABLES: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
];

/// Runs git for a git folder and its work tree, without hooks, and answers with what it prints.
pub(super) fn git(git_dir: &Path, work_tree: Option<&Path>, arguments: &[&str]) -> Result<String, Error> {
    let mut command = Command::new("git");
    VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command.args([
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "advice.detachedHead=false",
    ]);
    match work_tree {
        Some(folder) => {
            command.current_dir(folder).arg("--git-dir").arg(git_dir).arg("--work-tree").arg(folder);
        }
        None => {
            command.current_dir(git_dir).arg("--git-dir").arg(git_dir);
        }
    }
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|source| crate::git::Error::GitNotRun { source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let command = arguments
            .iter()
            .filter(|word| !word.contains('=') && **word != "-c")
            .copied()
            .collect::<Vec<_>>();
        return Err(Error::GitCommand { command: command.join(" "), message });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
