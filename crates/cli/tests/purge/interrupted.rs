//! A purge by the real program that is killed, finds no room, or meets somebody else: the repository is as it was, or as it is to be,
//! and the next run ends what was begun.

use super::{VALUE, surroundings};
use std::fs;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A repository that is copied for each try.
struct Original {
    folder: TempDir,
    /// What references are before and after a purge that nothing interrupts.
    before: String,
    after: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Objects {
    /// In a pack: the new pack takes over what stays.
    Packed,
    /// So many of them loose that git packs anew.
    Loose,
}

impl Original {
    fn new(objects: Objects) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        fs::create_dir(&path).unwrap();
        git(&path, &["init", "-q", "-b", "main"]);
        let mut state: u64 = 88_172_645_463_325_252;
        for round in 0..if objects == Objects::Loose { 90 } else { 12 } {
            // Bytes that cannot be compressed, so that packs have a size.
            let noise: String = (0..if objects == Objects::Loose { 40 } else { 6000 })
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    format!("{state:x}\n")
                })
                .collect();
            fs::write(path.join(format!("noise-{round}")), noise).unwrap();
            let value = if round % 5 == 2 { VALUE } else { "nothing" };
            fs::write(path.join("app.env"), format!("ROUND={round}\nPASSWORD={value}\n")).unwrap();
            git(&path, &["add", "-A"]);
            git(&path, &["commit", "-q", "-m", &format!("round {round}")]);
            git(&path, &["branch", &format!("branch-{round}")]);
        }
        git(&path, &["tag", "-a", "-m", "a tag", "v1"]);
        if objects == Objects::Packed {
            git(&path, &["gc", "-q", "--prune=now"]);
            // A reference of each kind: packed, and in a file of its own.
            git(&path, &["branch", "loose"]);
        }
        let mut original = Self { folder, before: String::new(), after: String::new() };
        original.before = references(&path);
        let copy = original.copy();
        let output = purge(copy.path(), &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        original.after = references(copy.path());
        assert_ne!(original.before, original.after);
        original
    }

    fn copy(&self) -> Copied {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(self.folder.path().join("repository")).arg(&path);
        assert!(copy.status().unwrap().success());
        git(&path, &["status", "--porcelain"]);
        Copied { _folder: folder, path }
    }

    /// Nothing is between old and new, and nothing is lost.
    fn check_whole(&self, path: &Path, place: &str) -> State {
        git(path, &["fsck", "--full", "--strict", "--no-dangling"]);
        let now = references(path);
        if now == self.before {
            State::Old
        } else {
            assert_eq!(now, self.after, "{place}: half of the references");
            State::New
        }
    }

    /// The next run ends what was begun.
    fn check_goes_on(&self, path: &Path, place: &str) {
        let output = as_told(&|| purge(path, &[]));
        assert!(output.status.success(), "{place}: {}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains("Proven: none of the"), "{place}: {}", stdout(&output));
        assert_eq!(references(path), self.after, "{place}");
        self.check_clean(path, place);
        let objects = git(path, &["cat-file", "--batch-all-objects", "--batch", "--buffer"]);
        assert!(!objects.contains(VALUE), "{place}");
        let left = files_below(&path.join(".git"));
        let left: Vec<&PathBuf> = left
            .iter()
            .filter(|file| {
                let name = file.file_name().unwrap().to_string_lossy();
                name.ends_with(".lock") || name.starts_with("tmp_") || name == "gc.pid"
            })
            .collect();
        assert!(left.is_empty(), "{place}: {left:?}");
    }

    fn check_clean(&self, path: &Path, place: &str) {
        git(path, &["fsck", "--full", "--strict", "--no-dangling"]);
        assert_eq!(git(path, &["status", "--porcelain"]), "", "{place}");
    }

    fn check_undone(&self, path: &Path, place: &str) {
        let output = as_told(&|| program(path, &["purge", "--undo"]).output().unwrap());
        assert!(output.status.success(), "{place}: {}", stderr(&output));
        assert_eq!(references(path), self.before, "{place}");
        self.check_clean(path, place);
    }
}

/// Runs the program; does what it says is to be done, if that is to remove the lock of a git that was killed too.
fn as_told(run: &dyn Fn() -> Output) -> Output {
    let output = run();
    let text = stderr(&output);
    let lock = text.lines().find_map(|line| line.trim().strip_prefix("hint: ")?.split(": rm ").nth(1));
    match lock {
        Some(lock) if !output.status.success() => {
            assert!(lock.ends_with("index.lock"), "{text}");
            fs::remove_file(lock).unwrap();
            run()
        }
        _ => output,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Old,
    New,
}

struct Copied {
    _folder: TempDir,
    path: PathBuf,
}

impl Copied {
    fn path(&self) -> &Path {
        &self.path
    }
}

fn git(folder: &Path, words: &[&str]) -> String {
    let output = surroundings(Command::new("git").args(words), folder).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn references(folder: &Path) -> String {
    git(folder, &["for-each-ref"])
}

fn program(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    surroundings(command.args(words), folder).stdin(Stdio::null());
    command
}

/// Starts a purge of the value; `limits` is what a shell does before.
fn begin(folder: &Path, limits: &str, words: &[&str]) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}\nexec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_strongroom")]);
    command.args(["purge", "--values", "-"]).args(words);
    surroundings(&mut command, folder).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{VALUE}\n").as_bytes()).unwrap();
    child
}

fn purge(folder: &Path, words: &[&str]) -> Output {
    begin(folder, "", words).wait_with_output().unwrap()
}

fn signal(child: &Child, signal: &str) {
    let whom = format!("-{}", child.id());
    let sent = Command::new("kill").args(["-s", signal, "--", &whom]).status().unwrap();
    assert!(sent.success());
}

/// Waits until something is seen on the disk; says so, or that the program ended before.
fn wait_for(child: &mut Child, seen: &dyn Fn() -> bool) -> bool {
    loop {
        if seen() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())),
            _ => files.push(entry.path()),
        }
    }
    files
}

fn pack_files(path: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut files = files_below(&path.join(".git/objects/pack"));
    files.retain(|file| fits(&file.file_name().unwrap().to_string_lossy()));
    files
}

/// Where a purge is killed.
type Point<'a> = (&'static str, Box<dyn Fn() -> bool + 'a>);

fn points<'a>(path: &'a Path, packed: &'a str) -> Vec<Point<'a>> {
    let git_dir = path.join(".git");
    let at = move |name: &str| git_dir.join(name);
    let packed_references = at("packed-refs");
    let runs = at("strongroom/purge");
    let old_index = pack_files(path, |name| name.ends_with(".idx")).pop();
    let indexes = pack_files(path, |name| name.ends_with(".idx")).len();
    let exists = |file: PathBuf| Box::new(move || file.exists());
    let below_runs = move |name: &'static str| {
        let runs = runs.clone();
        Box::new(move || files_below(&runs).iter().any(|file| file.ends_with(name)))
    };
    vec![
        ("started", exists(at("strongroom/purge/running"))),
        ("a pack begun", Box::new(|| !pack_files(path, |name| name.starts_with("tmp_pack_")).is_empty())),
        ("a backup", below_runs("backup.git/packed-refs")),
        ("a map", below_runs("commit-map")),
        ("a new pack", Box::new(move || pack_files(path, |name| name.ends_with(".idx")).len() > indexes)),
        ("what is checked out", exists(at("strongroom/purge/unfinished"))),
        ("locks", exists(at("strongroom/purge/locks"))),
        ("the lock of packed references", exists(at("packed-refs.lock"))),
        (
            "references moved",
            Box::new(move || fs::read_to_string(&packed_references).is_ok_and(|text| text != packed)),
        ),
        ("git packs anew", exists(at("gc.pid"))),
        ("an old pack gone", Box::new(move || old_index.as_ref().is_some_and(|index| !index.exists()))),
    ]
}

fn check_kills(objects: Objects) {
    let original = Original::new(objects);
    let names: Vec<&str> = points(Path::new("/"), "").iter().map(|(name, _)| *name).collect();
    let (mut killed, mut old, mut new) = (0, 0, 0);
    for (index, name) in names.into_iter().enumerate() {
        let copy = original.copy();
        let path = copy.path();
        let packed = fs::read_to_string(path.join(".git/packed-refs")).unwrap_or_default();
        let points = points(path, &packed);
        let mut child = begin(path, "", &[]);
        let met = wait_for(&mut child, &*points[index].1);
        if met {
            signal(&child, "KILL");
        }
        let output = child.wait_with_output().unwrap();
        killed += u32::from(output.status.signal() == Some(9));
        let state = original.check_whole(path, name);
        *if state == State::Old { &mut old } else { &mut new } += 1;
        if state == State::New && index % 2 == 0 {
            original.check_undone(path, name);
        }
        original.check_goes_on(path, name);
    }
    assert!(killed >= 6, "{killed} were killed before they ended");
    assert!(old >= 2 && new >= 1, "{old} old, {new} new");
}

#[test]
fn a_killed_run_leaves_old_or_new_and_is_ended_by_the_next() {
    check_kills(Objects::Packed);
}

#[test]
fn so_does_one_that_leaves_packing_to_git() {
    check_kills(Objects::Loose);
}

/// `limits` makes writing fail, or kills, behind so many blocks of 512 bytes of any file.
fn check_sizes(limits: &dyn Fn(u32) -> String) {
    let original = Original::new(Objects::Packed);
    let (mut failed, mut old) = (0, 0);
    for blocks in [0, 1, 2, 3, 4, 6, 8, 16, 64, 256, 700, 1024, 1500] {
        let place = format!("{blocks} blocks");
        let copy = original.copy();
        let output = begin(copy.path(), &limits(blocks), &[]).wait_with_output().unwrap();
        let state = original.check_whole(copy.path(), &place);
        if !output.status.success() {
            failed += 1;
            old += u32::from(state == State::Old);
            let text = stderr(&output);
            if let Some(code) = output.status.code() {
                assert!(matches!(code, 1 | 7), "{place}: {code}, {text}");
                assert_eq!(state == State::New, text.contains("all references are new"), "{place}: {text}");
            }
        }
        original.check_goes_on(copy.path(), &place);
    }
    assert!(failed >= 6 && old >= 5, "{failed} failed, {old} of them before anything changed");
}

#[test]
fn without_room_on_the_disk_nothing_is_lost() {
    check_sizes(&|blocks| format!("trap '' XFSZ; ulimit -f {blocks}"));
}

#[test]
fn a_run_that_is_killed_in_the_middle_of_a_file_loses_nothing() {
    check_sizes(&|blocks| format!("ulimit -c 0; ulimit -f {blocks}"));
}

#[test]
fn a_full_disk_says_what_to_do() {
    let original = Original::new(Objects::Packed);
    let copy = original.copy();
    let output = begin(copy.path(), "trap '' XFSZ; ulimit -f 256", &[]).wait_with_output().unwrap();
    let text = stderr(&output);
    assert!(text.contains("cannot be written") && text.contains("make room on the disk"), "{text}");
    assert_eq!(original.check_whole(copy.path(), ""), State::Old);
}

#[test]
fn locks_of_somebody_else_are_respected_and_left() {
    let original = Original::new(Objects::Packed);
    for name in ["index.lock", "HEAD.lock", "packed-refs.lock", "refs/heads/loose.lock", "gc.pid"] {
        let copy = original.copy();
        let lock = copy.path().join(".git").join(name);
        // A process that lives, for gc.pid.
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "elsewhere".to_owned());
        fs::write(&lock, format!("{} {host}", std::process::id())).unwrap();
        let output = purge(copy.path(), &[]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains("in use") && stderr(&output).contains(name), "{}", stderr(&output));
        assert!(lock.exists(), "{name}");
        assert_eq!(original.check_whole(copy.path(), name), State::Old);
        fs::remove_file(&lock).unwrap();
        original.check_goes_on(copy.path(), name);
    }
}

#[test]
fn two_purges_at_once() {
    let original = Original::new(Objects::Packed);
    let copy = original.copy();
    let mut first = begin(copy.path(), "", &[]);
    let begun =
        wait_for(&mut first, &|| !pack_files(copy.path(), |name| name.starts_with("tmp_pack_")).is_empty());
    assert!(begun);
    signal(&first, "STOP");
    let second = purge(copy.path(), &[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another purge of this repository is running"), "{}", stderr(&second));
    signal(&first, "CONT");
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    original.check_goes_on(copy.path(), "after both");
}

/// git fails when references have moved: what is said is what is so.
#[test]
fn a_gc_that_fails_says_that_references_are_new() {
    let original = Original::new(Objects::Loose);
    let copy = original.copy();
    let tools = tempfile::tempdir().unwrap();
    let real = Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' gc '*) echo 'fatal: no gc today' >&2; exit 128;; esac\nexec {} \"$@\"\n",
        stdout(&real).trim()
    );
    let fake = tools.path().join("git");
    fs::write(&fake, script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&fake).status().unwrap().success());
    let limits = format!("PATH='{}':$PATH; export PATH", tools.path().display());
    let output = begin(copy.path(), &limits, &[]).wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    for said in ["all references are new", "no gc today", "run the same purge again", "purge --undo"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(original.check_whole(copy.path(), "gc"), State::New);
    original.check_goes_on(copy.path(), "gc");
}

/// A blob that is larger than what is held of one, with the value at its beginning, at its end, and across the places where it is cut.
#[test]
fn a_large_file_is_rewritten_piece_by_piece() {
    const BYTES: usize = 100 << 20;
    const STRETCH: usize = 8 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    git(path, &["init", "-q", "-b", "main"]);
    let mut content = b"0123456789abcde\n".repeat(BYTES / 16);
    let places = [0, STRETCH - 5, 3 * STRETCH + VALUE.len() - 7, BYTES / 2, BYTES - VALUE.len()];
    for place in places {
        content[place..place + VALUE.len()].copy_from_slice(VALUE.as_bytes());
    }
    fs::write(path.join("large"), &content).unwrap();
    git(path, &["add", "large"]);
    git(path, &["commit", "-q", "-m", "large"]);
    fs::write(path.join("small"), "x").unwrap();
    git(path, &["add", "small"]);
    git(path, &["commit", "-q", "-m", "small"]);
    let mut child = begin(path, "", &["--json"]);
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most: u64 = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(most);
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(most < 120 << 10, "{most} KiB were held");
    let now = fs::read(path.join("large")).unwrap();
    let removed = places.len() * (VALUE.len() - "***REMOVED***".len());
    assert_eq!(now.len(), content.len() - removed);
    assert!(now.starts_with(b"***REMOVED***") && now.ends_with(b"***REMOVED***"));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["replaced"][0]["count"], places.len());
    assert_eq!(answer["proof"]["holds"], true);
    git(path, &["fsck", "--full", "--strict"]);
}
