//! Commands with a file's values: as variables, or as a file that is gone with the command.

use super::arguments::{ExecEnvArgs, ExecFileArgs};
use super::crypt::in_clear;
use super::edit::Room;
use super::restrict;
use super::session::{Session, Voice};
use crate::environment::WITHHELD;
use crate::failure::Failure;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use strongroom_formats::sops::{Item, Tree, is_restricted};
use strongroom_project::sops;
use strongroom_secret::SecretString;

/// Variables that open SOPS files: a command of ours does not pass them on.
const OPENS_FILES: [&str; 5] = [
    "SOPS_AGE_KEY",
    "SOPS_AGE_KEY_FILE",
    "SOPS_AGE_KEY_CMD",
    "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
    "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
];

pub fn with_variables(session: &Session, args: &ExecEnvArgs) -> Result<ExitCode, Failure> {
    let bytes = session.read(&args.file)?;
    let format = session.input_format(args.input_type.as_deref(), &args.file)?;
    let opened = sops::open(format, bytes.expose(), session.keys()?, session.verification(args.ignore_mac))
        .map_err(|error| session.failure(error))?;
    restrict::tell_closed(session, &args.file, &opened, &[]);
    let variables = variables_of(opened.tree())?;
    let mut command = shell(session, &args.command);
    if args.pristine {
        command.env_clear();
    }
    if let Some(user) = &args.user {
        User::find(user)?.take_on(&mut command);
    }
    command.envs(variables.iter().map(|(name, value)| (name, value.expose())));
    if args.same_process {
        let error = command.exec();
        return Err(Failure::other(format!("cannot run /bin/sh: {error}")));
    }
    run(command, args.background)
}

/// The values of the first document, each a variable.
fn variables_of(tree: &Tree) -> Result<Vec<(String, SecretString)>, Failure> {
    let mut variables = Vec::new();
    for item in tree.documents.first().into_iter().flatten() {
        let Item::Entry { key, node } = item else { continue };
        if node.as_text().is_some_and(is_restricted) {
            continue;
        }
        if node.is_branch() {
            return Err(Failure::other(format!(
                "cannot use complex value in environment; offending key {key}"
            )));
        }
        if key.contains('=') {
            return Err(Failure::other(format!("cannot use keys with '=' in environment: {key}")));
        }
        let text = match node {
            strongroom_formats::sops::Node::Leaf(value) => value
                .plain_text()
                .ok_or_else(|| {
                    Failure::other(format!("the value of {key} is not text, which variables are"))
                })?
                .into_owned(),
            _ => String::new(),
        };
        if text.contains('\0') || key.contains('\0') {
            return Err(Failure::other(format!("{key:?} holds a NUL character, which no variable can")));
        }
        variables.push((key.clone(), SecretString::new(text)));
    }
    Ok(variables)
}

pub fn with_file(session: &Session, args: &ExecFileArgs) -> Result<ExitCode, Failure> {
    let bytes = session.read(&args.file)?;
    let (input, output) = session.formats(&args.formats, &args.file)?;
    let opened = sops::open(input, bytes.expose(), session.keys()?, session.verification(args.ignore_mac))
        .map_err(|error| session.failure(error))?;
    restrict::tell_closed(session, &args.file, &opened, &[]);
    let plain = in_clear(session, opened, output)?;
    let name = args.filename.clone().unwrap_or_else(|| PathBuf::from("tmp-file"));
    if !matches!(name.components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)]) {
        return Err(Failure::usage("The provided filename is not a local path."));
    }
    let user = args.user.as_deref().map(User::find).transpose()?;
    let variables = &session.surroundings.variables;
    let failed =
        |error: std::io::Error| Failure::other(format!("cannot make the file for the command: {error}"));
    if args.no_fifo {
        let room = Room::new(variables, &name, &plain)?;
        if let Some(user) = &user {
            user.own(&room.file)?;
            user.own(room.file.parent().unwrap_or(&room.file))?;
        }
        return run(with_path(session, args, &room.file, user.as_ref()), args.background);
    }
    let folder = Room::folder(variables).map_err(failed)?;
    let pipe = folder.path().join(&name);
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(|error| failed(error.into()))?;
    if let Some(user) = &user {
        user.own(&pipe)?;
        user.own(folder.path())?;
    }
    let end = pipe.clone();
    // Opening waits for the reader. A command that never reads leaves the thread behind, which ends with us.
    std::thread::spawn(move || {
        if let Ok(mut writer) = OpenOptions::new().write(true).open(end) {
            // A reader that goes away early has read what it wanted.
            let _ = writer.write_all(plain.expose());
        }
    });
    run(with_path(session, args, &pipe, user.as_ref()), args.background)
}

fn with_path(session: &Session, args: &ExecFileArgs, path: &Path, user: Option<&User>) -> Command {
    let mut command = shell(session, &args.command.replace("{}", &path.display().to_string()));
    if let Some(user) = user {
        user.take_on(&mut command);
    }
    command
}

fn shell(session: &Session, text: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", text]);
    if session.voice == Voice::Ours {
        for name in WITHHELD.into_iter().chain(OPENS_FILES) {
            command.env_remove(name);
        }
    }
    command
}

fn run(mut command: Command, background: bool) -> Result<ExitCode, Failure> {
    let failed = |error| Failure::other(format!("cannot run /bin/sh: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    if background {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(code_of(child.wait().map_err(failed)?)))
}

/// The command's own code; 128 and its number for a signal, as a shell says it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// A user of this machine, from /etc/passwd.
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

impl User {
    fn find(name: &str) -> Result<Self, Failure> {
        let text = std::fs::read_to_string("/etc/passwd")
            .map_err(|error| Failure::other(format!("cannot read /etc/passwd: {error}")))?;
        let user = text.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [found, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            (*found == name).then(|| Self { name: name.to_owned(), uid, gid, home: (*home).to_owned() })
        });
        user.ok_or_else(|| Failure::missing(format!("there is no user {name:?} in /etc/passwd")))
    }

    /// The command runs as this user, in no groups but their own.
    fn take_on(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
        command.env("HOME", &self.home).env("USER", &self.name).env("LOGNAME", &self.name);
    }

    fn own(&self, path: &Path) -> Result<(), Failure> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(|error| {
            Failure::other(format!("cannot give {} to {}: {error}", path.display(), self.name))
        })
    }
}
