//! The persona `git-secrets`, which git finds as `git secrets`: patterns in git's configuration, hooks, and scans of files,
//! the index and the history. What its hooks and its configuration hold is read and written as git-secrets does.
//!
//! Patterns of providers are credentials themselves: they are tried within this process and never stand on a command line.

mod arguments;
mod patterns;
mod repository;
mod search;

use super::Program;
use crate::environment::Environment;
use arguments::{Line, USAGE, Verb};
use patterns::{Allowed, Patterns};
use repository::{Listing, Repository, Scope};
use search::Found;
use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) const PROGRAM: Program = Program { name: "git-secrets", run };

/// Standard input and files may be this large; git-secrets' users scan sources.
const INPUT_BYTES_MAX: u64 = 256 << 20;

const MITIGATIONS: &str = "
[ERROR] Matched one or more prohibited patterns

Possible mitigations:
- Mark false positives as allowed using: git config --add secrets.allowed ...
- Mark false positives as allowed by adding regular expressions to .gitallowed at repository's root directory
- List your configured patterns: git config --get-all secrets.patterns
- List your configured allowed patterns: git config --get-all secrets.allowed
- List your configured allowed patterns in .gitallowed at repository's root directory
- Use --no-verify if this is a one-time false positive
";

/// What ends a run early: a message, and the code.
struct Ended(u8, String);

impl Ended {
    fn fatal(message: impl std::fmt::Display) -> Self {
        Self(1, format!("{message}\n"))
    }
}

fn run(words: &[OsString], environment: &Environment) -> ExitCode {
    let line = match arguments::parse(words) {
        Ok(line) => line,
        Err(complaint) => return end(&complaint),
    };
    match perform(&line, environment) {
        Ok(code) => ExitCode::from(code),
        Err(ended) => end(&ended),
    }
}

fn end(ended: &Ended) -> ExitCode {
    // Nobody is left to tell where this fails.
    let _ = std::io::stderr().write_all(ended.1.as_bytes());
    ExitCode::from(ended.0)
}

fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn perform(line: &Line, environment: &Environment) -> Result<u8, Ended> {
    let repository = Repository::here();
    let first = || line.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    match line.verb {
        Verb::Help => {
            print(USAGE);
            Ok(0)
        }
        Verb::Scan => scan(line, &repository),
        Verb::ScanHistory => {
            let patterns = Patterns::load(&repository)?;
            report(&repository, search::history(&repository, &patterns)?)
        }
        Verb::List => repository.list(line.global),
        Verb::Add => {
            let key = if line.allowed { "secrets.allowed" } else { "secrets.patterns" };
            let value = if line.literal { patterns::literal(&first()) } else { first() };
            Ok(u8::from(!repository.add(line.global, key, &value)?))
        }
        Verb::AddProvider => {
            let words: Vec<_> = line.words.iter().map(|word| word.to_string_lossy()).collect();
            Ok(u8::from(!repository.add(line.global, "secrets.providers", &words.join(" "))?))
        }
        Verb::RegisterAws => register_aws(line, &repository),
        Verb::AwsProvider => {
            let file = line.words.first().map(PathBuf::from);
            let file = file.or_else(|| environment.home().map(|home| home.join(".aws/credentials")));
            print(&file.map(|file| patterns::of_aws_file(&file)).unwrap_or_default());
            Ok(0)
        }
        Verb::Install => install(line, &repository),
        Verb::CommitMessageHook => {
            scan_files(&repository, &line.words.iter().take(1).cloned().collect::<Vec<_>>())
        }
        Verb::PreCommitHook => pre_commit(&repository),
        Verb::PrepareCommitMessageHook => prepare_commit_message(line, &repository, environment),
    }
}

fn scan(line: &Line, repository: &Repository) -> Result<u8, Ended> {
    let scope = match (line.no_index, line.untracked, line.cached) {
        (true, _, _) => Some(Scope::NoIndex),
        (_, true, _) => Some(Scope::Untracked),
        (_, _, true) => Some(Scope::Cached),
        _ if line.words.is_empty() => Some(Scope::Tracked),
        _ => None,
    };
    let patterns = Patterns::load(repository)?;
    let Some(scope) = scope else {
        let folders = if line.recursive { Listing::Deep } else { Listing::Flat };
        return report(repository, search::paths(&line.words, folders, &patterns)?);
    };
    report(repository, search::listed(repository, scope, &line.words, &patterns)?)
}

fn scan_files(repository: &Repository, files: &[OsString]) -> Result<u8, Ended> {
    let patterns = Patterns::load(repository)?;
    report(repository, search::paths(files, Listing::Flat, &patterns)?)
}

/// What is about to be committed, as it stands in the index.
fn pre_commit(repository: &Repository) -> Result<u8, Ended> {
    let files = repository.staged()?;
    if files.is_empty() {
        return Ok(0);
    }
    let patterns = Patterns::load(repository)?;
    report(repository, search::listed(repository, Scope::Cached, &files, &patterns)?)
}

/// What a merge brings along.
fn prepare_commit_message(
    line: &Line,
    repository: &Repository,
    environment: &Environment,
) -> Result<u8, Ended> {
    let word = |index: usize| line.words.get(index).map(|word| word.as_bytes()).unwrap_or_default();
    if word(1) != b"merge" || !word(2).is_empty() {
        return Ok(0);
    }
    // git says in the environment what is merged: GITHEAD_<object>=<name>.
    let merged = environment.names().find_map(|name| name.strip_prefix("GITHEAD_"));
    let Some(head) = merged else { return Ok(0) };
    let patch = repository.patch_of_merge(head)?;
    let patterns = Patterns::load(repository)?;
    report(repository, search::text("(standard input)", &patch, &patterns))
}

/// Prints what is not allowed, and answers with the exit code.
fn report(repository: &Repository, found: Found) -> Result<u8, Ended> {
    let allowed = Allowed::load(repository)?;
    let lines: Vec<_> = found.lines.iter().filter(|line| !allowed.admits(line)).collect();
    if lines.is_empty() {
        return Ok(0);
    }
    let mut stderr = std::io::stderr().lock();
    for line in lines {
        let _ = stderr.write_all(line).and_then(|()| stderr.write_all(b"\n"));
    }
    let _ = stderr.write_all(MITIGATIONS.as_bytes());
    Ok(1)
}

fn register_aws(line: &Line, repository: &Repository) -> Result<u8, Ended> {
    let mut added = true;
    for (key, value) in patterns::AWS {
        added = repository.add(line.global, key, value)?;
    }
    if added {
        print("OK\n");
    }
    Ok(u8::from(!added))
}

const HOOKS: [(&str, &str); 3] = [
    ("commit-msg", "commit_msg_hook"),
    ("pre-commit", "pre_commit_hook"),
    ("prepare-commit-msg", "prepare_commit_msg_hook"),
];

fn install(line: &Line, repository: &Repository) -> Result<u8, Ended> {
    let target = match line.words.first().filter(|word| !word.is_empty()) {
        None => repository.git_folder()?,
        Some(word) => {
            let folder = PathBuf::from(word);
            if folder.join(".git").is_dir() { folder.join(".git") } else { folder }
        }
    };
    let hooks = target.join("hooks");
    std::fs::create_dir_all(&hooks).map_err(|error| {
        Ended::fatal(format_args!("Could not create dir: {} ({error})", target.display()))
    })?;
    for (hook, verb) in HOOKS {
        install_hook(&target, hook, verb, line.force)?;
    }
    Ok(0)
}

fn install_hook(target: &Path, hook: &str, verb: &str, force: bool) -> Result<(), Ended> {
    // Debian has a folder of hooks instead of one: both are in use.
    let folder = target.join("hooks").join(format!("{hook}.d"));
    let path = if folder.is_dir() { folder.join("git-secrets") } else { target.join("hooks").join(hook) };
    if path.is_file() && !force {
        return Err(Ended::fatal(format_args!("{} already exists. Use -f to force", path.display())));
    }
    let text = format!("#!/usr/bin/env bash\ngit secrets --{verb} -- \"$@\"\n");
    let written = std::fs::write(&path, text)
        .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)));
    written.map_err(|error| Ended::fatal(format_args!("{}: {error}", path.display())))?;
    let tick = if std::io::stdout().is_terminal() { "\u{1b}[32m\u{2713}\u{1b}(B\u{1b}[m " } else { "" };
    print(&format!("{tick}Installed {hook} hook to {}\n", path.display()));
    Ok(())
}

/// A file, or standard input under the name `-`; what is larger than the bound is said and left out.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path)?;
        if file.metadata()?.len() > INPUT_BYTES_MAX {
            return Err(std::io::Error::other(format!("it has more than {INPUT_BYTES_MAX} bytes")));
        }
        file.take(INPUT_BYTES_MAX).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
