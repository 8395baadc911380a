//! Running other programs.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Cargo's target folder; CARGO_TARGET_DIR moves it.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Which build of our binary to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Our code unoptimised, what it depends on optimised.
    Debug,
    Release,
}

static TESTS_ARE_BUILT: AtomicBool = AtomicBool::new(false);

/// From here on debug builds are those of `cargo test --workspace`, which are there already. Built for one package alone,
/// some libraries would have fewer features, and all that stands on them would be built a second time.
pub(crate) fn tests_are_built() {
    TESTS_ARE_BUILT.store(true, Ordering::Relaxed);
}

/// Builds our binary and answers where it is.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    match profile {
        Profile::Debug => build_debug(&["--package", "strongroom"])?,
        Profile::Release => cargo_build(&["--package", "strongroom", "--release"])?,
    }
    let folder = if profile == Profile::Debug { "debug" } else { "release" };
    Ok(target().join(folder).join("strongroom"))
}

/// Builds what the words of cargo choose.
pub(crate) fn build_debug(choice: &[&str]) -> Result<()> {
    if TESTS_ARE_BUILT.load(Ordering::Relaxed) {
        return cargo_build(&["--workspace", "--bins", "--tests", "--examples"]);
    }
    cargo_build(choice)
}

fn cargo_build(choice: &[&str]) -> Result<()> {
    succeed(Command::new("cargo").args(["build", "--quiet"]).args(choice).current_dir(root()))
}

/// Runs a program with our standard streams; anything but success is an error.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

/// Runs a program that talks to a package registry, which may fail for a moment: up to three times.
pub(crate) fn succeed_in_three(command: &mut Command) -> Result<()> {
    for pause_seconds in [5, 20] {
        match succeed(command) {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("{error:#}; trying again in {pause_seconds} s"),
        }
        std::thread::sleep(Duration::from_secs(pause_seconds));
    }
    succeed(command)
}

/// Whether a program is in PATH.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Installs programs that are missing, where this is Debian and we may. What cannot be installed is left for the caller to
/// notice.
pub(crate) fn install_from_debian(programs: &[&str]) {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !installed(program)).collect();
    if missing.is_empty() || !installed("apt-get") {
        return;
    }
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&missing);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    if let Err(error) = succeed(&mut apt) {
        println!("cannot install {}: {error:#}", missing.join(", "));
    }
}

/// PATH with `folder` in front.
pub(crate) fn path_with(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path)))?)
}

/// Makes a folder for PATH in which our binary has another tool's name.
pub(crate) fn link_as(bin: &Path, name: &str, binary: &Path) -> Result<()> {
    std::fs::create_dir_all(bin)?;
    let link = bin.join(name);
    let _ = std::fs::remove_file(&link);
    let binary = binary.canonicalize().with_context(|| binary.display().to_string())?;
    Ok(std::os::unix::fs::symlink(binary, link)?)
}

/// Makes a Python environment in `folder` with what a requirements file lists, unless it was made from the same
/// list before. Answers the path of its `python`.
pub(crate) fn python_environment(folder: &Path, requirements: &Path, more: &[&str]) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let mut wanted =
        std::fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    wanted.push_str(&more.join("\n"));
    let made_from = folder.join("made-from.txt");
    if std::fs::read_to_string(&made_from).is_ok_and(|made_from| made_from == wanted) {
        return Ok(python);
    }
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries",
        "5",
        "--requirement",
    ]);
    succeed_in_three(pip.arg(requirements).args(more.iter().map(OsStr::new)))?;
    std::fs::write(&made_from, wanted)?;
    Ok(python)
}
