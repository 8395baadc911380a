//! What is asked of git: configuration, lists of files, blobs. git itself is run; nothing secret stands on its command line.

use super::Ended;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use strongroom_secret::SecretString;

/// git, in the folder that we were started in.
pub(super) struct Repository {
    program: OsString,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Tracked,
    Untracked,
    Cached,
    NoIndex,
}

/// Whether folders among the words are entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Flat,
    Deep,
}

/// A provider may print this much.
const PROVIDED_BYTES_MAX: u64 = 16 << 20;

impl Repository {
    pub(super) fn here() -> Self {
        Self { program: "git".into() }
    }

    fn git(&self, words: &[&OsStr]) -> Result<std::process::Output, Ended> {
        let output = Command::new(&self.program).args(words).stdin(Stdio::null()).output();
        output.map_err(|error| Ended::fatal(format_args!("git: {error}")))
    }

    fn asked(&self, words: &[&str]) -> Result<Vec<u8>, Ended> {
        let words: Vec<_> = words.iter().map(OsStr::new).collect();
        let output = self.git(&words)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Ended(1, String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// All values of a key, of all configuration files.
    pub(super) fn all(&self, key: &str) -> Result<Vec<String>, Ended> {
        let words = ["config", "--null", "--get-all", key].map(OsStr::new);
        let output = self.git(&words)?;
        // 1: there is none. 128 and others are said by git itself.
        if !output.status.success() && output.status.code() != Some(1) {
            return Err(Ended(1, String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let values = output.stdout.split(|byte| *byte == 0).filter(|value| !value.is_empty());
        Ok(values.map(|value| String::from_utf8_lossy(value).into_owned()).collect())
    }

    /// Adds a value, and says whether it was new: one that is part of another is not.
    pub(super) fn add(&self, global: bool, key: &str, value: &str) -> Result<bool, Ended> {
        let place: &[&str] = if global { &["config", "--global"] } else { &["config"] };
        let present =
            self.git(&[place, &["--get-all", key]].concat().iter().map(OsStr::new).collect::<Vec<_>>())?;
        let lines = present.stdout.split(|byte| *byte == b'\n');
        let contains =
            |line: &[u8]| value.is_empty() || memchr::memmem::find(line, value.as_bytes()).is_some();
        if lines.into_iter().any(|line| !line.is_empty() && contains(line)) {
            return Ok(false);
        }
        self.asked(&[place, &["--add", key, value]].concat())?;
        Ok(true)
    }

    pub(super) fn list(&self, global: bool) -> Result<u8, Ended> {
        let place: &[&str] = if global { &["config", "--global"] } else { &["config"] };
        let words: Vec<_> = [place, &["--get-regexp", "^secrets\\..*"]].concat();
        let output = self.git(&words.iter().map(OsStr::new).collect::<Vec<_>>())?;
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(&output.stdout).and_then(|()| stdout.flush());
        Ok(output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }

    /// What a provider prints, by words: the shell is not asked, as git-secrets does not ask it.
    pub(super) fn provided(&self, command: &str) -> Result<Vec<SecretString>, Ended> {
        let mut words = command.split_ascii_whitespace();
        let Some(program) = words.next() else { return Ok(Vec::new()) };
        let failed = |error: std::io::Error| Ended::fatal(format_args!("the provider {program}: {error}"));
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut bytes = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(PROVIDED_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        }
        child.wait().map_err(failed)?;
        let text = SecretString::from(String::from_utf8_lossy(&bytes).replace('\r', ""));
        zeroize::Zeroize::zeroize(&mut bytes);
        Ok(text.expose().lines().filter(|line| !line.is_empty()).map(SecretString::from).collect())
    }

    pub(super) fn top(&self) -> Option<PathBuf> {
        let line = self.asked(&["rev-parse", "--show-toplevel"]).ok()?;
        Some(path_of_line(line)).filter(|path| !path.as_os_str().is_empty())
    }

    pub(super) fn git_folder(&self) -> Result<PathBuf, Ended> {
        let line =
            self.asked(&["rev-parse", "--git-dir"]).map_err(|_| Ended::fatal("Not in a Git repository"))?;
        Ok(path_of_line(line))
    }

    /// The files that a commit would change.
    pub(super) fn staged(&self) -> Result<Vec<OsString>, Ended> {
        let head = self.asked(&["rev-parse", "--verify", "--quiet", "HEAD"]);
        // The empty tree, for the first commit.
        let against = if head.is_ok() { "HEAD" } else { "4b825dc642cb6eb9a060e54bf8d69288fbee4904" };
        let words = ["diff-index", "-z", "--diff-filter", "ACMU", "--name-only", "--cached", against, "--"];
        let output = self.asked(&words)?;
        // Names are below the top; git reads them as such.
        let names = output.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| OsString::from_vec([b":(top,literal)", name].concat())).collect())
    }

    /// Names of files, as they are seen from here.
    pub(super) fn files(&self, scope: Scope, words: &[OsString]) -> Result<Vec<PathBuf>, Ended> {
        let flags: &[&str] = match scope {
            Scope::Untracked => &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            _ => &["ls-files", "-z", "--cached"],
        };
        let output = self.listed(flags, words)?;
        let mut names: Vec<PathBuf> = output
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| PathBuf::from(OsStr::from_bytes(name)))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Objects of the index with their names.
    pub(super) fn index(&self, words: &[OsString]) -> Result<Vec<(String, PathBuf)>, Ended> {
        let output = self.listed(&["ls-files", "-z", "--stage"], words)?;
        let entries = output.split(|byte| *byte == 0).filter_map(|entry| {
            let tab = entry.iter().position(|byte| *byte == b'\t')?;
            let (head, name) = (entry.get(..tab)?, entry.get(tab + 1..)?);
            let mut fields = std::str::from_utf8(head).ok()?.split(' ');
            // A submodule has a commit, not a blob.
            let object = fields.next().filter(|mode| *mode != "160000").and_then(|_| fields.next())?;
            Some((object.to_owned(), PathBuf::from(OsStr::from_bytes(name))))
        });
        Ok(entries.collect())
    }

    fn listed(&self, flags: &[&str], words: &[OsString]) -> Result<Vec<u8>, Ended> {
        let all = flags
            .iter()
            .map(OsStr::new)
            .chain([OsStr::new("--")])
            .chain(words.iter().map(|word| word.as_os_str()));
        let output = self.git(&all.collect::<Vec<_>>())?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Ended(128, String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    /// Hands each blob to `look`, in order.
    pub(super) fn blobs(&self, objects: &[String], look: &mut dyn FnMut(usize, &[u8])) -> Result<(), Ended> {
        let failed = |error: std::io::Error| Ended::fatal(format_args!("git cat-file: {error}"));
        let mut child = Command::new(&self.program)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(());
        };
        let request = objects.join("\n") + "\n";
        let writer = std::thread::spawn(move || stdin.write_all(request.as_bytes()));
        let mut reader = BufReader::new(stdout);
        for number in 0..objects.len() {
            let mut header = String::new();
            reader.read_line(&mut header).map_err(failed)?;
            let size = header.trim_end().rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
            let Some(size) = size else { continue };
            let mut blob = vec![0; size];
            reader.read_exact(&mut blob).map_err(failed)?;
            reader.read_exact(&mut [0]).map_err(failed)?;
            look(number, &blob);
        }
        // The reader has had all it asked for.
        let _ = writer.join();
        child.wait().map_err(failed)?;
        Ok(())
    }

    /// All commits of all branches and tags.
    pub(super) fn commits(&self) -> Result<Vec<String>, Ended> {
        let output = self.asked(&["rev-list", "--all"])?;
        Ok(String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
    }

    /// The blobs that each commit brings, with their names: all of them for a first commit, and against every parent of a merge.
    pub(super) fn changed(&self, look: &mut dyn FnMut(&str, &str, &[u8])) -> Result<(), Ended> {
        let failed = |error: std::io::Error| Ended::fatal(format_args!("git log: {error}"));
        let mut child = Command::new(&self.program)
            .args([
                "log",
                "--all",
                "-m",
                "--root",
                "--raw",
                "--no-abbrev",
                "-z",
                "--no-renames",
                "--format=%x01%H",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let Some(stdout) = child.stdout.take() else { return Ok(()) };
        let mut commit = String::new();
        let mut object = None;
        for field in BufReader::new(stdout).split(0) {
            let field = field.map_err(failed)?;
            // Between a commit's line and its first change git puts line breaks.
            let start = field.iter().position(|byte| *byte != b'\n').unwrap_or(field.len());
            let field = field.get(start..).unwrap_or_default();
            if let Some(id) = field.strip_prefix(&[1]) {
                let text = String::from_utf8_lossy(id).into_owned();
                commit = text.split_whitespace().next().unwrap_or_default().to_owned();
                object = None;
            } else if field.starts_with(b":") {
                let text = String::from_utf8_lossy(field).into_owned();
                let fields: Vec<_> = text.split(' ').collect();
                let is_file =
                    fields.get(1).is_some_and(|mode| mode.starts_with("100") || mode.starts_with("120"));
                object = fields.get(3).filter(|_| is_file).map(|id| (*id).to_owned());
            } else if let Some(object) = object.take() {
                look(&commit, &object, field);
            }
        }
        child.wait().map_err(failed)?;
        Ok(())
    }

    /// What a merge of `head` brings to the branch that is checked out.
    pub(super) fn patch_of_merge(&self, head: &str) -> Result<Vec<u8>, Ended> {
        if head.is_empty() || !head.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        self.asked(&["log", "-p", &format!("HEAD..{head}")])
    }
}

fn path_of_line(mut line: Vec<u8>) -> PathBuf {
    while line.last() == Some(&b'\n') {
        line.pop();
    }
    PathBuf::from(OsString::from_vec(line))
}
