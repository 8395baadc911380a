//! Two rewritten histories beside the one that they come from.

use super::git;
use crate::outcome::Outcome;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is compared of a commit.
struct Commit {
    tree: String,
    parents: Vec<String>,
    people: Vec<Vec<u8>>,
    message: Vec<u8>,
}

/// A rewritten repository.
struct Side {
    path: PathBuf,
    /// New ids by old ones.
    map: HashMap<String, String>,
    /// Old ids by new ones, sorted, to find shortened ones.
    back: BTreeMap<String, String>,
    commits: HashMap<String, Commit>,
}

/// So many differences are shown of each kind.
const SHOWN_MAX: usize = 5;

pub(super) fn compare(original: &Path, ours: &Path, theirs: &Path, answer: &Value) -> Result<Outcome> {
    let arguments = ["rev-list", "--exclude=refs/notes/*", "--exclude=refs/replace/*", "--all"];
    let commits = git(original, &arguments)?;
    let old: Vec<&str> = commits.lines().collect();
    let our_map = answer["map"].as_str().map(PathBuf::from);
    let us = Side::read(ours, our_map.as_deref(), &old)?;
    let them = Side::read(theirs, Some(&theirs.join("filter-repo/commit-map")), &old)?;
    let mut outcome = Outcome::default();
    let mut check = |name: &str, differences: Vec<String>, of: usize| {
        println!("  {name}: {of} compared, {} differ", differences.len());
        differences.iter().take(SHOWN_MAX).for_each(|difference| println!("    {difference}"));
        outcome += Outcome::of_check(differences.is_empty());
    };
    check("trees", differing(&old, &us, &them, |commit, _| commit.tree.clone()), old.len());
    check("parents", differing(&old, &us, &them, |commit, side| side.old_ids(&commit.parents)), old.len());
    check("authors and times", differing(&old, &us, &them, |commit, _| commit.people.clone()), old.len());
    check(
        "messages",
        differing(&old, &us, &them, |commit, side| side.with_old_ids(&commit.message)),
        old.len(),
    );
    let (differences, count) = references(original, &us, &them)?;
    check("references", differences, count);
    check("git fsck --full --strict", fsck(original, ours)?, 1);
    let proof = &answer["proof"];
    let left = proof["remaining"].as_array().map_or(0, Vec::len);
    let rewritten = &answer["commits_rewritten"];
    println!(
        "  {rewritten} of {} commits rewritten; the proof looked at {} objects and named {left}",
        old.len(),
        proof["objects"]
    );
    Ok(outcome)
}

fn differing<T: PartialEq>(
    old: &[&str],
    us: &Side,
    them: &Side,
    of: impl Fn(&Commit, &Side) -> T,
) -> Vec<String> {
    let differs = |id: &&&str| match (us.commit(id), them.commit(id)) {
        (Some(one), Some(other)) => of(one, us) != of(other, them),
        _ => true,
    };
    old.iter().filter(differs).map(|id| (*id).to_owned()).collect()
}

impl Side {
    fn read(path: &Path, map: Option<&Path>, old: &[&str]) -> Result<Self> {
        let mut side = Self {
            path: path.to_owned(),
            map: HashMap::new(),
            back: BTreeMap::new(),
            commits: HashMap::new(),
        };
        let text = match map {
            Some(map) => std::fs::read_to_string(map).with_context(|| map.display().to_string())?,
            None => String::new(),
        };
        for line in text.lines().skip(1) {
            if let Some((old, new)) = line.split_once(' ') {
                side.map.insert(old.to_owned(), new.trim().to_owned());
            }
        }
        let new: BTreeSet<String> = old.iter().map(|id| side.new_of(id).to_owned()).collect();
        for id in old {
            let new = side.new_of(id).to_owned();
            side.back.insert(new, (*id).to_owned());
        }
        side.commits = commits(path, &new)?;
        Ok(side)
    }

    fn new_of<'s>(&'s self, old: &'s str) -> &'s str {
        self.map.get(old).map_or(old, String::as_str)
    }

    fn commit(&self, old: &str) -> Option<&Commit> {
        self.commits.get(self.new_of(old))
    }

    fn old_ids(&self, new: &[String]) -> Vec<String> {
        new.iter().map(|id| self.back.get(id).unwrap_or(id).clone()).collect()
    }

    /// Ids in a message that a program replaced are put back: git-filter-repo leaves those of commits that come later.
    fn with_old_ids(&self, message: &[u8]) -> Vec<u8> {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let mut text = Vec::with_capacity(message.len());
        for part in message.chunk_by(|one, other| is_word(one) == is_word(other)) {
            let word = String::from_utf8_lossy(part);
            let is_id = (7..=40).contains(&part.len())
                && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let mut fitting =
                self.back.range(word.to_string()..).take_while(|(new, _)| new.starts_with(word.as_ref()));
            match (is_id, fitting.next(), fitting.next()) {
                (true, Some((_, old)), None) => text.extend(old.bytes().take(part.len())),
                _ => text.extend_from_slice(part),
            }
        }
        text
    }
}

/// Reads commits with one `git cat-file`.
fn commits(repository: &Path, ids: &BTreeSet<String>) -> Result<HashMap<String, Commit>> {
    let mut command = Command::new("git");
    command
        .current_dir(repository)
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .args(["cat-file", "--batch", "--buffer"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no pipe")?;
    let asked: Vec<u8> = ids.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
    let writer = std::thread::spawn(move || input.write_all(&asked));
    let mut output = BufReader::new(child.stdout.take().context("no pipe")?);
    let mut commits = HashMap::new();
    for id in ids {
        let mut line = String::new();
        output.read_line(&mut line)?;
        let Some(size) = line.trim().rsplit(' ').next().and_then(|size| size.parse::<usize>().ok()) else {
            continue;
        };
        let mut content = vec![0; size + 1];
        output.read_exact(&mut content)?;
        content.pop();
        commits.insert(id.clone(), commit(&content));
    }
    writer.join().ok().context("a thread panicked")??;
    child.wait()?;
    Ok(commits)
}

fn commit(content: &[u8]) -> Commit {
    let blank = content.windows(2).position(|pair| pair == b"\n\n").unwrap_or(content.len());
    let header = content.get(..blank).unwrap_or_default();
    let message = content.get(blank + 2..).unwrap_or_default();
    let lines: Vec<&[u8]> = header.split(|byte| *byte == b'\n').collect();
    let values = |field: &[u8]| -> Vec<Vec<u8>> {
        lines.iter().filter_map(|line| line.strip_prefix(field)).map(<[u8]>::to_vec).collect()
    };
    let text = |field: &[u8]| -> Vec<String> {
        values(field).iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    let tree = text(b"tree ").into_iter().next().unwrap_or_default();
    let people = [values(b"author "), values(b"committer ")].concat();
    Commit { tree, parents: text(b"parent "), people, message: message.to_vec() }
}

/// References lead to the same commits, through all tags. git-filter-repo does not follow notes and replacements, and leaves tags of
/// trees as they were.
fn references(original: &Path, us: &Side, them: &Side) -> Result<(Vec<String>, usize)> {
    let (before, ours, theirs) = (peeled(original)?, peeled(&us.path)?, peeled(&them.path)?);
    let differs = |(name, id): &(&String, &String)| match (ours.get(*name), theirs.get(*name)) {
        (Some(one), Some(other)) => us.new_of(id) != one.as_str() || them.new_of(id) != other.as_str(),
        _ => true,
    };
    let differences = before.iter().filter(differs).map(|(name, id)| {
        let shown = |ids: &BTreeMap<String, String>| ids.get(name).cloned().unwrap_or_default();
        format!("{name} ({id}): {} / {}", shown(&ours), shown(&theirs))
    });
    Ok((differences.collect(), before.len()))
}

/// The commits that references lead to.
fn peeled(repository: &Path) -> Result<BTreeMap<String, String>> {
    let names = git(repository, &["for-each-ref", "--format=%(refname)"])?;
    let mut command = Command::new("git");
    command.current_dir(repository).env("GIT_NO_REPLACE_OBJECTS", "1");
    command
        .args(["cat-file", "--batch-check=%(objecttype) %(objectname)"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let asked: String = names.lines().map(|name| format!("{name}^{{}}\n")).collect();
    let mut input = child.stdin.take().context("no pipe")?;
    let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().ok().context("a thread panicked")??;
    let left_out = ["refs/notes/", "refs/replace/", "refs/strongroom/"];
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = names.lines().zip(text.lines()).filter_map(|(name, line)| {
        let id = line.strip_prefix("commit ")?;
        (!left_out.iter().any(|prefix| name.starts_with(prefix))).then(|| (name.to_owned(), id.to_owned()))
    });
    Ok(pairs.collect())
}

/// What is said of ours and was not said of the original.
fn fsck(original: &Path, ours: &Path) -> Result<Vec<String>> {
    let complaints = |path: &Path| -> Result<(BTreeSet<String>, bool)> {
        let mut command = Command::new("git");
        command.current_dir(path).args(["fsck", "--full", "--strict", "--no-dangling", "--no-progress"]);
        let output = command.env("GIT_NO_REPLACE_OBJECTS", "1").output()?;
        let text = [output.stdout, output.stderr].concat();
        let lines = String::from_utf8_lossy(&text)
            .lines()
            .map(|line| line.replace(|c: char| c.is_ascii_hexdigit(), ""))
            .collect();
        Ok((lines, output.status.success()))
    };
    let (before, was_clean) = complaints(original)?;
    let (after, is_clean) = complaints(ours)?;
    if !was_clean {
        println!("  the original is not clean itself: {} kinds of complaints", before.len());
    }
    let new: Vec<String> = after.difference(&before).cloned().collect();
    Ok(if is_clean { Vec::new() } else { new })
}
