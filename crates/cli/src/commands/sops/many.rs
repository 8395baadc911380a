//! Many files and folders at once: each with its own result, all errors together.

use super::arguments::TargetArgs;
use super::session::{Session, Voice};
use crate::failure::Failure;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use strongroom_formats::sops::{FILE_BYTES_MAX, Format};
use strongroom_project::at_once;
use strongroom_project::files;

/// Which files of a folder are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Those that are encrypted.
    Encrypted,
    /// Those for which there is a rule, and which are not encrypted yet.
    ToEncrypt,
}

const FOLDERS_MAX: usize = 64;

/// Does something to every file, several at once; files that fail do not keep others from being done.
pub fn each(
    session: &Session,
    paths: &[PathBuf],
    target: &TargetArgs,
    pick: Pick,
    work: impl Fn(&Path) -> Result<(), Failure> + Sync,
) -> Result<ExitCode, Failure> {
    let paths = if session.voice == Voice::Sops && paths.len() > 1 {
        session.note("More than one positional argument provided. Only the first one will be used!");
        paths.get(..1).unwrap_or_default()
    } else {
        paths
    };
    if let [only] = paths
        && !only.is_dir()
    {
        work(only).map_err(|failure| session.of_file(only, failure))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !target.in_place {
        return Err(Failure::usage(
            "several files cannot be written to one output: --in-place replaces each",
        ));
    }
    all(session, &expand(session, paths, pick)?, work)
}

/// As `each`, for verbs that always write in place.
pub fn all(
    session: &Session,
    paths: &[PathBuf],
    work: impl Fn(&Path) -> Result<(), Failure> + Sync,
) -> Result<ExitCode, Failure> {
    if let [only] = paths {
        work(only).map_err(|failure| session.of_file(only, failure))?;
        return Ok(ExitCode::SUCCESS);
    }
    let shows = std::io::stderr().is_terminal() && paths.len() > 1;
    let done = AtomicUsize::new(0);
    let total = paths.len();
    let results = at_once(paths, session.globals.parallel.clamp(1, 64), |path| {
        let result = work(path);
        let number = done.fetch_add(1, Ordering::Relaxed) + 1;
        if shows {
            let _ = write!(std::io::stderr(), "\r{number} of {total} files");
        }
        result
    });
    if shows {
        let _ = writeln!(std::io::stderr());
    }
    let mut failed = paths.iter().zip(results).filter_map(|(path, result)| Some((path, result.err()?)));
    let Some((path, first)) = failed.next() else { return Ok(ExitCode::SUCCESS) };
    let mut texts =
        vec![format!("{}: {}", path.display(), first.native_text().trim_start_matches("error: ").trim_end())];
    texts.extend(failed.map(|(path, failure)| {
        format!("{}: {}", path.display(), failure.native_text().trim_start_matches("error: ").trim_end())
    }));
    let count = texts.len();
    Err(first.instead(format!("{count} of {total} files failed\n{}", texts.join("\n"))))
}

/// Files as they are, folders as the files in them that are meant.
pub fn expand(session: &Session, paths: &[PathBuf], pick: Pick) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            walk(session, path, pick, 0, &mut files)?;
            if files.len() == before {
                session.note(&format!("{}: nothing to do in there", path.display()));
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn walk(
    session: &Session,
    folder: &Path,
    pick: Pick,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    if depth > FOLDERS_MAX {
        return Err(Failure::other(format!("{}: folders are nested too deep", folder.display())));
    }
    let failed =
        |error: std::io::Error| Failure::other(format!("reading the folder {}: {error}", folder.display()));
    let mut entries =
        std::fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        // Links are not followed: a folder is what lies in it.
        if kind.is_dir() && entry.file_name() != ".git" {
            walk(session, &path, pick, depth + 1, files)?;
        } else if kind.is_file() && is_meant(session, &path, pick) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_meant(session: &Session, path: &Path, pick: Pick) -> bool {
    if path.file_name().is_some_and(|name| name == ".sops.yaml") {
        return false;
    }
    match pick {
        Pick::Encrypted => looks_encrypted(path),
        Pick::ToEncrypt => {
            let rule = session.config_for(path).ok().flatten();
            let path_has_rule = rule.is_some_and(|config| {
                matches!(config.creation_rule(&session.absolute(path)), Ok(Some(rule)) if rule.has_path())
            });
            path_has_rule && !looks_encrypted(path)
        }
    }
}

/// A cheap look: whether it is really encrypted is found when it is read.
fn looks_encrypted(path: &Path) -> bool {
    let Ok(bytes) = files::read(path, FILE_BYTES_MAX as u64) else { return false };
    let Ok(text) = std::str::from_utf8(bytes.expose()) else { return false };
    let mark = match Format::of_path(path) {
        Format::Env => "sops_mac",
        Format::Ini | Format::Toml => "[sops",
        _ => "sops",
    };
    text.contains(mark) && (text.contains("ENC[AES256_GCM,") || text.contains("lastmodified"))
}
