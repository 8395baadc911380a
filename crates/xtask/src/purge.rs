//! `cargo xtask purge`: histories rewritten by us and by git-filter-repo, with one file of replacements, compared commit by commit;
//! and how long that takes beside git-filter-repo and the BFG.
//!
//! git-filter-repo comes from the Python package index, the BFG from Maven Central where there is Maven.

mod bench;
mod compare;
mod odd;

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Args, Default)]
pub(crate) struct Options {
    /// A repository that is copied and purged. May be given more than once. [default: one with all the odd things]
    #[arg(long)]
    repository: Vec<PathBuf>,
    /// Our binary [default: a debug build, or a release build to measure].
    #[arg(long)]
    binary: Option<PathBuf>,
    /// What is replaced [default: words of the repository and an expression].
    #[arg(long, value_name = "FILE")]
    replace_text: Option<PathBuf>,
    /// Measure, beside git-filter-repo and the BFG.
    #[arg(long)]
    bench: bool,
    /// How often each program runs when it is measured.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Leave out the peers whose name is given: git-filter-repo, bfg.
    #[arg(long)]
    without: Vec<String>,
}

/// The programs that are there.
pub(super) struct Programs {
    ours: PathBuf,
    filter_repo: Option<PathBuf>,
    /// The BFG's archive for Java.
    bfg: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let home = tools::target().join("purge");
    std::fs::create_dir_all(&home)?;
    let programs = Programs::find(options, &home)?;
    if options.bench {
        return bench::run(&programs, options, &home);
    }
    let Some(filter_repo) = &programs.filter_repo else { return Ok(Outcome::skipped()) };
    let mut outcome = Outcome::default();
    if options.repository.is_empty() {
        let made = odd::make(&home.join("odd"))?;
        outcome += one(&programs.ours, filter_repo, &made, Some(odd::REPLACEMENTS), &home)?;
    }
    for repository in &options.repository {
        let given = options.replace_text.as_ref().map(std::fs::read_to_string).transpose()?;
        outcome += one(&programs.ours, filter_repo, repository, given.as_deref(), &home)?;
    }
    Ok(outcome)
}

impl Programs {
    fn find(options: &Options, home: &Path) -> Result<Self> {
        let profile = if options.bench { Profile::Release } else { Profile::Debug };
        let ours = match &options.binary {
            Some(binary) => binary.canonicalize()?,
            None => tools::build(profile)?,
        };
        let wanted = |name: &str| !options.without.iter().any(|without| without == name);
        let bfg = if options.bench && wanted("bfg") { bfg_from_maven(home)? } else { None };
        Ok(Self { ours, filter_repo: if wanted("git-filter-repo") { filter_repo(home) } else { None }, bfg })
    }
}

fn filter_repo(home: &Path) -> Option<PathBuf> {
    let list = tools::root().join("crates/xtask/purge-requirements.txt");
    match tools::python_environment(&home.join("python"), &list, &[]) {
        Ok(python) => Some(python.with_file_name("git-filter-repo")),
        Err(error) => {
            println!("skipped: git-filter-repo cannot be installed: {error:#}");
            None
        }
    }
}

fn bfg_from_maven(home: &Path) -> Result<Option<PathBuf>> {
    let archive = home.join("bfg.jar");
    if archive.is_file() {
        return Ok(Some(archive));
    }
    if !tools::installed("mvn") || !tools::installed("java") {
        println!("skipped: the BFG: there is no Maven, or no Java");
        return Ok(None);
    }
    let artifact = "com.madgag:bfg:1.14.0";
    tools::succeed_in_three(Command::new("mvn").args([
        "-q",
        "dependency:copy",
        "-Dmdep.stripVersion=true",
        &format!("-Dartifact={artifact}"),
        &format!("-DoutputDirectory={}", home.display()),
    ]))?;
    Ok(archive.is_file().then_some(archive))
}

/// Copies a repository twice, has it purged by both, and compares.
fn one(
    ours: &Path,
    filter_repo: &Path,
    repository: &Path,
    given: Option<&str>,
    home: &Path,
) -> Result<Outcome> {
    println!("{}", repository.display());
    let [original, by_us, by_them] = ["original", "ours", "theirs"].map(|name| home.join(name));
    for copy in [&original, &by_us, &by_them] {
        copy_repository(repository, copy)?;
    }
    let text = match given {
        Some(text) => text.to_owned(),
        None => words_of(&original)?,
    };
    let file = home.join("replacements.txt");
    std::fs::write(&file, &text)?;
    let mut purge = Command::new(ours);
    purge.arg("purge").arg(&by_us).arg("--replace-text").arg(&file);
    purge.args(["--skip-binary", "--keep-names", "--force", "--quiet", "--json"]);
    let output = purge.output().with_context(|| format!("starting {purge:?}"))?;
    if !matches!(output.status.code(), Some(0 | 7)) {
        bail!("strongroom purge: {}", String::from_utf8_lossy(&output.stderr));
    }
    let answer = serde_json::from_slice(&output.stdout).context("our answer is no JSON")?;
    let mut theirs = filter_repo_command(filter_repo, &by_them, &file);
    let done = theirs.output().with_context(|| format!("starting {theirs:?}"))?;
    if !done.status.success() {
        bail!("git-filter-repo: {}", String::from_utf8_lossy(&done.stderr));
    }
    let outcome = compare::compare(&original, &by_us, &by_them, &answer)?;
    for copy in [&original, &by_us, &by_them] {
        std::fs::remove_dir_all(copy)?;
    }
    Ok(outcome)
}

/// What we do too: nothing is pruned, messages are replaced in, texts keep their encoding, replacements are not made permanent.
pub(super) fn filter_repo_command(filter_repo: &Path, copy: &Path, file: &Path) -> Command {
    let mut command = Command::new(filter_repo);
    command.current_dir(copy).env("GIT_NO_REPLACE_OBJECTS", "1");
    command.arg("--replace-text").arg(file).arg("--replace-message").arg(file);
    command.args([
        "--force",
        "--preserve-commit-encoding",
        "--prune-empty",
        "never",
        "--prune-degenerate",
        "never",
    ]);
    command.args(["--replace-refs", "update-no-add", "--quiet"]);
    command
}

/// A bare copy with all references and objects of its own.
pub(super) fn copy_repository(from: &Path, to: &Path) -> Result<()> {
    let _ = std::fs::remove_dir_all(to);
    let from = from.canonicalize().with_context(|| from.display().to_string())?;
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--mirror", "--no-hardlinks"]).arg(from).arg(to);
    tools::succeed(&mut clone)?;
    // git-filter-repo takes away what came from a remote.
    tools::succeed(
        Command::new("git")
            .current_dir(to)
            .args(["remote", "remove", "origin"])
            .stderr(std::process::Stdio::null()),
    )
}

/// Words of the repository, so that something is found: one of the first commit's files, some of HEAD's, and an expression.
pub(super) fn words_of(repository: &Path) -> Result<String> {
    let mut words = std::collections::BTreeSet::new();
    let first = git(repository, &["rev-list", "--max-parents=0", "HEAD"])?;
    let first = first.lines().last().unwrap_or("HEAD").to_owned();
    for revision in [first.as_str(), "HEAD"] {
        let files = git(repository, &["ls-tree", "-r", "--name-only", revision])?;
        let files: Vec<&str> = files.lines().filter(|name| !name.contains('"')).collect();
        for part in 1..4 {
            let Some(file) = files.get(files.len() * part / 4) else { continue };
            let text =
                git(repository, &["cat-file", "blob", &format!("{revision}:{file}")]).unwrap_or_default();
            let of_letters = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.extend(
                of_letters
                    .filter(|word| (10..40).contains(&word.len()))
                    .max_by_key(|word| word.len())
                    .map(str::to_owned),
            );
        }
    }
    let lines: String = words.iter().map(|word| format!("{word}==>xxREMOVEDxx\n")).collect();
    Ok(lines + "regex:([Cc]opyright) \\(c\\) (\\d{4})==>\\1 \\2\n")
}

pub(super) fn git(repository: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.current_dir(repository).env("GIT_NO_REPLACE_OBJECTS", "1").args(arguments);
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
