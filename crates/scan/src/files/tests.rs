use super::*;
use crate::content::{Binaries, Cutting};
use crate::planted::{NEEDLE, collected, detector, told};
use std::fs;

fn scan(root: &Path, options: &FilesOptions) -> Vec<String> {
    let (found, statistics) = collected(|sink| {
        scan_files(&detector(), &[root.to_owned()], options, Watch::default(), sink).unwrap()
    });
    let prefix = format!("{}/", shown_path(root));
    let mut lines = told(&found, &statistics);
    let skipped = lines.split_off(found.len());
    let mut skipped: Vec<String> = skipped.into_iter().map(|line| line.replace(&prefix, "")).collect();
    skipped.sort();
    lines.into_iter().map(|line| line.replace(&prefix, "")).chain(skipped).collect()
}

fn put(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn the_order_is_that_of_paths_whatever_the_threads_did() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..200 {
        let name = format!("d{}/f{number:03}.txt", number % 7);
        put(folder.path(), &name, format!("a\n  {NEEDLE}\n\n{NEEDLE}\n"));
    }
    let one = scan(folder.path(), &FilesOptions { threads: 1, ..FilesOptions::default() });
    let four = scan(folder.path(), &FilesOptions { threads: 4, ..FilesOptions::default() });
    assert_eq!(one.len(), 400);
    assert!(one.iter().any(|line| line == "d3/f003.txt:2:3") && one[0].ends_with(":2:3"));
    assert_eq!(one, four);
}

#[test]
fn ignore_files_and_git_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, ".gitignore", "ignored.txt\n");
    put(root, ".strongroomignore", "fixtures/\n*.gen\n");
    put(root, ".secretsignore", "vendor/*\n\n[secrets]\nabc\n");
    for name in ["ignored.txt", "fixtures/a", "b.gen", "vendor/c", ".git/config", ".hidden", "plain"] {
        put(root, name, NEEDLE);
    }
    assert_eq!(scan(root, &FilesOptions::default()), [".hidden:1:1", "ignored.txt:1:1", "plain:1:1"]);
    let options = FilesOptions { gitignore: Gitignore::Honoured, ..FilesOptions::default() };
    assert_eq!(scan(root, &options), [".hidden:1:1", "plain:1:1"]);
    let options = FilesOptions {
        ignore_files: IgnoreFiles::Disregarded,
        git_folders: GitFolders::LookedAt,
        ..FilesOptions::default()
    };
    assert_eq!(scan(root, &options).len(), 7);
}

#[cfg(unix)]
#[test]
fn links_circles_and_pipes() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "far.txt", NEEDLE);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, "real.txt", NEEDLE);
    symlink("real.txt", root.join("link.txt")).unwrap();
    symlink(root, root.join("circle")).unwrap();
    symlink(outside.path().join("far.txt"), root.join("far")).unwrap();
    symlink("nowhere", root.join("dead")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    let links = |links| scan(root, &FilesOptions { links, ..FilesOptions::default() });
    assert_eq!(
        links(Links::Skipped),
        ["real.txt:1:1", "link circle", "link dead", "link far", "link link.txt", "unsupported pipe"]
    );
    let far = fs::canonicalize(outside.path().join("far.txt")).unwrap();
    let mut expected = vec!["real.txt:1:1".to_owned(), "real.txt:1:1".to_owned()];
    expected.push(format!("{}:1:1", far.display()));
    let followed = links(Links::ToFiles);
    expected.sort_by_key(|line| followed.iter().position(|other| other == line));
    assert_eq!(followed.get(..3).unwrap(), expected);
    assert_eq!(followed.get(3..).unwrap(), ["link circle", "link dead", "unsupported pipe"]);
    let all = links(Links::Followed);
    assert!(all.contains(&"link circle".to_owned()), "{all:?}");
    // A pipe that is named itself is not read either: nobody may ever write to it.
    assert_eq!(scan(&root.join("pipe"), &FilesOptions::default()).len(), 1);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_utf8_and_folders_without_permission() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join(OsStr::from_bytes(b"odd\xff\n.txt")), NEEDLE).unwrap();
    put(root, "closed/secret", NEEDLE);
    put(root, "locked", NEEDLE);
    for name in ["closed", "locked"] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o0)).unwrap();
    }
    let told = scan(root, &FilesOptions::default());
    let is_root = fs::read(root.join("locked")).is_ok();
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(told.contains(&"odd\u{fffd}\n.txt:1:1".to_owned()), "{told:?}");
    if !is_root {
        assert!(told.contains(&"permission-denied closed".to_owned()), "{told:?}");
        assert!(told.contains(&"permission-denied locked".to_owned()), "{told:?}");
    }
}

#[test]
fn utf16_binaries_and_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let text = format!("\u{feff}first\r\nsch\u{f6}n {NEEDLE}\r\n");
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    put(root, "big", &big);
    put(root, "big-unmarked", &big[2..]);
    put(root, "little", &little);
    put(root, "little-unmarked", &little[2..]);
    put(root, "picture.png", [b"\x89PNG\r\n\x1a\n\0\0\0\r".as_slice(), NEEDLE.as_bytes()].concat());
    put(root, "empty", "");
    let expected = ["big:2:8", "big-unmarked:2:8", "little:2:8", "little-unmarked:2:8", "binary picture.png"];
    assert_eq!(scan(root, &FilesOptions::default()), expected);
    let mut options = FilesOptions::default();
    options.content.binaries = Binaries::LookedAt;
    assert!(scan(root, &options).contains(&"picture.png:3:5".to_owned()));
    let options = FilesOptions { file_bytes_max: 30, ..FilesOptions::default() };
    assert_eq!(scan(root, &options).iter().filter(|line| line.starts_with("too-large")).count(), 5);
}

#[test]
fn a_large_sparse_file_and_a_line_of_many_megabytes() {
    use std::io::{Seek, SeekFrom, Write};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut sparse = File::create(root.join("sparse")).unwrap();
    writeln!(sparse, "a line of text at the front, so that it is no binary\n{NEEDLE}").unwrap();
    sparse.seek(SeekFrom::Start(50_000_000)).unwrap();
    write!(sparse, "\n{NEEDLE}\n\n {NEEDLE}").unwrap();
    let mut line = vec![b'x'; 12_000_000];
    for at in [5, 4 << 20, 9_000_000] {
        line[at - 1] = b' ';
        line[at..at + NEEDLE.len()].copy_from_slice(NEEDLE.as_bytes());
        line[at + NEEDLE.len()] = b' ';
    }
    put(root, "minified.js", &line);
    assert_eq!(
        scan(root, &FilesOptions::default()),
        [
            "minified.js:1:6".to_owned(),
            format!("minified.js:1:{}", (4 << 20) + 1),
            "minified.js:1:9000001".to_owned(),
            "sparse:2:1".to_owned(),
            "sparse:4:1".to_owned(),
            "sparse:6:2".to_owned(),
        ]
    );
}

#[test]
fn a_long_line_is_not_kept_for_each_of_its_findings() {
    let text = format!("{NEEDLE} ").repeat(5_000);
    let (found, _) = collected(|sink| {
        scan_stream(&detector(), &mut text.as_bytes(), "", &ContentOptions::default(), Watch::default(), sink)
    });
    assert_eq!(found.len(), 5_000);
    assert!(found.iter().all(|located| located.finding.line.expose().len() <= 4200));
}

#[test]
fn streams_in_order_and_ended_by_the_sink() {
    let text = format!("one\n{NEEDLE}\n{NEEDLE}\n").repeat(3);
    let (found, statistics) = collected(|sink| {
        scan_stream(&detector(), &mut text.as_bytes(), "", &ContentOptions::default(), Watch::default(), sink)
    });
    assert_eq!(told(&found, &statistics), [":2:1", ":3:1", ":5:1", ":6:1", ":8:1", ":9:1"]);
    let mut seen = 0;
    scan_stream(
        &detector(),
        &mut text.as_bytes(),
        "",
        &ContentOptions::default(),
        Watch::default(),
        &mut |_| {
            seen += 1;
            if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    assert_eq!(seen, 2);
}

#[test]
fn cut_as_gitleaks_does_a_match_across_the_cut_is_missed_as_there() {
    let mut text = vec![b'x'; 124_990];
    text.extend_from_slice(NEEDLE.as_bytes());
    text.extend_from_slice(format!("\n\n{NEEDLE}\n").as_bytes());
    let lines = |cutting| {
        let options = ContentOptions { cutting, ..ContentOptions::default() };
        let (found, statistics) = collected(|sink| {
            scan_stream(&detector(), &mut text.as_slice(), "f", &options, Watch::default(), sink)
        });
        told(&found, &statistics)
    };
    assert_eq!(lines(Cutting::Whole), ["f:1:124991", "f:3:1"]);
    assert_eq!(lines(Cutting::Gitleaks), ["f:3:1"]);
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    let error = scan_files(
        &detector(),
        &[PathBuf::from("/no/such/folder")],
        &FilesOptions::default(),
        Watch::default(),
        &mut |_| ControlFlow::Continue(()),
    );
    assert!(error.unwrap_err().to_string().starts_with("/no/such/folder: No such file"));
}
