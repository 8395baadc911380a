//! Purges of repositories that git made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod repository;

use repository::TestRepository;
use std::fs;
use std::path::{Path, PathBuf};
use strongroom_scan::Watch;
use strongroom_scan::purge::{
    Error, Force, Lines, Options, Plan, Replacements, Report, backups, purge, read_replacements,
    remove_backup, undo,
};

const VALUE: &str = "fake-value-7Hq2xLw9";

fn options() -> Options {
    Options {
        dry_run: false,
        force: Force::No,
        threads: 2,
        name: "run".to_owned(),
        backup: true,
        clean: true,
    }
}

fn of_file(file: &str) -> Plan {
    let mut replacements = Replacements::default();
    read_replacements(file.as_bytes(), "values", Lines::Whole, &mut replacements).unwrap();
    replacements.prepare();
    Plan { replacements, names: true, messages: true, ..Plan::default() }
}

fn run(repository: &TestRepository, plan: &Plan) -> Report {
    purge(repository.path(), plan, &options(), Watch::default()).unwrap()
}

fn refused(repository: &TestRepository, plan: &Plan) -> String {
    match purge(repository.path(), plan, &options(), Watch::default()) {
        Err(error @ Error::Refused { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Every object and every file of the repository, as git shows them.
fn everything(repository: &TestRepository) -> Vec<u8> {
    let script = "git cat-file --batch-all-objects --batch --buffer; cat .git/packed-refs .git/HEAD; find .git/logs -type f -exec cat {} +; \
                  find . -path ./.git -prune -o -type f -exec cat {} +";
    let output = std::process::Command::new("sh")
        .current_dir(repository.path())
        .args(["-c", script])
        .output()
        .unwrap();
    output.stdout
}

fn holds(repository: &TestRepository, value: &str) -> bool {
    memchr::memmem::find(&everything(repository), value.as_bytes()).is_some()
}

fn check_clean(repository: &TestRepository) {
    repository.git(&["fsck", "--full", "--strict", "--no-dangling"]);
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
}

fn packs(repository: &TestRepository) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository.path().join(".git/objects/pack")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_value_is_taken_out_of_files_messages_and_names() {
    let repository = TestRepository::new();
    repository.commit("first", &[("kept", "nothing\n")]);
    let before = repository.id_of("HEAD");
    repository.commit(
        "second",
        &[("config/app.env", &format!("A=1\nPASSWORD={VALUE}\nB=2\n")), ("bin", &format!("\0\0{VALUE}\0"))],
    );
    let second = repository.id_of("HEAD");
    repository.commit(
        &format!("third: was {VALUE}, see {} and {}", &second[..9], &before[..9]),
        &[(&format!("{VALUE}.txt"), "x\n")],
    );
    repository.commit("fourth", &[("config/app.env", "A=1\nB=2\n")]);
    repository.git(&["tag", "-a", "v1", "-m", &format!("tag of {second}")]);
    let report = run(&repository, &of_file(VALUE));
    assert_eq!((report.commits, report.commits_rewritten), (4, 3));
    assert_eq!((report.blobs_rewritten, report.messages_rewritten, report.ids_in_messages), (2, 1, 2));
    assert!(report.proof.as_ref().unwrap().holds(), "{:?}", report.proof);
    assert!(!holds(&repository, VALUE));
    check_clean(&repository);
    assert_eq!(repository.id_of("HEAD~3"), before, "what comes before the first change stays");
    assert_eq!(repository.git(&["show", "HEAD~2:config/app.env"]), "A=1\nPASSWORD=***REMOVED***\nB=2\n");
    assert_eq!(fs::read_to_string(repository.path().join("***REMOVED***.txt")).unwrap(), "x\n");
    let new_second = repository.id_of("HEAD~2");
    let message = repository.git(&["log", "-1", "--format=%s", "HEAD~1"]);
    assert_eq!(
        message.trim(),
        format!("third: was ***REMOVED***, see {} and {}", &new_second[..9], &before[..9])
    );
    assert!(repository.git(&["cat-file", "tag", "v1"]).contains(&format!("tag of {new_second}")));
    let map = fs::read_to_string(report.map.unwrap()).unwrap();
    assert!(map.contains(&format!("{second} {new_second}\n")), "{map}");
    assert_eq!(report.replaced, [("line 1 of values".to_owned(), 4)]);
}

#[test]
fn loose_and_packed_repositories_end_alike() {
    let mut heads = Vec::new();
    for packed in [false, true] {
        let repository = TestRepository::new();
        for round in 0..30 {
            let text: String = (0..200)
                .map(|line| format!("line {line} of {}\n", if line == round { round } else { 0 }))
                .collect();
            let value = if round % 7 == 3 { VALUE } else { "" };
            repository.commit(
                "round",
                &[("a/b/file", &format!("{text}{value}\n")), (&format!("other/{round}"), "x")],
            );
        }
        if packed {
            repository.pack();
        }
        let report = run(&repository, &of_file(VALUE));
        assert_eq!(report.commits_rewritten, 27);
        check_clean(&repository);
        assert!(!holds(&repository, VALUE));
        heads.push(repository.id_of("HEAD"));
    }
    assert_eq!(heads[0], heads[1]);
}

#[test]
fn odd_things_keep_their_meaning() {
    let repository = TestRepository::new();
    repository.commit("base", &[("file", "text\n")]);
    repository.commit("leak", &[("file", &format!("text {VALUE}\n"))]);
    let leak = repository.id_of("HEAD");
    for branch in ["one", "two", "three"] {
        repository.git(&["checkout", "-q", "-b", branch, "main"]);
        repository.commit(branch, &[(branch, "x\n")]);
    }
    repository.git(&["checkout", "-q", "main"]);
    repository.git(&["merge", "-q", "-m", "octopus", "one", "two", "three"]);
    repository.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
    repository.git(&["notes", "add", "-m", &format!("note with {VALUE}"), &leak]);
    repository.git(&["tag", "light", &leak]);
    repository.git(&["tag", "-a", "inner", "-m", "inner", &leak]);
    repository.git(&["tag", "-a", "outer", "-m", "outer", "inner"]);
    repository.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        "160000,1111111111111111111111111111111111111111,module",
    ]);
    repository.git(&["commit", "-q", "-m", "submodule"]);
    let other = repository.git(&[
        "commit-tree",
        &format!("{leak}^{{tree}}"),
        "-p",
        &format!("{leak}^"),
        "-m",
        "replacement",
    ]);
    repository.git(&["replace", &leak, other.trim()]);
    fs::write(repository.path().join("file"), format!("stashed {VALUE}\n")).unwrap();
    repository.git(&["stash", "-q"]);
    fs::write(repository.path().join("file"), "stashed again\n").unwrap();
    repository.git(&["stash", "-q"]);
    let worktree = tempfile::tempdir().unwrap();
    let linked = worktree.path().join("linked");
    repository.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap(), &leak]);
    let report = run(&repository, &of_file(VALUE));
    assert!(report.proof.as_ref().unwrap().holds(), "{:?}", report.proof);
    assert!(!holds(&repository, VALUE));
    check_clean(&repository);
    let new_leak = repository.id_of("light^{commit}");
    assert_ne!(new_leak, leak);
    assert_eq!(repository.id_of("outer^{commit}"), new_leak);
    assert_eq!(repository.git(&["notes", "show", &new_leak]), "note with ***REMOVED***\n");
    assert_eq!(report.notes_renamed, 1);
    assert_eq!(repository.git(&["stash", "list", "--format=%gd"]), "stash@{0}\nstash@{1}\n");
    assert_eq!(repository.git(&["show", "stash@{1}:file"]), "stashed ***REMOVED***\n");
    assert_eq!(repository.git(&["show", "stash@{0}:file"]), "stashed again\n");
    assert_eq!(repository.git_in(&linked, &["rev-parse", "HEAD"]).trim(), new_leak);
    assert_eq!(fs::read_to_string(linked.join("file")).unwrap(), "text ***REMOVED***\n");
    assert!(repository.git(&["ls-tree", "HEAD", "module"]).starts_with("160000 commit 1111"));
    let replacements = repository.git(&["for-each-ref", "--format=%(refname)", "refs/replace"]);
    assert_eq!(replacements.trim(), format!("refs/replace/{new_leak}"));
    assert_eq!(
        repository.git(&["rev-list", "--parents", "-1", "main~2"]).split_whitespace().count(),
        4,
        "an octopus"
    );
}

/// What is left is what references lead to, all of it and nothing else, in one pack.
fn check_packed(repository: &TestRepository) {
    let lines = |text: String| -> std::collections::BTreeSet<String> {
        text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let there = lines(repository.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]));
    let mut led_to =
        lines(repository.git(&["rev-list", "--objects", "--all", "--reflog", "--indexed-objects"]));
    let tags = repository.git(&["for-each-ref", "--format=%(objectname)"]);
    led_to.extend(lines(tags));
    assert_eq!(there, led_to);
    assert_eq!(packs(repository).iter().filter(|path| path.extension().unwrap() == "pack").count(), 1);
    check_clean(repository);
    repository.git(&[
        "verify-pack",
        packs(repository).iter().find(|path| path.extension().unwrap() == "idx").unwrap().to_str().unwrap(),
    ]);
}

/// Many versions of files in folders, some of which hold the value.
fn grown(rounds: u32, holds: impl Fn(u32) -> bool) -> TestRepository {
    let repository = TestRepository::new();
    for round in 0..rounds {
        let text: String = (0..300)
            .map(|line| format!("line {line} of {}\n", if line % 60 == round % 60 { round } else { 0 }))
            .collect();
        let value = if holds(round) { VALUE } else { "" };
        repository.commit(
            &format!("round {round}"),
            &[
                ("a/b/file", &format!("{text}{value}\n")),
                (&format!("other/{}", round % 7), &format!("{round}\n")),
                ("clean/file", &text),
            ],
        );
    }
    repository
}

#[test]
fn what_stays_is_carried_over_from_several_packs() {
    let repository = grown(40, |round| round % 9 == 4);
    repository.git(&["repack", "-q", "-d", "--window=0"]);
    for round in 0..8 {
        repository.commit("later", &[("clean/file", &format!("later {round}\n")), ("a/b/file", "short\n")]);
    }
    repository.git(&["repack", "-q", "-d"]);
    // Everything a second time, with deltas that name their bases.
    let script = "git rev-list --objects --all | git pack-objects -q --no-reuse-delta .git/objects/pack/pack";
    let made = std::process::Command::new("sh").current_dir(repository.path()).args(["-c", script]).output();
    assert!(made.unwrap().status.success());
    repository.git(&["commit-graph", "write", "--reachable"]);
    repository.git(&["multi-pack-index", "write"]);
    repository.commit("loose", &[("loose", "loose\n")]);
    let report = run(&repository, &of_file(VALUE));
    assert!(report.proof.unwrap().holds());
    assert!(!holds(&repository, VALUE));
    check_packed(&repository);
    repository.git(&["commit-graph", "verify"]);
    assert_eq!(repository.git(&["rev-list", "--count", "HEAD"]), "49\n");
}

#[test]
fn the_pack_is_not_much_larger_than_gits() {
    for first in [3, 150] {
        let repository = grown(200, |round| round >= first);
        repository.pack();
        run(&repository, &of_file(VALUE));
        check_packed(&repository);
        let size = |repository: &TestRepository| -> u64 {
            packs(repository).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
        };
        let ours = size(&repository);
        repository.git(&["gc", "-q", "--prune=now"]);
        let theirs = size(&repository);
        assert!(ours < theirs * 3 / 2, "{ours} beside {theirs}, from {first} on");
    }
}

#[test]
fn a_message_alone_is_purged_and_everything_else_stays() {
    let repository = grown(20, |_| false);
    repository.commit(&format!("said {VALUE}"), &[("last", "x")]);
    repository.pack();
    let report = run(&repository, &Plan { names: false, ..of_file(VALUE) });
    assert_eq!((report.commits_rewritten, report.trees_rewritten), (1, 0));
    assert!(!holds(&repository, VALUE));
    check_packed(&repository);
}

#[test]
fn what_something_else_leads_to_is_left_to_git() {
    let repository = grown(5, |round| round == 2);
    repository.write("unnamed", "of one worktree alone\n");
    let blob = repository.git(&["hash-object", "-w", "unnamed"]);
    repository.git(&["update-ref", "refs/worktree/kept", blob.trim()]);
    fs::remove_file(repository.path().join("unnamed")).unwrap();
    let report = run(&repository, &of_file(VALUE));
    assert!(report.proof.unwrap().holds());
    assert_eq!(repository.git(&["cat-file", "blob", blob.trim()]), "of one worktree alone\n");
    check_clean(&repository);
}

#[test]
fn a_purge_from_a_linked_worktree_brings_the_main_one_along() {
    let repository = grown(5, |_| true);
    let folder = tempfile::tempdir().unwrap();
    let linked = folder.path().join("linked");
    repository.git(&["worktree", "add", "-q", "-b", "other", linked.to_str().unwrap()]);
    let report = purge(&linked, &of_file(VALUE), &options(), Watch::default()).unwrap();
    assert!(report.proof.unwrap().holds());
    for place in [repository.path(), &linked] {
        assert_eq!(repository.git_in(place, &["status", "--porcelain"]), "");
        assert!(fs::read_to_string(place.join("a/b/file")).unwrap().ends_with("***REMOVED***\n"));
    }
    check_packed(&repository);
}

/// Killed between the removal of a pack's index and the pack's own.
#[test]
fn a_pack_that_was_half_removed_is_removed_by_the_next_run() {
    let repository = grown(5, |round| round == 2);
    let old = repository.pack().with_extension("pack");
    let kept = fs::read(&old).unwrap();
    run(&repository, &of_file(VALUE));
    assert!(!old.exists());
    fs::write(&old, kept).unwrap();
    let list = repository.path().join(".git/strongroom/purge/removed-packs");
    fs::write(&list, old.canonicalize().unwrap().to_str().unwrap()).unwrap();
    let report = run(&repository, &of_file(VALUE));
    assert!(report.changes_nothing() && report.proof.unwrap().holds());
    assert!(!old.exists() && !list.exists());
    check_packed(&repository);
}

#[test]
fn missing_and_precious_objects_are_refused() {
    let repository = grown(5, |round| round == 2);
    repository.git(&["config", "extensions.preciousObjects", "true"]);
    assert!(refused(&repository, &of_file(VALUE)).contains("preciousObjects"));
    repository.git(&["config", "--unset", "extensions.preciousObjects"]);
    let (head, blob) = (repository.id_of("HEAD"), repository.id_of("HEAD~3:clean/file"));
    fs::remove_file(repository.path().join(format!(".git/objects/{}/{}", &blob[..2], &blob[2..]))).unwrap();
    assert!(refused(&repository, &of_file(VALUE)).contains("missing"));
    assert_eq!(repository.id_of("HEAD"), head);
}

#[test]
fn a_run_without_changes_touches_nothing() {
    let repository = TestRepository::new();
    repository.commit("first", &[("file", "text\n")]);
    repository.pack();
    let (before, head) = (packs(&repository), repository.id_of("HEAD"));
    let report = run(&repository, &of_file(VALUE));
    assert!(report.changes_nothing() && report.proof.unwrap().holds());
    assert_eq!((packs(&repository), repository.id_of("HEAD")), (before, head));
    assert_eq!(report.backup, None);
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let repository = TestRepository::new();
    let file = format!("a/of {VALUE}");
    repository.commit("first", &[(&file, &format!("one\nkey = {VALUE} # twice {VALUE}\n"))]);
    let before = everything(&repository);
    let dry = Options { dry_run: true, ..options() };
    let report = purge(repository.path(), &of_file(VALUE), &dry, Watch::default()).unwrap();
    assert_eq!((report.commits_rewritten, report.blobs_rewritten, report.trees_rewritten), (1, 1, 2));
    assert_eq!(report.samples.len(), 1);
    let sample = &report.samples[0];
    assert_eq!((sample.path.as_str(), sample.line), ("a/of [line 1 of values]", 2));
    assert_eq!(sample.before, "key = [line 1 of values] # twice [line 1 of values]");
    assert_eq!(sample.after, "key = ***REMOVED*** # twice ***REMOVED***");
    assert!(!format!("{report:?}").contains(VALUE));
    assert_eq!(everything(&repository), before);
    assert!(!repository.path().join(".git/strongroom").exists());
}

#[test]
fn files_folders_paths_sizes_and_ids() {
    let repository = TestRepository::new();
    let large = "0123456789".repeat(300);
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1\n", "ab".repeat(32));
    repository.commit(
        "all",
        &[
            ("id_rsa", "key\n"),
            ("deep/er/id_rsa", "key two\n"),
            ("secrets/x", "x\n"),
            ("a/secrets/y", "y\n"),
            ("large", &large),
            ("only/this/file", "path\n"),
            ("only/this/other", "stays\n"),
            ("alone/file", "by id\n"),
            ("big.bin", &pointer),
        ],
    );
    repository.commit("later", &[("kept", "x\n")]);
    let mut plan = Plan::default();
    plan.removals.add_files("id_{rsa,dsa}").unwrap();
    plan.removals.add_files("big.*").unwrap();
    plan.removals.add_folders("secrets").unwrap();
    plan.removals.add_path("only/this/file").unwrap();
    plan.removals.larger_than = Some(2000);
    let id = repository.id_of("HEAD:alone/file");
    plan.removals.blobs.insert(strongroom_scan::git::ObjectId::from_hex(id.as_bytes()).unwrap());
    let report = run(&repository, &plan);
    check_clean(&repository);
    assert_eq!(repository.git(&["ls-tree", "-r", "--name-only", "HEAD"]), "kept\nonly/this/other\n");
    assert_eq!(repository.git(&["ls-tree", "-r", "--name-only", "HEAD~1"]), "only/this/other\n");
    assert!(!repository.path().join("id_rsa").exists());
    assert_eq!(report.lfs_objects, ["ab".repeat(32)]);
    assert!(report.proof.unwrap().holds());
    assert!(report.paths["deep/er/id_rsa"].removed > 0);
    assert!(!holds(&repository, "by id"));
}

#[test]
fn a_commit_that_loses_everything_stays_with_an_empty_tree() {
    let repository = TestRepository::new();
    repository.commit("only", &[("secrets/x", "x\n")]);
    let mut plan = Plan::default();
    plan.removals.add_folders("secrets").unwrap();
    run(&repository, &plan);
    check_clean(&repository);
    assert_eq!(repository.git(&["log", "--format=%s %T"]), "only 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n");
}

#[test]
fn what_is_not_safe_is_refused() {
    let repository = TestRepository::new();
    repository.commit("first", &[("file", VALUE)]);
    let plan = of_file(VALUE);
    fs::write(repository.path().join("file"), "changed").unwrap();
    assert!(refused(&repository, &plan).contains("not committed"));
    repository.git(&["checkout", "-q", "file"]);
    for name in
        ["index.lock", "gc.pid", "MERGE_HEAD", "objects/pack/pack-1.keep", "objects/pack/pack-1.promisor"]
    {
        let path = repository.path().join(".git").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "1 another-machine.example").unwrap();
        refused(&repository, &plan);
        fs::remove_file(path).unwrap();
    }
    assert!(refused(&repository, &of_file("short")).contains("fewer than 8"));
    assert!(refused(&repository, &of_file("password")).contains("common word"));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repository.path().display());
    repository.commit("second", &[("file", "x")]);
    repository.git_in(folder.path(), &["clone", "-q", "--depth=1", &url, "shallow"]);
    repository
        .git_in(folder.path(), &["clone", "-q", "--shared", repository.path().to_str().unwrap(), "shared"]);
    let at = |path: &Path, force| purge(path, &plan, &Options { force, ..options() }, Watch::default());
    assert!(at(&folder.path().join("shallow"), Force::No).unwrap_err().to_string().contains("shallow"));
    at(&folder.path().join("shallow"), Force::Yes).unwrap();
    repository.git_in(&folder.path().join("shallow"), &["fsck", "--full"]);
    assert!(at(&folder.path().join("shared"), Force::Yes).unwrap_err().to_string().contains("borrows"));
    assert_eq!(repository.git(&["show", "HEAD~1:file"]), VALUE, "nothing was changed");
}

#[test]
fn a_shallow_clone_keeps_its_boundary() {
    let repository = TestRepository::new();
    for round in 0..4 {
        repository.commit("round", &[("file", &format!("{VALUE} {round}"))]);
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repository.path().display());
    repository.git_in(folder.path(), &["clone", "-q", "--depth=2", &url, "clone"]);
    let clone = folder.path().join("clone");
    purge(&clone, &of_file(VALUE), &Options { force: Force::Yes, ..options() }, Watch::default()).unwrap();
    repository.git_in(&clone, &["fsck", "--full"]);
    assert_eq!(repository.git_in(&clone, &["log", "--format=%s"]), "round\nround\n");
    assert_eq!(repository.git_in(&clone, &["show", "HEAD~1:file"]), "***REMOVED*** 2");
}

#[test]
fn a_backup_brings_everything_back_and_can_be_removed() {
    let repository = TestRepository::new();
    repository.commit("first", &[("file", VALUE)]);
    repository.git(&["checkout", "-q", "--detach"]);
    fs::write(repository.path().join("file"), format!("stash {VALUE}")).unwrap();
    repository.git(&["stash", "-q"]);
    let (head, stash) = (repository.id_of("HEAD"), repository.id_of("stash@{0}"));
    let report = run(&repository, &of_file(VALUE));
    assert_ne!(repository.id_of("HEAD"), head);
    let backup = report.backup.unwrap();
    repository.git_in(&backup, &["fsck", "--full", "--strict"]);
    assert_eq!(repository.git_in(&backup, &["rev-parse", "refs/heads/main"]).trim(), head);
    let runs = backups(repository.path()).unwrap();
    let undone = undo(repository.path(), &runs[0]).unwrap();
    assert!(!undone.references.is_empty());
    assert_eq!((repository.id_of("HEAD"), repository.id_of("stash@{0}")), (head, stash));
    check_clean(&repository);
    assert_eq!(fs::read_to_string(repository.path().join("file")).unwrap(), VALUE);
    remove_backup(&runs[0]).unwrap();
    assert!(backups(repository.path()).unwrap().is_empty());
}

#[test]
fn what_only_reflogs_and_nothing_lead_to_is_gone_too() {
    let repository = TestRepository::new();
    repository.commit("first", &[("file", "clean\n")]);
    repository.commit("leak", &[("file", VALUE)]);
    repository.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let head = repository.id_of("HEAD");
    let report = run(&repository, &of_file(VALUE));
    assert_eq!((report.holders, report.commits_rewritten), (1, 0));
    assert!(report.proof.unwrap().holds());
    assert!(!holds(&repository, VALUE));
    assert_eq!(repository.id_of("HEAD"), head);
}

#[test]
fn a_bare_repository_of_sha256() {
    let repository = TestRepository::with(&["--initial-branch=main", "--object-format=sha256"]);
    repository.commit("first", &[("file", VALUE)]);
    let first = repository.id_of("HEAD");
    repository.commit(&format!("after {first}"), &[("other", "x")]);
    let bare = tempfile::tempdir().unwrap();
    repository
        .git_in(bare.path(), &["clone", "-q", "--bare", repository.path().to_str().unwrap(), "bare.git"]);
    for path in [repository.path().to_owned(), bare.path().join("bare.git")] {
        let report = purge(&path, &of_file(VALUE), &options(), Watch::default()).unwrap();
        assert!(report.proof.unwrap().holds());
        repository.git_in(&path, &["fsck", "--full", "--strict"]);
        assert_eq!(repository.git_in(&path, &["show", "HEAD:file"]), "***REMOVED***");
    }
    let message = repository.git(&["log", "-1", "--format=%s"]);
    assert_eq!(message.trim(), format!("after {}", repository.id_of("HEAD~1")));
}

#[test]
fn names_and_messages_that_are_no_utf8() {
    let repository = TestRepository::new();
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    fs::write(repository.path().join(name), [b"\xff\xfe ", VALUE.as_bytes(), b" \xe9\n"].concat()).unwrap();
    repository.git(&["add", "-A"]);
    fs::write(repository.path().join(".git/message"), [b"caf\xe9 ", VALUE.as_bytes(), b"\n"].concat())
        .unwrap();
    repository.git(&["-c", "i18n.commitEncoding=latin1", "commit", "-q", "-F", ".git/message"]);
    fs::remove_file(repository.path().join(".git/message")).unwrap();
    run(&repository, &of_file(VALUE));
    check_clean(&repository);
    assert!(!holds(&repository, VALUE));
    let output = everything(&repository);
    assert!(memchr::memmem::find(&output, b"caf\xe9 ***REMOVED***").is_some());
    assert_eq!(fs::read(repository.path().join(name)).unwrap(), b"\xff\xfe ***REMOVED*** \xe9\n");
}

#[test]
fn encoded_forms_and_authors_are_told_by_the_proof() {
    let repository = TestRepository::new();
    let encoded = data_encoding::BASE64.encode(format!("user:{VALUE}").as_bytes());
    repository.commit("first", &[("file", VALUE), ("header", &encoded)]);
    repository.git(&[
        "-c",
        &format!("user.name={VALUE}"),
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "x",
        "--author",
        &format!("{VALUE} <a@example.com>"),
    ]);
    let report = run(&repository, &of_file(VALUE));
    let proof = report.proof.unwrap();
    let told: Vec<String> = proof
        .remaining
        .iter()
        .map(|one| format!("{} {} {}", one.kind, one.what.join(","), one.place))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|text| text.starts_with("blob line 1 of values, as base64")), "{told:?}");
    assert!(told.iter().any(|text| text.starts_with("commit line 1 of values its header")), "{told:?}");
}

/// A run that was killed after references had moved, and before anything was checked out.
#[test]
fn a_killed_run_is_finished_by_the_next_one() {
    let repository = TestRepository::new();
    repository.commit("first", &[("file", VALUE)]);
    let old = repository.id_of("HEAD");
    run(&repository, &of_file(VALUE));
    let new = repository.id_of("HEAD");
    let runs = backups(repository.path()).unwrap();
    undo(repository.path(), &runs[0]).unwrap();
    let git_dir = repository.path().join(".git").canonicalize().unwrap();
    fs::write(git_dir.join("strongroom/purge/unfinished"), format!("{old} {}\n", git_dir.display())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clean = Options { clean: false, name: "again".to_owned(), ..options() };
    repository.git_in(folder.path(), &["clone", "-q", "--bare", repository.path().to_str().unwrap(), "bare"]);
    purge(&folder.path().join("bare"), &of_file(VALUE), &clean, Watch::default()).unwrap();
    repository.git(&["fetch", "-q", folder.path().join("bare").to_str().unwrap(), "main"]);
    repository.git(&["update-ref", "refs/heads/main", &new]);
    assert_ne!(repository.git(&["status", "--porcelain"]), "");
    let report = purge(
        repository.path(),
        &of_file(VALUE),
        &Options { name: "last".to_owned(), ..options() },
        Watch::default(),
    )
    .unwrap();
    assert!(report.changes_nothing() && report.proof.unwrap().holds());
    assert_eq!(fs::read_to_string(repository.path().join("file")).unwrap(), "***REMOVED***");
    check_clean(&repository);
    assert!(!git_dir.join("strongroom/purge/unfinished").exists());
}
