//! The persona `bfg`: the BFG Repo-Cleaner's flags, over `purge`.
//!
//! As with the BFG, files of HEAD stay as they are unless `--no-blob-protection` is given, and that is told; binary files and
//! those of more than `-fs` bytes keep their content; files that go by size or id leave `NAME.REMOVED.git-id` behind; the
//! repository is not packed anew. What differs on purpose: messages, tags, notes, the stash and worktrees are rewritten as
//! well, and what cannot be done is an error.

use super::Program;
use crate::commands::purge::{bytes, ids, input, name_of_run, perform, print, unreadable};
use crate::environment::Environment;
use crate::failure::Failure;
use clap::Parser;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_scan::purge::{self, BinaryFiles, Force, GlobKind, Lines, Options, Plan, Report, Trace};

pub(super) const PROGRAM: Program = Program { name: "bfg", run };

#[derive(Parser)]
#[command(name = "bfg", version = "1.14.0 (strongroom)", disable_version_flag = true, max_term_width = 100)]
struct Line {
    /// The repository; a bare one mostly [default: .]
    repository: Option<PathBuf>,
    /// Files of more bytes go: 128K, 1M
    #[arg(short = 'b', long, value_name = "SIZE")]
    strip_blobs_bigger_than: Option<String>,
    /// The so many largest blobs go
    #[arg(short = 'B', long, value_name = "NUM")]
    strip_biggest_blobs: Option<usize>,
    /// Blobs with these ids go
    #[arg(long, alias = "bi", value_name = "FILE")]
    strip_blobs_with_ids: Option<PathBuf>,
    /// Files of such a name go: *.class, *.{txt,log}
    #[arg(short = 'D', long, value_name = "GLOB")]
    delete_files: Option<String>,
    /// Folders of such a name go: .svn, *-tmp
    #[arg(long, value_name = "GLOB")]
    delete_folders: Option<String>,
    /// Values and expressions that are replaced, one a line
    #[arg(long, visible_alias = "rt", value_name = "FILE")]
    replace_text: Option<PathBuf>,
    /// Replace only in files of such a name
    #[arg(long, visible_alias = "fi", value_name = "GLOB")]
    filter_content_including: Vec<String>,
    /// Do not replace in files of such a name
    #[arg(long, visible_alias = "fe", value_name = "GLOB")]
    filter_content_excluding: Vec<String>,
    /// Replace only in files of at most so many bytes
    #[arg(long, visible_alias = "fs", value_name = "SIZE", default_value = "1048576")]
    filter_content_size_threshold: String,
    /// Files of these revisions stay as they are
    #[arg(short = 'p', long, value_name = "REFS", value_delimiter = ',', default_value = "HEAD")]
    protect_blobs_from: Vec<String>,
    /// Files of HEAD are changed as well
    #[arg(long)]
    no_blob_protection: bool,
    /// Old ids never get into messages here: accepted, and has no effect
    #[arg(long)]
    private: bool,
    /// Commits and trees of any size are read: accepted, and has no effect
    #[arg(long, value_name = "SIZE")]
    massive_non_file_objects_sized_up_to: Option<String>,
    /// Print the version
    #[arg(long)]
    version: bool,
}

fn run(words: &[OsString], _environment: &Environment) -> ExitCode {
    let words = std::iter::once(OsString::from("bfg")).chain(words.iter().map(long_form));
    let line = match Line::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 1 } else { 0 });
        }
    };
    match carry_out(&line) {
        Ok(text) => {
            let mut stdout = std::io::stdout();
            let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = std::io::stderr().write_all(failure.native_text().as_bytes());
            ExitCode::from(1)
        }
    }
}

/// The BFG's short flags have two letters: `-fi`, `-rt`.
fn long_form(word: &OsString) -> OsString {
    let text = word.to_string_lossy();
    let (flag, rest) = text.split_once('=').map_or((text.as_ref(), None), |(flag, rest)| (flag, Some(rest)));
    match flag {
        "-fi" | "-fe" | "-fs" | "-rt" | "-bi" => match rest {
            Some(rest) => OsString::from(format!("-{flag}={rest}")),
            None => OsString::from(format!("-{flag}")),
        },
        _ => word.clone(),
    }
}

fn carry_out(line: &Line) -> Result<String, Failure> {
    if line.version {
        return Ok("bfg 1.14.0 (strongroom)\n".to_owned());
    }
    let path = line.repository.as_deref().unwrap_or(Path::new("."));
    let plan = plan(line, path)?;
    if plan.replacements.is_empty() && plan.removals.is_empty() {
        return Err(
            Failure::usage("nothing was named that is to be taken out").hint("bfg --help lists what can be")
        );
    }
    let options = Options {
        dry_run: false,
        // The BFG asks nothing.
        force: Force::Yes,
        threads: crate::commands::scan::sources::threads(),
        name: name_of_run(),
        backup: true,
        clean: false,
    };
    let report = perform(path, &plan, &options, true)?;
    Ok(text(&report, &options, line))
}

fn plan(line: &Line, path: &Path) -> Result<Plan, Failure> {
    let mut plan = Plan { names: false, messages: true, ..Plan::default() };
    if let Some(file) = &line.replace_text {
        let text = input(file)?;
        purge::read_replacements(
            text.expose(),
            &file.display().to_string(),
            Lines::Each,
            &mut plan.replacements,
        )
        .map_err(|errors| unreadable(file, &errors))?;
        plan.replacements.prepare();
    }
    let odd = |text: &str, what: String| Failure::usage(format!("{text:?}: {what}"));
    if let Some(glob) = &line.delete_files {
        plan.removals.add_files(glob).map_err(|what| odd(glob, what))?;
    }
    if let Some(glob) = &line.delete_folders {
        plan.removals.add_folders(glob).map_err(|what| odd(glob, what))?;
    }
    if let Some(size) = &line.strip_blobs_bigger_than {
        plan.removals.larger_than = Some(bytes(size)?);
    }
    if let Some(count) = line.strip_biggest_blobs {
        plan.removals
            .blobs
            .extend(purge::biggest_blobs(path, count).map_err(crate::commands::purge::failure)?);
    }
    if let Some(file) = &line.strip_blobs_with_ids {
        plan.removals.blobs.extend(ids(file)?);
    }
    plan.removals.trace = Trace::File;
    let globs = [
        (&line.filter_content_including, GlobKind::Including),
        (&line.filter_content_excluding, GlobKind::Excluding),
    ];
    for (globs, kind) in globs {
        for glob in globs {
            plan.content.add_glob(glob, kind).map_err(|what| odd(glob, what))?;
        }
    }
    plan.content.bytes_max = Some(bytes(&line.filter_content_size_threshold)?);
    plan.content.binaries = BinaryFiles::LeftAlone;
    if !line.no_blob_protection {
        plan.protected.clone_from(&line.protect_blobs_from);
    }
    Ok(plan)
}

fn text(report: &Report, options: &Options, line: &Line) -> String {
    let mut text = String::new();
    if line.no_blob_protection {
        text.push_str("Files of HEAD are changed as well (--no-blob-protection).\n");
    } else {
        let revisions = line.protect_blobs_from.join(", ");
        text.push_str(&format!("Protected: files of {revisions} stay as they are, whatever is in them.\n"));
    }
    text.push_str(&print::text(report, options));
    if !report.changes_nothing() {
        text.push_str(
            "The old objects are still there: git reflog expire --expire=now --all && git gc --prune=now\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_two_letters() {
        let words = [
            "bfg",
            "-fi",
            "*.env",
            "-fs=2M",
            "-rt",
            "file",
            "-D",
            "*.pem",
            "-p",
            "main,v1",
            "--no-blob-protection",
            "x.git",
        ];
        let words = words.iter().map(OsString::from).map(|word| long_form(&word));
        let line = Line::try_parse_from(words).unwrap();
        assert_eq!(line.filter_content_including, ["*.env"]);
        assert_eq!(
            (line.filter_content_size_threshold.as_str(), line.delete_files.as_deref()),
            ("2M", Some("*.pem"))
        );
        assert_eq!(
            (line.replace_text, line.repository),
            (Some(PathBuf::from("file")), Some(PathBuf::from("x.git")))
        );
        assert_eq!(line.protect_blobs_from, ["main", "v1"]);
    }
}
