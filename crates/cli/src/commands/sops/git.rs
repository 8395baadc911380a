//! Encrypted files in git: merged by their values, compared in clear.

use super::arguments::GitCommand;
use super::session::Session;
use crate::failure::{Failure, Kind};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use strongroom_formats::sops::{Encrypted, Verification};
use strongroom_project::sops::{self, Merged, merge as merge_files};
use strongroom_secret::SecretBytes;

pub fn run(session: &Session, command: &GitCommand) -> Result<ExitCode, Failure> {
    match command {
        GitCommand::Install { patterns } => install(session, patterns),
        GitCommand::Merge { base, ours, theirs, name } => merge(session, [base, ours, theirs], name),
        GitCommand::Textconv { file } => textconv(session, file),
    }
}

/// Settings of the repository, and lines in its .gitattributes.
fn install(session: &Session, patterns: &[String]) -> Result<ExitCode, Failure> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let program =
        std::env::current_exe().map_err(|error| Failure::other(format!("where is this program? {error}")))?;
    let program = quoted(&program.display().to_string());
    git(&["config", "merge.sops.name", "values of SOPS files"])?;
    git(&["config", "merge.sops.driver", &format!("{program} sops git merge %O %A %B %P")])?;
    git(&["config", "diff.sops.textconv", &format!("{program} sops git textconv")])?;
    // What is decrypted must not lie in git's cache.
    git(&["config", "diff.sops.cachetextconv", "false"])?;
    let file = PathBuf::from(top.trim()).join(".gitattributes");
    let old = fs::read_to_string(&file).unwrap_or_default();
    let mut new = old.clone();
    for pattern in patterns {
        let line = format!("{pattern} merge=sops diff=sops");
        if !old.lines().any(|known| known == line) {
            if !new.is_empty() && !new.ends_with('\n') {
                new.push('\n');
            }
            new.push_str(&line);
            new.push('\n');
        }
    }
    if new != old {
        let bytes = SecretBytes::new(new.into_bytes());
        session.replace(&file, None, &bytes)?;
        session.note(&format!(
            "{} names the files: commit it; the settings are this clone's alone",
            file.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// A word for the shell that git hands the driver to.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn git(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .map_err(|error| Failure::other(format!("git: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::other(format!(
        "git {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

/// Puts both sides' changes into `ours`. Code 1 tells git that there were conflicts: the file is whole and holds our values,
/// and what the others have is said.
fn merge(session: &Session, versions: [&PathBuf; 3], name: &Path) -> Result<ExitCode, Failure> {
    let format = session.input_format(None, name)?;
    let read = |path: &PathBuf| -> Result<SecretBytes, Failure> { session.read(path) };
    let [base, ours, theirs] = versions.map(read);
    let (base, ours_bytes, theirs) = (base?, ours?, theirs?);
    if base.expose().is_empty()
        || [&base, &ours_bytes, &theirs].iter().any(|bytes| !is_encrypted(format, bytes))
    {
        return Err(Failure::new(
            Kind::Other,
            format!("{}: one of the versions is not encrypted: merge it by hand", name.display()),
        ));
    }
    // Restricted values are merged as they are: what is closed here stays closed there.
    let open = |bytes: &SecretBytes| {
        sops::open_as_it_is(format, bytes.expose(), session.keys()?, Verification::Required)
            .map_err(|error| session.failure(error))
    };
    let Merged { bytes, conflicts } =
        merge_files(open(&base)?, open(&ours_bytes)?, open(&theirs)?, session.keys()?, session.seal())
            .map_err(|error| session.failure(error))?;
    let [_, path, _] = versions;
    fs::write(path, bytes.expose())
        .map_err(|error| Failure::other(format!("writing {}: {error}", path.display())))?;
    if conflicts.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for place in &conflicts {
        session.note(&format!("conflict in {}: {place}; ours is kept", name.display()));
    }
    session.note("to take another value: strongroom sops set --value-stdin FILE PATH; then git add FILE");
    Ok(ExitCode::from(1))
}

fn is_encrypted(format: strongroom_formats::sops::Format, bytes: &SecretBytes) -> bool {
    Encrypted::read(format, bytes.expose()).is_ok()
}

/// The file in clear; as it is if it is not encrypted or cannot be decrypted, so that `git log -p` always works.
fn textconv(session: &Session, file: &Path) -> Result<ExitCode, Failure> {
    let bytes = session.read(file)?;
    // git hands over a copy whose name ends as the file's does.
    let format = session.input_format(None, file)?;
    let opened = sops::open(format, bytes.expose(), session.keys()?, Verification::Ignored);
    let plain = opened.ok().and_then(|opened| opened.write_plain().ok()).unwrap_or(bytes);
    let _ = std::io::stdout().flush();
    session.print(&plain)?;
    Ok(ExitCode::SUCCESS)
}
