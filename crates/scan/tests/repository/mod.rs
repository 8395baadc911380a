//! Repositories made by git in folders of their own, with commits at times that are set.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use strongroom_detect::{Detector, Options, Pattern, Rule, RuleSet};
use strongroom_scan::git::{self, Compared, Error, GitOptions, Push};
use strongroom_scan::{Located, Statistics, Watch};
use tempfile::TempDir;

pub(crate) struct TestRepository {
    folder: TempDir,
    seconds: Cell<i64>,
}

/// A finding, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) subject: String,
    pub(crate) path: String,
    pub(crate) origin: String,
    pub(crate) object: String,
    pub(crate) line: u64,
    pub(crate) further: u64,
}

/// A value that the rule of these tests finds.
pub(crate) fn secret(number: u32) -> String {
    format!("FAKESECRET{number:010}\n")
}

impl TestRepository {
    pub(crate) fn new() -> Self {
        Self::with(&["--initial-branch=main"])
    }

    pub(crate) fn bare() -> Self {
        Self::with(&["--initial-branch=main", "--bare"])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap(), seconds: Cell::new(1_700_000_000) };
        repository.git(&[&["init", "-q"], options].concat());
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_in(self.path(), arguments)
    }

    pub(crate) fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let date = format!("{} +0000", self.seconds.get());
        let output = Command::new("git")
            .current_dir(folder)
            .args(arguments)
            .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")])
            .envs([("GIT_AUTHOR_NAME", "A U Thor"), ("GIT_AUTHOR_EMAIL", "author@example.com")])
            .envs([("GIT_COMMITTER_NAME", "C O Mitter"), ("GIT_COMMITTER_EMAIL", "committer@example.com")])
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self, message: &str, files: &[(&str, &str)]) {
        self.seconds.set(self.seconds.get() + 100);
        files.iter().for_each(|(path, text)| self.write(path, text));
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    pub(crate) fn id_of(&self, revision: &str) -> String {
        self.git(&["rev-parse", revision]).trim().to_owned()
    }

    /// The pack that there is after `git gc`, without the end of its name.
    pub(crate) fn pack(&self) -> std::path::PathBuf {
        self.git(&["gc", "-q", "--prune=now"]);
        let mut entries = std::fs::read_dir(self.path().join(".git/objects/pack")).unwrap();
        let pack = entries.find_map(|entry| {
            let path = entry.unwrap().path();
            path.extension().is_some_and(|end| end == "pack").then_some(path)
        });
        pack.unwrap().with_extension("")
    }

    pub(crate) fn seconds_of(&self, revision: &str) -> i64 {
        self.git(&["log", "-1", "--format=%ct", revision]).trim().parse().unwrap()
    }

    pub(crate) fn scan(&self) -> Vec<Found> {
        self.scan_with(&GitOptions::default())
    }

    pub(crate) fn scan_with(&self, options: &GitOptions) -> Vec<Found> {
        self.try_scan(options).unwrap().0
    }

    pub(crate) fn try_scan(&self, options: &GitOptions) -> Result<(Vec<Found>, Statistics), Error> {
        scan_at(self.path(), options)
    }

    pub(crate) fn scan_uncommitted(&self, compared: Compared) -> Vec<Found> {
        let mut found = Vec::new();
        let options = GitOptions::default();
        git::scan_uncommitted(
            self.path(),
            compared,
            &detector(),
            &options,
            Watch::default(),
            &mut |located| {
                found.push(Found::of(&located));
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        found
    }

    pub(crate) fn scan_push(&self, lines: &str, push: Push, options: &GitOptions) -> Vec<Found> {
        self.try_push(lines, push, options).unwrap()
    }

    pub(crate) fn try_push(
        &self,
        lines: &str,
        push: Push,
        options: &GitOptions,
    ) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        git::scan_push(self.path(), lines, push, &detector(), options, Watch::default(), &mut |located| {
            found.push(Found::of(&located));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}

pub(crate) fn scan_at(path: &Path, options: &GitOptions) -> Result<(Vec<Found>, Statistics), Error> {
    let mut found = Vec::new();
    let statistics = git::scan_history(path, &detector(), options, Watch::default(), &mut |located| {
        found.push(Found::of(&located));
        ControlFlow::Continue(())
    })?;
    Ok((found, statistics))
}

fn detector() -> Detector {
    let mut rule = Rule::new("fake");
    rule.keywords = vec!["fakesecret".to_owned()];
    rule.regex = Some(Pattern::new("FAKESECRET[0-9]{10}").unwrap());
    let mut of_paths = Rule::new("only-in-configuration");
    of_paths.keywords = vec!["pathsecret".to_owned()];
    of_paths.regex = Some(Pattern::new("PATHSECRET[0-9]{10}").unwrap());
    of_paths.path = Some(Pattern::new(r"\.conf$").unwrap());
    let mut path_alone = Rule::new("keystore");
    path_alone.path = Some(Pattern::new(r"\.keystore$").unwrap());
    let rules = RuleSet { rules: vec![rule, of_paths, path_alone], ..RuleSet::default() };
    Detector::new(rules, Options::native())
}

impl Found {
    fn of(located: &Located) -> Self {
        let message = located.commit.as_ref().map(|commit| commit.message.as_str()).unwrap_or_default();
        Self {
            subject: message.lines().next().unwrap_or_default().to_owned(),
            path: located.path.clone(),
            origin: format!("{:?}", located.origin),
            object: located.object.clone(),
            line: located.finding.place.start_line,
            further: located.further,
        }
    }
}
