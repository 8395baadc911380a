//! Repositories that are damaged, incomplete or unusual: what can be scanned is, and what cannot is named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod repository;

use repository::{Found, TestRepository, scan_at, secret};
use std::fs;
use std::path::Path;
use strongroom_scan::Statistics;
use strongroom_scan::git::{GitOptions, Incremental, Submodules};

fn scan(path: &Path) -> (Vec<String>, Statistics) {
    let (found, statistics) = scan_at(path, &GitOptions::default()).unwrap();
    (names(&found), statistics)
}

fn names(found: &[Found]) -> Vec<String> {
    found.iter().map(|found| format!("{} {} {}", found.subject, found.path, found.origin)).collect()
}

fn skipped(statistics: &Statistics) -> Vec<String> {
    statistics.skipped().iter().map(|skipped| format!("{}: {}", skipped.reason, skipped.detail)).collect()
}

/// Several versions of a file, and two secrets in files of their own.
fn with_versions() -> TestRepository {
    let repository = TestRepository::new();
    let text = |round: usize| {
        (0..200)
            .map(|line| format!("line {line} of {}\n", round * usize::from(line % 7 == 0)))
            .collect::<String>()
    };
    for round in 0..12 {
        repository.commit(&format!("round {round}"), &[("versions", &text(round))]);
    }
    repository.commit("one", &[("one", &secret(1))]);
    repository.commit("two", &[("two", &secret(2))]);
    repository
}

fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_folder_that_is_no_repository_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = scan_at(folder.path(), &GitOptions::default()).unwrap_err().to_string();
    assert!(error.contains("is not in a git repository: no .git was found"), "{error}");
    let error = scan_at(&folder.path().join("nowhere"), &GitOptions::default()).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn an_empty_repository_has_nothing() {
    let repository = TestRepository::new();
    let (found, statistics) = scan(repository.path());
    assert_eq!((found.len(), statistics.texts, statistics.skipped().len()), (0, 0, 0));
}

#[test]
fn any_byte_of_a_pack_may_be_wrong() {
    let repository = with_versions();
    let pack = repository.pack().with_extension("pack");
    make_writable(&pack);
    let good = fs::read(&pack).unwrap();
    for at in (12..good.len() - 20).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        fs::write(&pack, &bad).unwrap();
        let (_, statistics) = scan(repository.path());
        assert!(!statistics.skipped().is_empty(), "byte {at} is wrong, and nothing was said");
    }
    fs::write(&pack, &good[..good.len() / 2]).unwrap();
    let (_, statistics) = scan(repository.path());
    assert!(
        statistics.skipped().iter().all(|skipped| skipped.reason.word() == "corrupt"),
        "{:?}",
        skipped(&statistics)
    );
    fs::write(&pack, &good[..5]).unwrap();
    let (found, statistics) = scan(repository.path());
    assert!(found.is_empty());
    assert_eq!(skipped(&statistics)[0], "corrupt: it ends in its first bytes");
}

#[test]
fn an_index_that_is_cut_off_is_made_again_from_its_pack() {
    let repository = with_versions();
    let index = repository.pack().with_extension("idx");
    make_writable(&index);
    let good = fs::read(&index).unwrap();
    for length in [0, 7, 1000, good.len() - 100] {
        fs::write(&index, &good[..length]).unwrap();
        let (found, statistics) = scan(repository.path());
        assert_eq!(found, ["one one History", "two two History"], "{length}");
        assert!(skipped(&statistics)[0].starts_with("corrupt: its index: "), "{:?}", skipped(&statistics));
    }
    let mut wrong = good.clone();
    wrong[8 + 1024 - 1] ^= 1;
    fs::write(&index, &wrong).unwrap();
    assert_eq!(scan(repository.path()).0, ["one one History", "two two History"]);
}

#[test]
fn a_missing_object_is_named() {
    let repository = TestRepository::new();
    repository.commit("one", &[("folder/one", &secret(1))]);
    repository.commit("two", &[("two", &secret(2))]);
    let tree = repository.id_of("HEAD:folder");
    fs::remove_file(repository.path().join(".git/objects").join(&tree[..2]).join(&tree[2..])).unwrap();
    let (found, statistics) = scan(repository.path());
    assert_eq!(found, ["two two History", "  Unreachable"]);
    assert_eq!(skipped(&statistics), [r#"missing: the folder "folder" of a commit"#]);
    assert_eq!(statistics.skipped()[0].what, tree);
}

#[test]
fn a_loose_object_that_is_damaged_is_named() {
    let repository = TestRepository::new();
    repository.commit("one", &[("one", &secret(1)), ("two", &secret(2))]);
    let id = repository.id_of("HEAD:one");
    let path = repository.path().join(".git/objects").join(&id[..2]).join(&id[2..]);
    make_writable(&path);
    let good = fs::read(&path).unwrap();
    for bad in [b"".to_vec(), b"\x78\x01".to_vec(), good[..good.len() - 3].to_vec(), vec![0xff; 40]] {
        fs::write(&path, bad).unwrap();
        let (found, statistics) = scan(repository.path());
        assert_eq!(found, ["one two History"]);
        assert_eq!(
            (statistics.skipped()[0].reason.word(), statistics.skipped()[0].what.as_str()),
            ("corrupt", id.as_str())
        );
    }
}

#[test]
fn a_shallow_clone_says_where_it_ends() {
    let repository = with_versions();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repository.path().display());
    repository.git_in(folder.path(), &["clone", "-q", "--depth=1", &url, "clone"]);
    let (found, statistics) = scan(&folder.path().join("clone"));
    assert_eq!(found, ["two one History", "two two History"]);
    assert_eq!((statistics.shallow_commits, statistics.skipped().len()), (1, 0));
}

#[test]
fn a_partial_clone_says_so() {
    let repository = with_versions();
    repository.git(&["config", "uploadpack.allowFilter", "true"]);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repository.path().display());
    repository.git_in(folder.path(), &["clone", "-q", "--bare", "--filter=blob:none", &url, "clone"]);
    let (found, statistics) = scan(&folder.path().join("clone"));
    assert!(found.is_empty());
    assert_eq!(
        skipped(&statistics),
        ["missing: a partial clone: objects that were promised and not fetched are not scanned"]
    );
}

#[test]
fn worktrees_alternates_and_bare_repositories() {
    let repository = with_versions();
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    repository.git(&["worktree", "add", "-q", "--detach", tree.to_str().unwrap()]);
    fs::write(tree.join("three"), secret(3)).unwrap();
    repository.git_in(&tree, &["add", "-A"]);
    repository.git_in(&tree, &["commit", "-q", "-m", "in the worktree"]);
    let all = ["one one History", "two two History", "in the worktree three History"];
    assert_eq!(scan(&tree).0, all);
    assert_eq!(scan(repository.path()).0, all);
    let url = repository.path().to_str().unwrap().to_owned();
    repository.git_in(folder.path(), &["clone", "-q", "--shared", "--bare", &url, "borrower"]);
    assert_eq!(scan(&folder.path().join("borrower")).0[..2], all[..2]);
    fs::remove_dir_all(repository.path().join(".git")).unwrap();
    let (_, statistics) = scan(&folder.path().join("borrower"));
    assert!(
        skipped(&statistics)[0].contains("a folder of objects that does not exist"),
        "{:?}",
        skipped(&statistics)
    );
    let error = scan_at(&tree, &GitOptions::default()).unwrap_err().to_string();
    assert!(error.contains("the folder it names is not a git folder"), "{error}");
}

#[test]
fn sha256_repositories() {
    let repository = TestRepository::with(&["--initial-branch=main", "--object-format=sha256"]);
    let text = |end: &str| format!("{}{end}", "a line\n".repeat(100));
    repository.commit("first", &[("file", &text(""))]);
    repository.commit("leak", &[("file", &text(&secret(1)))]);
    for packed in [false, true] {
        if packed {
            repository.pack();
        }
        let (found, statistics) = scan(repository.path());
        assert_eq!((found, statistics.skipped().len()), (vec!["leak file History".to_owned()], 0));
    }
    repository.write("file", &text(&secret(2)));
    repository.git(&["add", "-A"]);
    assert_eq!(repository.scan_uncommitted(strongroom_scan::git::Compared::Staged).len(), 1);
}

#[test]
fn submodules_are_named_or_entered() {
    let inner = TestRepository::new();
    inner.commit("inner", &[("secret", &secret(1))]);
    let outer = TestRepository::new();
    outer.commit("outer", &[("file", &secret(2))]);
    let url = inner.path().to_str().unwrap();
    outer.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "lib/inner"]);
    outer.commit("with a module", &[]);
    let (found, statistics) = scan(outer.path());
    assert_eq!(found, ["outer file History"]);
    assert_eq!(skipped(&statistics), ["submodule: another repository; scan it by itself"]);
    let entered = GitOptions { submodules: Submodules::Entered, ..GitOptions::default() };
    let found = names(&scan_at(outer.path(), &entered).unwrap().0);
    assert_eq!(found, ["outer file History", "inner lib/inner/secret History"]);
}

#[test]
fn utf_16_and_archives_in_a_history() {
    let repository = TestRepository::new();
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(secret(1).encode_utf16()).flat_map(u16::to_le_bytes).collect();
    fs::write(repository.path().join("utf16.txt"), utf16).unwrap();
    repository.write("inner.txt", &secret(2));
    repository.git_in(repository.path(), &["init", "-q", "--initial-branch=main", "packer"]);
    fs::write(repository.path().join("packer/inner.txt"), secret(2)).unwrap();
    repository.git_in(&repository.path().join("packer"), &["add", "-A"]);
    repository.git_in(&repository.path().join("packer"), &["commit", "-q", "-m", "x"]);
    repository.git_in(&repository.path().join("packer"), &["archive", "-o", "../archive.zip", "HEAD"]);
    fs::remove_dir_all(repository.path().join("packer")).unwrap();
    fs::remove_file(repository.path().join("inner.txt")).unwrap();
    repository.commit("packed", &[]);
    assert_eq!(
        scan(repository.path()).0,
        ["packed archive.zip!inner.txt History", "packed utf16.txt History"]
    );
}

#[test]
fn a_second_scan_looks_only_at_what_is_new() {
    let repository = with_versions();
    repository.pack();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seen");
    let incremental = Incremental { file: file.clone(), fingerprint: "rules 1".to_owned() };
    let options = GitOptions { incremental: Some(incremental), ..GitOptions::default() };
    let scan = |options: &GitOptions| {
        let (found, statistics) = scan_at(repository.path(), options).unwrap();
        (names(&found), statistics.known_before, statistics.texts)
    };
    let first = scan(&options);
    assert_eq!((first.0.len(), first.1), (2, 0));
    let second = scan(&options);
    assert_eq!(second.0, first.0);
    assert!(second.1 > 0 && second.2 == 0, "{second:?}");
    repository.commit("three", &[("three", &secret(3))]);
    let third = scan(&options);
    assert_eq!(third.0, ["one one History", "two two History", "three three History"]);
    assert!(third.1 > 0 && third.2 < first.2, "{third:?} {first:?}");
    repository.git(&["reset", "-q", "--hard", "HEAD~2"]);
    assert_eq!(scan(&options).0, ["one one History", "two two Reflog", "three three Reflog"]);
    let kept = fs::read_to_string(&file).unwrap();
    assert!(!kept.contains("FAKESECRET"));
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let other = Incremental { file: file.clone(), fingerprint: "rules 2".to_owned() };
    assert_eq!(scan(&GitOptions { incremental: Some(other), ..GitOptions::default() }).1, 0);
    fs::write(&file, "{ damaged").unwrap();
    assert_eq!(scan(&options).1, 0);
    let nowhere = Incremental { file: folder.path().join("no/folder/seen"), fingerprint: String::new() };
    let nowhere = GitOptions { incremental: Some(nowhere), ..GitOptions::default() };
    let error = scan_at(repository.path(), &nowhere).unwrap_err().to_string();
    assert!(error.contains("cannot be written"), "{error}");
}

#[test]
fn blobs_that_are_too_large_to_be_held_are_read_piece_by_piece() {
    let repository = TestRepository::new();
    let text: String = (0..60_000).map(|line| format!("{line} {}\n", line * 7919 % 65_537)).collect();
    repository.commit("large", &[("large", &format!("{text}{}", secret(1)))]);
    let options = GitOptions { blob_bytes_max: 100_000, ..GitOptions::default() };
    let check = || names(&scan_at(repository.path(), &options).unwrap().0);
    assert_eq!(check(), ["large large History"], "loose");
    repository.pack();
    assert_eq!(check(), ["large large History"], "packed");
    repository.commit("larger", &[("large", &format!("{text}{}{}", secret(1), secret(2)))]);
    repository.pack();
    let (_, statistics) = scan_at(repository.path(), &options).unwrap();
    assert_eq!(statistics.skipped()[0].reason.word(), "too-large", "one of both is a delta");
}
