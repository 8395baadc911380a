//! Executables of the operator's that rotation runs, and the files by which it tells of new versions.

use super::config::Config;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use strongroom_kernel::rotation::{NoticeFiles, PluginError, PluginRequest, Plugins};
use strongroom_secret::SecretBytes;
use zeroize::Zeroize;

/// Of what a program says on its standard error, so much is taken.
const SAID_BYTES_MAX: usize = 2048;
/// A program that was killed has this long to be gone.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Runs the executables of the configured directory; None where none is configured.
pub fn plugins(config: &Config) -> Option<Plugins> {
    let directory = config.plugin_directory.clone()?;
    Some(std::sync::Arc::new(move |request: &PluginRequest<'_>| run(&directory, request)))
}

/// Writes below the configured directory; None where none is configured.
pub fn notice_files(config: &Config) -> Option<NoticeFiles> {
    let directory = config.notify_directory.clone()?;
    Some(std::sync::Arc::new(move |path: &str, content: &[u8]| write_notice(&directory, path, content)))
}

fn failed(text: impl Into<String>) -> PluginError {
    PluginError(text.into())
}

/// The executable of a name. Whoever may write to it or to its directory decides what the server runs: nobody else than
/// its owner may.
fn executable(directory: &Path, name: &str) -> Result<PathBuf, PluginError> {
    let mut components = Path::new(name).components();
    if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
        return Err(failed("a plugin is named by a file name alone"));
    }
    let path = directory.join(name);
    for place in [directory, &path] {
        let metadata = fs::symlink_metadata(place)
            .map_err(|error| failed(format!("{} cannot be looked at: {error}", place.display())))?;
        if metadata.is_symlink() {
            return Err(failed(format!(
                "{} is a symbolic link: plugins are files themselves",
                place.display()
            )));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(failed(format!("{} can be written by others than its owner", place.display())));
        }
    }
    Ok(path)
}

/// Runs it to its end. Past a limit, it and what it started are killed.
fn run(directory: &Path, request: &PluginRequest<'_>) -> Result<SecretBytes, PluginError> {
    let path = executable(directory, request.name)?;
    let mut command = Command::new(&path);
    command.env_clear().current_dir(directory).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(format!("it cannot be started: {error}")))?;
    let group = child.id();
    let input = request.input.duplicate();
    let stdin = child.stdin.take();
    // A program that does not read must not hold us up; one that ends before it has read all has its reasons.
    thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            drop(stdin.write_all(input.expose()));
        }
    });
    let bytes_max = request.output_bytes_max;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(gather(child, bytes_max)));
    let gathered = match receiver.recv_timeout(request.timeout) {
        Ok(gathered) => gathered,
        Err(_) => {
            kill(group);
            // Nothing of it may take effect later: it is waited for.
            let is_gone = receiver.recv_timeout(LAST_WAIT).is_ok();
            let seconds = request.timeout.as_secs();
            let end = if is_gone { "it was killed" } else { "it was killed, and is not gone yet" };
            return Err(failed(format!("it did not end within {seconds} seconds: {end}")));
        }
    };
    let Gathered { output, said_bytes, status } =
        gathered.map_err(|error| failed(format!("what it printed cannot be read: {error}")))?;
    if said_bytes > 0 {
        // Not what: it may be a secret.
        tracing::info!(plugin = request.name, bytes = said_bytes, "a plugin wrote to its standard error");
    }
    if output.expose().len() > bytes_max {
        return Err(failed(format!("it printed more than {bytes_max} bytes: it was killed")));
    }
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(output),
        (Some(code), _) => Err(failed(format!("it ended with exit code {code}"))),
        (None, signal) => Err(failed(format!("it was ended by signal {}", signal.unwrap_or_default()))),
    }
}

struct Gathered {
    output: SecretBytes,
    said_bytes: usize,
    status: ExitStatus,
}

/// Waits for both pipes and the end. A program that prints too much is killed.
fn gather(mut child: Child, bytes_max: usize) -> std::io::Result<Gathered> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaint = thread::spawn(move || bounded(stderr, SAID_BYTES_MAX).unwrap_or_default());
    let output = SecretBytes::new(bounded(stdout, bytes_max)?);
    if output.expose().len() > bytes_max {
        kill(child.id());
    }
    // Its end is seen before it is waited for: until then the number of its group is its own, and what it left behind is
    // killed.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    }
    kill(child.id());
    let status = child.wait()?;
    let mut said = complaint.join().unwrap_or_default();
    let said_bytes = said.len();
    said.zeroize();
    Ok(Gathered { output, said_bytes, status })
}

/// At most one byte more than `bytes_max`, by which the caller sees that there was more.
fn bounded(pipe: Option<impl Read>, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    // With its final size, so that no copy of a secret is left behind by growing.
    let mut bytes = Vec::with_capacity(bytes_max + 64);
    if let Some(pipe) = pipe {
        pipe.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Kills a whole group: a shell's children too.
fn kill(group: u32) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Replaces a file whole, so that who watches it never reads a part. Folders are not made.
fn write_notice(directory: &Path, path: &str, content: &[u8]) -> Result<(), PluginError> {
    let relative = Path::new(path);
    if relative.components().any(|component| !matches!(component, Component::Normal(_))) {
        return Err(failed("a notice's path stays below the server's notify_directory"));
    }
    let place = directory.join(relative);
    let parent = place.parent().unwrap_or(directory);
    let resolve = |place: &Path| {
        fs::canonicalize(place).map_err(|error| failed(format!("{}: {error}", place.display())))
    };
    if !resolve(parent)?.starts_with(resolve(directory)?) {
        return Err(failed("a notice's path leads out of the server's notify_directory"));
    }
    let mut draft = place.clone().into_os_string();
    draft.push(".new");
    let write = || -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o644);
        let mut file = options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32).open(&draft)?;
        file.write_all(content)?;
        drop(file);
        fs::rename(&draft, &place)
    };
    write().map_err(|error| failed(format!("{} cannot be written: {error}", place.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory(scripts: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, text) in scripts {
            let path = directory.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        directory
    }

    fn run_one(directory: &Path, name: &str, timeout: Duration) -> Result<String, String> {
        let input = SecretBytes::new(b"{\"version\":1}\n".to_vec());
        let request = PluginRequest { name, input: &input, timeout, output_bytes_max: 1000 };
        run(directory, &request)
            .map(|output| String::from_utf8_lossy(output.expose()).into_owned())
            .map_err(|error| error.to_string())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_gets_one_line_and_nothing_of_the_environment() {
        let place = directory(&[("echo", "read line; echo \"$line\"; env | grep -c HOME; exit 0")]);
        assert_eq!(run_one(place.path(), "echo", LONG).unwrap(), "{\"version\":1}\n0\n");
    }

    #[test]
    fn programs_that_hang_die_or_print_too_much_are_told_apart() {
        let place = directory(&[
            ("hang", "sleep 600 & echo $! > child; wait"),
            ("die", "kill -9 $$"),
            ("fail", "echo no >&2; exit 3"),
            ("chat", "yes"),
            ("deaf", "exec 0<&-; echo ok"),
        ]);
        let said = |name, timeout| run_one(place.path(), name, timeout).unwrap_err();
        assert_eq!(said("hang", Duration::from_secs(1)), "it did not end within 1 seconds: it was killed");
        let child: i32 = fs::read_to_string(place.path().join("child")).unwrap().trim().parse().unwrap();
        let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "what it started is killed as well: {state}");
        assert_eq!(said("die", LONG), "it was ended by signal 9");
        assert_eq!(said("fail", LONG), "it ended with exit code 3");
        assert_eq!(said("chat", LONG), "it printed more than 1000 bytes: it was killed");
        assert_eq!(run_one(place.path(), "deaf", LONG).unwrap(), "ok\n");
    }

    #[test]
    fn nothing_is_run_that_others_could_have_put_there() {
        let place = directory(&[("open", "echo"), ("fine", "echo")]);
        fs::set_permissions(place.path().join("open"), fs::Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink("/bin/true", place.path().join("link")).unwrap();
        let said = |name| run_one(place.path(), name, LONG).unwrap_err();
        assert!(said("open").contains("can be written by others"));
        assert!(said("link").contains("is a symbolic link"));
        assert!(said("../fine").contains("by a file name alone"));
        assert!(said("missing").contains("cannot be looked at"));
        assert!(run_one(place.path(), "fine", LONG).is_ok());
    }

    #[test]
    fn notices_stay_below_their_directory() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("app")).unwrap();
        std::os::unix::fs::symlink(outside.path(), place.path().join("out")).unwrap();
        let write = |path| write_notice(place.path(), path, b"text").map_err(|error| error.to_string());
        write("app/db").unwrap();
        assert_eq!(fs::read(place.path().join("app/db")).unwrap(), b"text");
        assert!(write("../x").is_err());
        assert!(write("out/x").unwrap_err().contains("leads out of"));
        assert!(write("missing/x").is_err());
    }
}
