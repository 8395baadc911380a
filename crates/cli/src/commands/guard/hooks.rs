//! Hooks of git and of husky. A hook that is there already is kept beside ours and run first; what was written once is not
//! written again.

use super::{Hook, git};
use crate::failure::Failure;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// By this line we know our own.
const MARK: &str = "# strongroom guard";
/// What a hook that was there before ours is called now.
pub(super) const BEFORE: &str = ".before-strongroom";

type Say<'a> = &'a dyn Fn(&str);

pub(super) fn install(hooks: &[Hook], say: Say<'_>) -> Result<(), Failure> {
    let folder = folder()?;
    fs::create_dir_all(&folder).map_err(|error| failed("make", &folder, &error))?;
    tell_of_shared_folder(&folder, say);
    for hook in hooks {
        let path = folder.join(hook.name());
        let text = script(*hook, &program(&folder));
        if is_ours(&path) {
            // The program may have moved.
            write_program(&path, &text)?;
            say(&format!("{} is ours already", path.display()));
            continue;
        }
        if path.symlink_metadata().is_ok() {
            let kept = before(&path);
            if kept.symlink_metadata().is_ok() {
                return Err(Failure::other(format!(
                    "{} and {} are both there",
                    path.display(),
                    kept.display()
                ))
                .hint("which of them is the hook from before? Remove the other, then install again"));
            }
            fs::rename(&path, &kept).map_err(|error| failed("move", &path, &error))?;
            say(&format!("{} is {} now, and runs first", path.display(), kept.display()));
        }
        write_program(&path, &text)?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

pub(super) fn uninstall(hooks: &[Hook], say: Say<'_>) -> Result<(), Failure> {
    let folder = folder()?;
    for hook in hooks {
        let path = folder.join(hook.name());
        if !is_ours(&path) {
            continue;
        }
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        let kept = before(&path);
        match kept.symlink_metadata() {
            Ok(_) => {
                fs::rename(&kept, &path).map_err(|error| failed("move", &kept, &error))?;
                say(&format!("{} is the one from before again", path.display()));
            }
            Err(_) => say(&format!("removed {}", path.display())),
        }
    }
    Ok(())
}

/// Where the hook stands that was there before ours.
pub(super) fn before(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(BEFORE);
    path.with_file_name(name)
}

/// `.git/hooks`, the one of the main repository in a worktree, or what core.hooksPath says.
pub(super) fn folder() -> Result<PathBuf, Failure> {
    Ok(PathBuf::from(git(&["rev-parse", "--git-path", "hooks"])?))
}

/// A folder that the user's or the system's configuration names is that of all repositories.
fn tell_of_shared_folder(folder: &Path, say: Say<'_>) {
    let local = git(&["config", "--local", "core.hooksPath"]).is_ok();
    if !local && git(&["config", "core.hooksPath"]).is_ok() {
        say(&format!("{} is the hooks' folder of all your repositories (core.hooksPath)", folder.display()));
    }
}

/// How the hook finds the program: by its whole path, but by its name in a folder that other machines get.
fn program(folder: &Path) -> String {
    let tracked = git(&["rev-parse", "--absolute-git-dir"]).is_ok_and(|git_folder| {
        let common = git(&["rev-parse", "--git-common-dir"]).unwrap_or_default();
        let inside = |parent: &str| {
            let parent = Path::new(parent).canonicalize().unwrap_or_default();
            folder.canonicalize().is_ok_and(|folder| folder.starts_with(parent))
        };
        !inside(&git_folder) && !inside(&common)
    });
    match std::env::current_exe() {
        Ok(path) if !tracked => path.display().to_string(),
        _ => "strongroom".to_owned(),
    }
}

fn script(hook: Hook, program: &str) -> String {
    let quoted = shell_word(program);
    let name = hook.name();
    format!(
        "#!/bin/sh\n\
         {MARK}: looks for secrets. `strongroom guard uninstall` takes this away.\n\
         strongroom={quoted}\n\
         command -v \"$strongroom\" >/dev/null 2>&1 || strongroom=strongroom\n\
         if ! command -v \"$strongroom\" >/dev/null 2>&1; then\n\
         \techo 'strongroom is not installed here: nothing looked for secrets ({name})' >&2\n\
         \texit 1\n\
         fi\n\
         exec \"$strongroom\" guard run {name} \"$@\"\n"
    )
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn is_ours(path: &Path) -> bool {
    fs::read(path).is_ok_and(|text| memchr::memmem::find(&text, MARK.as_bytes()).is_some())
}

fn write_program(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| failed("write", path, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::other(format!("cannot {what} {}: {error}", path.display()))
}

/// Whether git's hooks are those that husky makes (from version 9 on), which run the files beside their folder.
pub(super) fn are_of_husky() -> Result<bool, Failure> {
    Ok(folder()?.ends_with(".husky/_"))
}

/// husky's hooks are files of commands, tracked, run by `sh -e`.
pub(super) fn install_husky(top: &Path, hooks: &[Hook], say: Say<'_>) -> Result<(), Failure> {
    let folder = top.join(".husky");
    if !folder.is_dir() {
        return Err(Failure::missing(format!("there is no {}", folder.display()))
            .hint("`npx husky init` sets husky up; without it leave --husky away"));
    }
    for hook in hooks {
        let path = folder.join(hook.name());
        let old = fs::read_to_string(&path).unwrap_or_default();
        if old.contains(MARK) {
            say(&format!("{} has our line already", path.display()));
            continue;
        }
        let gap = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
        write_program(&path, &format!("{old}{gap}{}", husky_line(*hook)))?;
        say(&format!("{} looks for secrets: commit it", path.display()));
    }
    Ok(())
}

pub(super) fn uninstall_husky(top: &Path, hooks: &[Hook], say: Say<'_>) -> Result<(), Failure> {
    for hook in hooks {
        let path = top.join(".husky").join(hook.name());
        let old = fs::read_to_string(&path).unwrap_or_default();
        if !old.contains(MARK) {
            continue;
        }
        let new = old.replace(&husky_line(*hook), "");
        let done = if new.is_empty() { fs::remove_file(&path) } else { fs::write(&path, new) };
        done.map_err(|error| failed("change", &path, &error))?;
        say(&format!("{} is as before", path.display()));
    }
    Ok(())
}

fn husky_line(hook: Hook) -> String {
    let name = hook.name();
    format!("strongroom guard run {name} \"$@\" {MARK}\n")
}
