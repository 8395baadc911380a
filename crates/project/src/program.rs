//! A program that is asked for a secret or a credential: no shell, a limit of time, a limit of output.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use strongroom_secret::{SecretBytes, SecretString};
use thiserror::Error;
use zeroize::Zeroize;

/// What to run, and within which bounds.
pub struct Program<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    pub folder: Option<&'a Path>,
    /// Set in addition to what is inherited.
    pub variables: &'a [(&'a str, &'a OsStr)],
    pub time_max: Duration,
    pub output_bytes_max: usize,
}

/// What a program printed.
pub struct Output {
    pub text: SecretBytes,
}

#[derive(Debug, Error)]
pub enum ProgramError {
    #[error("no program is named")]
    Empty,
    #[error("cannot start {program}: {reason}", program = program.display())]
    Start { program: PathBuf, reason: std::io::Error },
    #[error("{program} did not end within {seconds} seconds", program = program.display())]
    Time { program: PathBuf, seconds: u64 },
    #[error("{program} printed more than {bytes_max} bytes", program = program.display())]
    Output { program: PathBuf, bytes_max: usize },
    /// `said` is the end of its standard error, as it is.
    #[error("{program} failed: {status}", program = program.display())]
    Failed { program: PathBuf, status: ExitStatus, said: SecretString },
    #[error("cannot read what {program} printed: {reason}", program = program.display())]
    Read { program: PathBuf, reason: std::io::Error },
}

/// How much of a program's standard error is kept, from its end.
const COMPLAINT_BYTES_MAX: usize = 4096;

impl Program<'_> {
    /// Runs it to its end. Past a limit, it and what it started are killed.
    pub fn run(&self) -> Result<Output, ProgramError> {
        let (name, arguments) = self.argv.split_first().ok_or(ProgramError::Empty)?;
        let program = PathBuf::from(name);
        let mut command = Command::new(name);
        command.args(arguments).envs(self.variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // An empty path is the folder we are in, and no folder to go to.
        if let Some(folder) = self.folder.filter(|folder| !folder.as_os_str().is_empty()) {
            command.current_dir(folder);
        }
        let child =
            command.spawn().map_err(|reason| ProgramError::Start { program: program.clone(), reason })?;
        let group = child.id();
        let bytes_max = self.output_bytes_max;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(gather(child, bytes_max)));
        let Ok(gathered) = receiver.recv_timeout(self.time_max) else {
            kill(group);
            return Err(ProgramError::Time { program, seconds: self.time_max.as_secs() });
        };
        let Gathered { output, said, status } =
            gathered.map_err(|reason| ProgramError::Read { program: program.clone(), reason })?;
        if output.expose().len() > bytes_max {
            return Err(ProgramError::Output { program, bytes_max });
        }
        if !status.success() {
            return Err(ProgramError::Failed { program, status, said });
        }
        Ok(Output { text: output })
    }
}

struct Gathered {
    output: SecretBytes,
    said: SecretString,
    status: ExitStatus,
}

/// Waits for both pipes and the end. A program that prints too much is killed.
fn gather(mut child: Child, bytes_max: usize) -> std::io::Result<Gathered> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaint = thread::spawn(move || tail(stderr));
    let output = SecretBytes::new(stdout.map_or(Ok(Vec::new()), |pipe| bounded(pipe, bytes_max))?);
    if output.expose().len() > bytes_max {
        kill(child.id());
    }
    let said = complaint.join().unwrap_or_default();
    let said = SecretString::new(String::from_utf8_lossy(&said).into_owned());
    Ok(Gathered { output, said, status: child.wait()? })
}

/// At most one byte more than `bytes_max`, by which the caller sees that there was more.
fn bounded(pipe: impl Read, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn tail(pipe: Option<impl Read>) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let mut kept = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut piece) {
        kept.extend_from_slice(piece.get(..length).unwrap_or_default());
        let excess = kept.len().saturating_sub(COMPLAINT_BYTES_MAX);
        kept.drain(..excess);
    }
    piece.zeroize();
    kept
}

/// Kills a whole group: a shell's children too. Its leader has not been waited for, so the number is still its own.
fn kill(group: u32) {
    if let Some(group) = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(argv: &[&str], time_max: Duration, output_bytes_max: usize) -> Result<Output, ProgramError> {
        let argv: Vec<String> = argv.iter().map(|text| (*text).to_owned()).collect();
        Program { argv: &argv, folder: None, variables: &[], time_max, output_bytes_max }.run()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_it_prints_comes_back_whole() {
        assert_eq!(run(&["printf", "%s", "a b"], LONG, 100).unwrap().text.expose(), b"a b");
    }

    #[test]
    fn limits_and_failures_are_told_apart() {
        assert!(matches!(run(&[], LONG, 1), Err(ProgramError::Empty)));
        assert!(matches!(run(&["/nonexistent/program"], LONG, 1), Err(ProgramError::Start { .. })));
        assert!(matches!(run(&["sh", "-c", "yes"], LONG, 1000), Err(ProgramError::Output { .. })));
        let short = Duration::from_millis(50);
        assert!(matches!(run(&["sh", "-c", "sleep 600 & wait"], short, 1), Err(ProgramError::Time { .. })));
        let Err(ProgramError::Failed { said, .. }) = run(&["sh", "-c", "echo no >&2; exit 3"], LONG, 100)
        else {
            panic!("it fails");
        };
        assert_eq!(said.expose(), "no\n");
    }
}
