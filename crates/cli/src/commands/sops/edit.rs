//! A file in clear in an editor: in a folder that nobody else can enter, and wiped afterwards.

use super::arguments::EditArgs;
use super::crypt::{encrypted_again, open_for_edit};
use super::session::{Session, Voice, codes};
use crate::failure::Failure;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use strongroom_formats::sops::{Draft, FILE_BYTES_MAX, Format, Opened, refuse_reserved};
use strongroom_project::files;
use strongroom_project::sops::open_new;
use strongroom_secret::SecretBytes;

pub fn edit(session: &Session, args: &EditArgs) -> Result<ExitCode, Failure> {
    let path = args.file.as_path();
    let (input, output) = session.formats(&args.formats, path)?;
    let (old, opened, text) = if path.exists() {
        let bytes = session.read(path)?;
        let opened = open_for_edit(session, input, &bytes, args.ignore_mac)?;
        let copy = open_for_edit(session, input, &bytes, args.ignore_mac)?;
        let text = if args.show_master_keys { copy.write_with_metadata() } else { copy.write_plain() };
        (Some(bytes), opened, text.map_err(|error| session.failure(error.into()))?)
    } else {
        let example = example(input);
        let draft = Draft::read(input, example).map_err(|error| session.failure(error.into()))?;
        let new = session.new_file(path, input, &args.keys, &args.rule)?;
        let opened = open_new(draft, new, session.keys()?).map_err(|error| session.failure(error))?;
        (None, opened, SecretBytes::new(example.to_vec()))
    };
    let edited = edit_until_it_reads(session, path, opened, &text)?;
    let encrypted = encrypted_again(session, path, edited, output)?;
    session.replace(path, old.as_ref(), &encrypted)?;
    Ok(ExitCode::SUCCESS)
}

/// What a new file begins with, where there is none.
fn example(format: Format) -> &'static [u8] {
    match format {
        Format::Yaml => b"hello: Welcome to SOPS! Edit this file as you please!\nexample_key: example_value\n# Example comment\nexample_array:\n    - example_value1\n    - example_value2\nexample_number: 1234.56789\nexample_booleans:\n    - true\n    - false\n",
        Format::Json => b"{\n\t\"hello\": \"Welcome to SOPS! Edit this file as you please!\",\n\t\"example_key\": \"example_value\",\n\t\"example_array\": [\n\t\t\"example_value1\",\n\t\t\"example_value2\"\n\t],\n\t\"example_number\": 1234.56789,\n\t\"example_booleans\": [\n\t\ttrue,\n\t\tfalse\n\t]\n}\n",
        Format::Env => b"# This is an example file.\nhello=Welcome to SOPS! Edit this file as you please!\nexample_multiline=foo\\nbar\\nbaz\n",
        Format::Ini => b"[Welcome!]\n; This is an example file.\nhello       = Welcome to SOPS! Edit this file as you please!\nexample_key = example_value\n",
        Format::Toml => b"# This is an example file.\nhello = \"Welcome to SOPS! Edit this file as you please!\"\nexample_key = \"example_value\"\n",
        Format::Binary => b"Welcome to SOPS! Edit this file as you please!",
    }
}

fn edit_until_it_reads(
    session: &Session,
    path: &Path,
    opened: Opened,
    text: &SecretBytes,
) -> Result<Opened, Failure> {
    let name = path.file_name().map_or_else(|| PathBuf::from("secrets"), PathBuf::from);
    let room = Room::new(&session.surroundings.variables, &name, text)?;
    let mut opened = opened;
    loop {
        run_editor(session, &room.file)?;
        let edited =
            files::read(&room.file, FILE_BYTES_MAX as u64).map_err(|error| session.failure(error.into()))?;
        if &edited == text {
            let message = "File has not changed, exiting.";
            if session.voice == Voice::Ours {
                session.note(message);
            }
            return Err(Failure::other(message).exit_code(session.code(codes::NOT_MODIFIED)));
        }
        let edited = without_metadata(&opened, edited);
        opened = match opened.with_content(edited.expose()) {
            Ok(opened) => match refuse_reserved(opened.format(), opened.tree()) {
                Ok(()) => return Ok(opened),
                Err(error) => {
                    session.note(&format!("{error}"));
                    opened
                }
            },
            Err((opened, error)) => {
                session.note(&format!("Could not load tree, probably due to invalid syntax: {error}"));
                *opened
            }
        };
        session.note("Press enter to return to the editor, or Ctrl+C to exit.");
        let mut answer = String::new();
        if !std::io::stdin().is_terminal() || std::io::stdin().lock().read_line(&mut answer).unwrap_or(0) == 0
        {
            return Err(Failure::other(
                "what the editor left cannot be read, and nobody is there to go on editing",
            ));
        }
    }
}

/// With `--show-master-keys` the metadata is in the text; what stands there is not taken over.
fn without_metadata(opened: &Opened, edited: SecretBytes) -> SecretBytes {
    opened.content_alone(edited.expose()).unwrap_or(edited)
}

fn run_editor(session: &Session, file: &Path) -> Result<(), Failure> {
    let variables = &session.surroundings.variables;
    let failed = |why: String| {
        Failure::other(format!("Could not run editor: {why}")).exit_code(session.code(codes::NO_EDITOR))
    };
    let words = match variables.first(&["SOPS_EDITOR", "EDITOR"]) {
        Some(text) => shlex::split(text)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| failed(format!("{text:?} is not a command")))?,
        None => vec![any_editor(variables.text("PATH").unwrap_or_default()).ok_or_else(|| {
            failed("SOPS_EDITOR and EDITOR are not set, and there is no vim, nano or vi".to_owned())
        })?],
    };
    let (program, arguments) = words.split_first().ok_or_else(|| failed("no command".to_owned()))?;
    let status = Command::new(program)
        .args(arguments)
        .arg(file)
        .status()
        .map_err(|error| failed(format!("{program}: {error}")))?;
    if status.success() { Ok(()) } else { Err(failed(format!("{program}: {status}"))) }
}

fn any_editor(path: &str) -> Option<String> {
    let exists = |name: &&str| std::env::split_paths(path).any(|folder| folder.join(name).is_file());
    ["vim", "nano", "vi"].into_iter().find(|name| exists(name)).map(str::to_owned)
}

/// A private folder with one file in it. Both go when this does, the file's bytes first.
pub struct Room {
    folder: tempfile::TempDir,
    pub file: PathBuf,
}

impl Room {
    /// In memory (`XDG_RUNTIME_DIR`) where there is such a folder, else where temporary files go.
    pub fn new(
        variables: &strongroom_project::Variables,
        name: &Path,
        text: &SecretBytes,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::other(format!("Could not create temporary file: {error}")).exit_code(codes::NOT_WRITTEN)
        };
        let folder = Self::folder(variables).map_err(failed)?;
        let file = folder.path().join(name.file_name().unwrap_or(name.as_os_str()));
        let mut handle =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(failed)?;
        handle.write_all(text.expose()).map_err(failed)?;
        let room = Self { folder, file };
        room.leave_on_signals();
        Ok(room)
    }

    /// A folder of mode 0700.
    pub fn folder(variables: &strongroom_project::Variables) -> std::io::Result<tempfile::TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sops").permissions(Permissions::from_mode(0o700));
        let in_memory = variables
            .text("XDG_RUNTIME_DIR")
            .map(Path::new)
            .filter(|folder| folder.is_absolute() && folder.is_dir());
        match in_memory.map(|folder| builder.tempdir_in(folder)) {
            Some(Ok(folder)) => Ok(folder),
            _ => builder.tempdir(),
        }
    }

    /// Ctrl+C and a kill must not leave the file behind.
    fn leave_on_signals(&self) {
        let (folder, file) = (self.folder.path().to_owned(), self.file.clone());
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let watch = move || {
            use tokio::signal::unix::{SignalKind, signal};
            let interrupted = runtime.block_on(async {
                let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
                    (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
                else {
                    return false;
                };
                tokio::select! { _ = interrupt.recv() => true, _ = terminate.recv() => true, _ = hangup.recv() => true }
            });
            if interrupted {
                wipe(&file);
                let _ = std::fs::remove_dir_all(&folder);
                std::process::exit(1);
            }
        };
        // Without a thread the file still goes when the editor ends.
        let _ = std::thread::Builder::new().spawn(watch);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        wipe(&self.file);
    }
}

/// Zeroes over a file, so that its bytes are gone from where they lay. Editors may have made copies of their own, which go
/// with the folder.
fn wipe(file: &Path) {
    let Ok(metadata) = std::fs::symlink_metadata(file) else { return };
    if !metadata.is_file() {
        return;
    }
    if let Ok(mut handle) = OpenOptions::new().write(true).open(file) {
        let zeroes = [0_u8; 4096];
        let mut left = metadata.len();
        while left > 0 {
            let piece = usize::try_from(left.min(4096)).unwrap_or(4096);
            if handle.write_all(zeroes.get(..piece).unwrap_or_default()).is_err() {
                break;
            }
            left -= piece as u64;
        }
        let _ = File::sync_all(&handle);
    }
    let _ = std::fs::remove_file(file);
}
