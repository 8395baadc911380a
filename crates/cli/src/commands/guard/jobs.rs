//! Files that other programs read: the pre-commit framework's configuration, a workflow of GitHub, a job of GitLab.

use crate::failure::Failure;
use std::fs;
use std::path::Path;

type Say<'a> = &'a dyn Fn(&str);

const PRE_COMMIT: &str = ".pre-commit-config.yaml";
const PRE_COMMIT_ID: &str = "id: strongroom";
const GITHUB: &str = ".github/workflows/strongroom.yml";
const GITLAB: &str = ".gitlab-ci.yml";
const GITLAB_BEGIN: &str = "# strongroom guard: begin\n";
const GITLAB_END: &str = "# strongroom guard: end\n";

/// Fetches the program where the machine has none. Which one is the repository's to say: two variables of its settings.
const FETCH: [&str; 7] = [
    "command -v strongroom && exit 0",
    "test -n \"$STRONGROOM_URL\" || { echo 'set the variable STRONGROOM_URL to the address of the strongroom binary'; exit 1; }",
    "test -n \"$STRONGROOM_SHA256\" || { echo 'set the variable STRONGROOM_SHA256 to the checksum of that binary'; exit 1; }",
    "mkdir -p \"$HOME/.local/bin\"",
    "curl -fsSL --retry 3 -o \"$HOME/.local/bin/strongroom\" \"$STRONGROOM_URL\"",
    "echo \"$STRONGROOM_SHA256  $HOME/.local/bin/strongroom\" | sha256sum -c -",
    "chmod +x \"$HOME/.local/bin/strongroom\"",
];

/// What the framework is told: the program on the machine's PATH, as every developer of the project has it.
fn pre_commit_entry(indent: &str) -> String {
    let lines = [
        "- repo: local",
        "  hooks:",
        "    - id: strongroom",
        "      name: look for secrets (strongroom)",
        "      entry: strongroom guard run pre-commit",
        "      language: system",
        "      pass_filenames: false",
        "      always_run: true",
        "      stages: [pre-commit]",
    ];
    lines.map(|line| format!("{indent}{line}\n")).concat()
}

pub(super) fn install_pre_commit(top: &Path, say: Say<'_>) -> Result<(), Failure> {
    let path = top.join(PRE_COMMIT);
    let old = read(&path)?;
    if old.contains(PRE_COMMIT_ID) {
        say(&format!("{PRE_COMMIT} has our entry already"));
        return Ok(());
    }
    let new = with_entry(&old).ok_or_else(|| {
        Failure::missing(format!("{PRE_COMMIT} has no list `repos:` with one entry a line"))
            .hint(format!("add this to it:\n{}", pre_commit_entry("  ")))
    })?;
    write(&path, &new)?;
    say(&format!(
        "{PRE_COMMIT} has our entry: commit it; `pre-commit install` puts the framework's hook in place"
    ));
    Ok(())
}

/// The configuration with our entry at the end of its list.
fn with_entry(old: &str) -> Option<String> {
    if old.trim().is_empty() {
        return Some(format!("repos:\n{}", pre_commit_entry("  ")));
    }
    let mut lines: Vec<&str> = old.lines().collect();
    let start =
        lines.iter().position(|line| line.trim_end() == "repos:" || line.trim_end() == "repos: []")?;
    let is_inside = |line: &&str| line.is_empty() || line.starts_with([' ', '#', '-']);
    let length = lines.iter().skip(start + 1).take_while(|line| is_inside(line)).count();
    let mut end = start + 1 + length;
    while end > start + 1 && lines.get(end - 1).is_some_and(|line| line.is_empty() || line.starts_with('#')) {
        end -= 1;
    }
    let first = lines.iter().skip(start + 1).take(length).find(|line| line.trim_start().starts_with('-'));
    let indent = first.map_or("  ", |line| line.get(..line.len() - line.trim_start().len()).unwrap_or("  "));
    let entry = pre_commit_entry(indent);
    if let Some(line) = lines.get_mut(start) {
        *line = "repos:";
    }
    let (before, after) = lines.split_at(end);
    let text = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    Some(format!("{}{entry}{}", text(before), text(after)))
}

pub(super) fn uninstall_pre_commit(top: &Path, say: Say<'_>) -> Result<(), Failure> {
    let path = top.join(PRE_COMMIT);
    let old = read(&path)?;
    let new = ["", "  ", "    "]
        .iter()
        .fold(old.clone(), |text, indent| text.replace(&pre_commit_entry(indent), ""));
    if new == old {
        return Ok(());
    }
    let done = match new.trim() == "repos:" {
        true => fs::remove_file(&path).map_err(|error| failed(&path, &error)),
        false => write(&path, &new),
    };
    done?;
    say(&format!("{PRE_COMMIT} is without our entry"));
    Ok(())
}

fn github_workflow() -> String {
    let fetch: String = FETCH.iter().map(|line| format!("          {line}\n")).collect();
    format!(
        "# Written by `strongroom guard install --github`.\n\
         name: secrets\n\
         on:\n\
         \x20 push:\n\
         \x20 pull_request:\n\
         permissions:\n\
         \x20 contents: read\n\
         jobs:\n\
         \x20 scan:\n\
         \x20   runs-on: ubuntu-latest\n\
         \x20   timeout-minutes: 15\n\
         \x20   steps:\n\
         \x20     - uses: actions/checkout@v4\n\
         \x20       with:\n\
         \x20         fetch-depth: 0\n\
         \x20         persist-credentials: false\n\
         \x20     - name: get strongroom\n\
         \x20       env:\n\
         \x20         STRONGROOM_URL: ${{{{ vars.STRONGROOM_URL }}}}\n\
         \x20         STRONGROOM_SHA256: ${{{{ vars.STRONGROOM_SHA256 }}}}\n\
         \x20       run: |\n\
         {fetch}\
         \x20         echo \"$HOME/.local/bin\" >> \"$GITHUB_PATH\"\n\
         \x20     - name: look for secrets\n\
         \x20       run: strongroom scan git --format github\n"
    )
}

pub(super) fn install_github(top: &Path, say: Say<'_>) -> Result<(), Failure> {
    let path = top.join(GITHUB);
    if path.is_file() && read(&path)? != github_workflow() {
        return Err(Failure::other(format!("{GITHUB} is there already, and is another one")));
    }
    let folder = path.parent().unwrap_or(top);
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    write(&path, &github_workflow())?;
    say(&format!(
        "wrote {GITHUB}: commit it; set the variables STRONGROOM_URL and STRONGROOM_SHA256 of the repository, or have strongroom on the runner"
    ));
    Ok(())
}

pub(super) fn uninstall_github(top: &Path, say: Say<'_>) -> Result<(), Failure> {
    let path = top.join(GITHUB);
    if !path.is_file() {
        return Ok(());
    }
    if read(&path)? != github_workflow() {
        return Err(Failure::other(format!("{GITHUB} was changed since it was written"))
            .hint("remove it by hand if it is not wanted"));
    }
    fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
    say(&format!("removed {GITHUB}"));
    Ok(())
}

fn gitlab_job() -> String {
    let fetch: String = FETCH.iter().skip(1).map(|line| format!("      {line}\n")).collect();
    format!(
        "{GITLAB_BEGIN}\
         strongroom:\n\
         \x20 stage: test\n\
         \x20 variables:\n\
         \x20   GIT_DEPTH: \"0\"\n\
         \x20 script:\n\
         \x20   - |\n\
         \x20     if ! command -v strongroom; then\n\
         {fetch}\
         \x20     fi\n\
         \x20   - PATH=\"$HOME/.local/bin:$PATH\" strongroom scan git --format junit --output strongroom.xml\n\
         \x20 artifacts:\n\
         \x20   when: always\n\
         \x20   reports:\n\
         \x20     junit: strongroom.xml\n\
         {GITLAB_END}"
    )
}

pub(super) fn install_gitlab(top: &Path, say: Say<'_>) -> Result<(), Failure> {
    let path = top.join(GITLAB);
    let old = read(&path)?;
    if old.contains(GITLAB_BEGIN) {
        say(&format!("{GITLAB} has our job already"));
        return Ok(());
    }
    if old.lines().any(|line| line.trim_end() == "strongroom:") {
        return Err(Failure::other(format!("{GITLAB} has a job with the name strongroom already")));
    }
    let gap = match (old.is_empty(), old.ends_with('\n')) {
        (true, _) => "",
        (false, true) => "\n",
        (false, false) => "\n\n",
    };
    write(&path, &format!("{old}{gap}{}", gitlab_job()))?;
    say(&format!(
        "{GITLAB} has our job: commit it; set the variables STRONGROOM_URL and STRONGROOM_SHA256 of the project, or have strongroom in the image"
    ));
    Ok(())
}

pub(super) fn uninstall_gitlab(top: &Path, say: Say<'_>) -> Result<(), Failure> {
    let path = top.join(GITLAB);
    let old = read(&path)?;
    let (Some(start), Some(end)) = (old.find(GITLAB_BEGIN), old.find(GITLAB_END)) else { return Ok(()) };
    let before = old.get(..start).unwrap_or_default().trim_end();
    let after = old.get(end + GITLAB_END.len()..).unwrap_or_default();
    let gap = if before.is_empty() { "" } else { "\n" };
    let new = format!("{before}{gap}{after}");
    match new.is_empty() {
        true => fs::remove_file(&path).map_err(|error| failed(&path, &error))?,
        false => write(&path, &new)?,
    }
    say(&format!("{GITLAB} is without our job"));
    Ok(())
}

/// The file, or nothing where there is none.
fn read(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(path, &error)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_formats::document::{Document, Syntax};

    #[test]
    fn the_entry_goes_to_the_end_of_the_list() {
        let check = |old: &str| with_entry(old).map(|new| new.replace(&pre_commit_entry("  "), "  OURS\n"));
        assert_eq!(check("").as_deref(), Some("repos:\n  OURS\n"));
        assert_eq!(
            check("repos:\n  - repo: a\n    hooks:\n      - id: b\n\nci:\n  skip: [x]\n").as_deref(),
            Some("repos:\n  - repo: a\n    hooks:\n      - id: b\n  OURS\n\nci:\n  skip: [x]\n")
        );
        let flat = with_entry("# x\nrepos:\n- repo: a\n  hooks: []\n").unwrap();
        assert_eq!(flat, format!("# x\nrepos:\n- repo: a\n  hooks: []\n{}", pre_commit_entry("")));
        assert_eq!(check("repos: []\n").as_deref(), Some("repos:\n  OURS\n"));
        assert_eq!(check("repos: [{repo: a}]\n"), None);
    }

    #[test]
    fn files_are_yaml_that_others_read() {
        for text in [github_workflow(), gitlab_job(), format!("repos:\n{}", pre_commit_entry("  "))] {
            let limits = strongroom_formats::document::Limits::default();
            let parsed = Document::parse(Syntax::Yaml, &text, &limits);
            assert!(parsed.is_ok(), "{text}");
        }
    }
}
