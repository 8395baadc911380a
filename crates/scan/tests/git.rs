//! Scans of real repositories, made by git.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod repository;

use repository::{Found, TestRepository, secret};
use strongroom_scan::git::{Compared, GitOptions, Push, Unreachable};

fn paths(found: &[Found]) -> Vec<String> {
    found.iter().map(|found| format!("{} {} {}", found.subject, found.path, found.origin)).collect()
}

#[test]
fn the_oldest_commit_that_holds_a_secret_is_reported() {
    let repository = TestRepository::new();
    repository.commit("readme", &[("README", "nothing\n")]);
    repository.commit("leak", &[("config", &format!("a\nb\nkey = {}\n", secret(1)))]);
    for round in 1..20 {
        let text = format!("a\n{}b\nkey = {}\n", "more text\n".repeat(round), secret(1));
        repository.commit(&format!("edit {round}"), &[("config", &text)]);
    }
    repository.commit("gone", &[("config", "a\nb\n")]);
    for packed in [false, true] {
        if packed {
            repository.git(&["gc", "-q", "--aggressive", "--prune=now"]);
        }
        let found = repository.scan();
        assert_eq!(paths(&found), ["leak config History"], "packed: {packed}");
        assert_eq!((found[0].line, found[0].further), (3, 19));
    }
}

#[test]
fn a_secret_that_only_a_merge_brings_is_found() {
    let repository = TestRepository::new();
    repository.commit("base", &[("file", "1\n2\n3\n")]);
    repository.git(&["checkout", "-q", "-b", "side"]);
    repository.commit("side", &[("other", "x\n")]);
    repository.git(&["checkout", "-q", "main"]);
    repository.commit("main", &[("third", "y\n")]);
    repository.git(&["merge", "-q", "--no-commit", "side"]);
    repository.commit("evil merge", &[("file", &format!("1\n2\n{}\n", secret(2)))]);
    assert_eq!(paths(&repository.scan()), ["evil merge file History"]);
    let ranged = GitOptions { revisions: vec!["HEAD^1..HEAD".to_owned()], ..GitOptions::default() };
    assert_eq!(paths(&repository.scan_with(&ranged)), ["evil merge file History"]);
}

#[test]
fn what_was_squashed_away_is_told_by_its_reflog_and_then_as_unreachable() {
    let repository = TestRepository::new();
    repository.commit("base", &[("file", "1\n")]);
    repository.git(&["checkout", "-q", "-b", "work"]);
    repository.commit("leak", &[("file", &secret(3))]);
    repository.commit("removed again", &[("file", "2\n")]);
    repository.git(&["checkout", "-q", "main"]);
    repository.git(&["merge", "-q", "--squash", "work"]);
    repository.git(&["commit", "-q", "-m", "squashed"]);
    assert_eq!(paths(&repository.scan()), ["leak file History"]);
    repository.git(&["branch", "-q", "-D", "work"]);
    assert_eq!(paths(&repository.scan()), ["leak file Reflog"]);
    repository.git(&["reflog", "expire", "--expire=now", "--all"]);
    assert_eq!(paths(&repository.scan()), ["leak file Unreachable"]);
    let reachable = GitOptions { unreachable: Unreachable::LeftOut, ..GitOptions::default() };
    assert_eq!(paths(&repository.scan_with(&reachable)), [""; 0]);
    repository.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(paths(&repository.scan()), [""; 0]);
}

#[test]
fn a_blob_that_nothing_names_is_told_by_its_id() {
    let repository = TestRepository::new();
    repository.commit("base", &[("file", "1\n")]);
    repository.write("loose", &secret(4));
    let id = repository.git(&["hash-object", "-w", "loose"]);
    let found = repository.scan();
    assert_eq!(paths(&found), ["  Unreachable"]);
    assert_eq!(found[0].object, id.trim());
}

#[test]
fn stash_notes_tags_and_messages() {
    let repository = TestRepository::new();
    repository.commit("base", &[("file", "1\n")]);
    repository.write("file", &secret(5));
    repository.git(&["stash", "-q"]);
    repository.git(&["notes", "add", "-m", &secret(6)]);
    repository.git(&["tag", "-a", "v1", "-m", &format!("release {}", secret(7))]);
    repository.commit(&format!("with {}", secret(8)), &[("file", "3\n")]);
    let found = repository.scan();
    let mut origins: Vec<_> = found.iter().map(|found| found.origin.as_str()).collect();
    origins.sort_unstable();
    assert_eq!(origins, ["CommitMessage", "History", "History", "TagMessage"]);
    assert!(found[0].subject.starts_with("WIP on main"), "{:?}", found[0]);
    assert!(found[1].subject.starts_with("Notes added"), "{:?}", found[1]);
    let silent = GitOptions { messages: false, ..GitOptions::default() };
    assert_eq!(repository.scan_with(&silent).len(), 2);
}

#[test]
fn a_file_that_stays_as_it_is_while_others_change_is_no_further_place() {
    let repository = TestRepository::new();
    repository.commit("leak", &[("folder/config", &secret(1))]);
    for round in 0..5 {
        repository.commit("beside it", &[("folder/other", &format!("{round}\n"))]);
    }
    let found = repository.scan();
    assert_eq!((paths(&found), found[0].further), (vec!["leak folder/config History".to_owned()], 0));
}

#[test]
fn one_report_for_each_path() {
    let repository = TestRepository::new();
    repository.commit("first", &[("a/one", &secret(9))]);
    repository.git(&["mv", "a", "b"]);
    repository.git(&["commit", "-q", "-m", "moved"]);
    repository.commit("copied", &[("c/two", &format!("text around\n{}\n", secret(9)))]);
    let found = paths(&repository.scan());
    assert_eq!(found, ["first a/one History", "moved b/one History", "copied c/two History"]);
    let chosen = GitOptions { paths: vec!["c".to_owned()], ..GitOptions::default() };
    assert_eq!(paths(&repository.scan_with(&chosen)), ["copied c/two History"]);
}

#[test]
fn ranges_dates_and_branches() {
    let repository = TestRepository::new();
    repository.commit("old", &[("old", &secret(10))]);
    repository.git(&["tag", "v1"]);
    repository.commit("young", &[("new", &secret(11)), ("old", &format!("{}\nmore\n", secret(10)))]);
    repository.git(&["checkout", "-q", "-b", "side", "v1"]);
    repository.commit("side", &[("side", &secret(12))]);
    repository.git(&["checkout", "-q", "main"]);
    let scan = |revisions: &[&str]| {
        let revisions = revisions.iter().map(|text| (*text).to_owned()).collect();
        paths(&repository.scan_with(&GitOptions { revisions, ..GitOptions::default() }))
    };
    assert_eq!(scan(&["v1..main"]), ["young new History"], "the secret in `old` was there before");
    assert_eq!(scan(&["v1.."]), ["young new History"]);
    assert_eq!(scan(&["main", "^v1"]), ["young new History"]);
    assert_eq!(scan(&["HEAD~1..HEAD"]), ["young new History"]);
    assert_eq!(scan(&["main...side"]), ["young new History", "side side History"]);
    assert_eq!(scan(&["side"]), ["old old History", "side side History"]);
    assert_eq!(scan(&["--branches"]).len(), 3);
    let since = GitOptions { since: Some(repository.seconds_of("main")), ..GitOptions::default() };
    assert_eq!(paths(&repository.scan_with(&since)), ["young new History", "side side History"]);
    let until = GitOptions { until: Some(repository.seconds_of("v1")), ..GitOptions::default() };
    assert_eq!(paths(&repository.scan_with(&until)), ["old old History"]);
    let wrong = GitOptions { revisions: vec!["mian".to_owned()], ..GitOptions::default() };
    let error = repository.try_scan(&wrong).unwrap_err().to_string();
    assert!(error.starts_with("\"mian\" names no commit of this repository"), "{error}");
}

#[test]
fn what_is_staged_and_what_is_not() {
    let repository = TestRepository::new();
    repository.write("first", &secret(20));
    repository.git(&["add", "first"]);
    let staged = || paths(&repository.scan_uncommitted(Compared::Staged));
    let changed = || paths(&repository.scan_uncommitted(Compared::WorkingTree));
    assert_eq!(staged(), [" first Staged"], "before the first commit");
    repository.git(&["commit", "-q", "-m", "first"]);
    assert_eq!((staged(), changed()), (vec![], vec![]));
    repository.write("first", &format!("one more line\n{}\n{}\n", secret(20), secret(21)));
    assert_eq!((staged(), changed()), (vec![], vec![" first WorkingTree".to_owned()]));
    repository.git(&["add", "first"]);
    assert_eq!((staged(), changed()), (vec![" first Staged".to_owned()], vec![]));
    repository.git(&["commit", "-q", "-m", "second"]);
    repository.git(&["mv", "first", "renamed"]);
    repository.write("renamed", &format!("{}\n{}\nanother\n", secret(20), secret(21)));
    repository.git(&["add", "."]);
    assert_eq!(staged(), [""; 0], "it only has another name");
    repository.git(&["update-index", "--index-version", "4"]);
    repository.write("deep/er/file", &secret(22));
    repository.git(&["add", "."]);
    assert_eq!(staged(), [" deep/er/file Staged"]);
}

#[test]
fn hooks_scan_what_a_push_brings() {
    let repository = TestRepository::new();
    let zero = "0".repeat(40);
    repository.commit("old", &[("old", &secret(30))]);
    let old = repository.id_of("HEAD");
    repository.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repository.commit("new", &[("new", &secret(31))]);
    let new = repository.id_of("HEAD");
    let outgoing = |lines: &str| paths(&repository.scan_push(lines, Push::Outgoing, &GitOptions::default()));
    assert_eq!(outgoing(&format!("refs/heads/main {new} refs/heads/main {old}\n")), ["new new History"]);
    assert_eq!(outgoing(&format!("refs/heads/main {new} refs/heads/other {zero}\n")), ["new new History"]);
    assert_eq!(outgoing(&format!("(delete) {zero} refs/heads/main {old}\n")), [""; 0]);
}

#[test]
fn a_receiving_hook_scans_objects_in_quarantine() {
    let receiver = TestRepository::bare();
    let sender = TestRepository::new();
    sender.commit("first", &[("old", &secret(33))]);
    sender.git(&["push", "-q", receiver.path().to_str().unwrap(), "main"]);
    sender.commit("second", &[("new", &secret(34))]);
    let (old, new) = (sender.id_of("HEAD~1"), sender.id_of("HEAD"));
    // As receive-pack does: the objects lie aside, and the real ones are alternates.
    let quarantine = tempfile::tempdir().unwrap();
    std::fs::create_dir(quarantine.path().join("pack")).unwrap();
    for entry in ["blob", "tree", "commit"] {
        let listing =
            sender.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]);
        for line in listing.lines().filter(|line| line.ends_with(entry)) {
            let hex = &line[..40];
            let from = sender.path().join(".git/objects").join(&hex[..2]).join(&hex[2..]);
            let to = quarantine.path().join(&hex[..2]);
            std::fs::create_dir_all(&to).unwrap();
            std::fs::copy(from, to.join(&hex[2..])).unwrap();
        }
    }
    let mut options = GitOptions::default();
    options.object_directories.objects = Some(quarantine.path().to_owned());
    options.object_directories.alternates = vec![receiver.path().join("objects")];
    let lines = format!("{old} {new} refs/heads/main\n");
    assert_eq!(paths(&receiver.scan_push(&lines, Push::Incoming, &options)), ["second new History"]);
    let error = receiver.try_push("one two\n", Push::Incoming, &options).unwrap_err().to_string();
    assert_eq!(error, "line 1 of the hook's input is not what git writes there");
}

#[test]
fn rules_for_certain_paths_hold_in_histories_too() {
    let repository = TestRepository::new();
    let text = "key = PATHSECRET0000000001\n";
    repository.commit("both", &[("app.conf", text), ("readme.txt", text)]);
    assert_eq!(paths(&repository.scan()), ["both app.conf History"]);
}

#[test]
fn rules_for_paths_alone_see_every_file_of_a_history() {
    let repository = TestRepository::new();
    repository.commit("key store", &[("keys/app.keystore", "\0\u{1}\0binary")]);
    repository.commit("changed", &[("keys/app.keystore", "\0\u{1}\0other")]);
    repository.commit("removed", &[("other", "")]);
    assert_eq!(paths(&repository.scan()), ["key store keys/app.keystore History"]);
    let ranged = GitOptions { revisions: vec!["HEAD~1..HEAD".to_owned()], ..GitOptions::default() };
    assert_eq!(paths(&repository.scan_with(&ranged)), [""; 0]);
}
