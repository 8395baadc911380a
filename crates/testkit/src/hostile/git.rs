//! What a scan of a git repository reads: deltas, packs, patches, the index.

use super::Target;
use sha1::{Digest, Sha1};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;
use strongroom_detect::{Detector, Options, Pattern, Rule, RuleSet};
use strongroom_scan::Watch;
use strongroom_scan::git::delta::Delta;
use strongroom_scan::git::{GitOptions, HashKind, patch, scan_history, staging};

pub const TARGETS: &[Target] = &[
    Target { name: "delta", examples: &["\x08abcdefgh\x08\x0a\x10\x04\x02xy\x11\x04\x04"], run: delta },
    Target {
        name: "patch",
        examples: &[
            "commit 1111111111111111111111111111111111111111 (HEAD -> main)\nAuthor: A <a@example.com>\nDate:   Tue Nov 14 22:13:20 2023 -0130\n\n    title\n\n    body\n\ndiff --git a/a.txt b/a.txt\nindex 1..2 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1,2 @@ context\n-old\n+new\n+++ more\n@@ -9,0 +11 @@\n+last\n\\ No newline at end of file\ndiff --git a/bin b/bin\nBinary files a/bin and b/bin differ\n",
            "diff --git \"a/t\\303\\244b\\t\" \"b/t\\303\\244b\\t\"\nrename from old\nrename to new\n--- /dev/null\n+++ \"b/t\\303\\244b\\t\"\n@@ -0,0 +1 @@\n+x\n",
        ],
        run: patch,
    },
    Target {
        name: "pack",
        examples: &[
            // A blob, a tree of it, a commit of that; and a delta of the blob.
            "\x03\0\x14fakesecret0123456789\x02\0\x0d100644 a\0\x04\0\x01\0\x3etree \x05\x01\nauthor A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n\nm\x06\0\x09\x14\x08\x10\x04\x04\x30\x31\x32\x33",
            "\x03\x40\x04text\x07\0\x03\x04\x04\x10",
        ],
        run: pack,
    },
    Target { name: "index", examples: &["DIRC\0\0\0\x02\0\0\0\x00TREE\0\0\0\x00"], run: index },
];

/// Small index files of versions 2 and 4, with two entries each.
pub fn indexes() -> Vec<Vec<u8>> {
    [2_u32, 4].into_iter().map(index_of).collect()
}

fn index_of(version: u32) -> Vec<u8> {
    let mut bytes = b"DIRC".to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(2_u32.to_be_bytes());
    for (cut, name, whole) in [(0_u8, "folder/one", "folder/one"), (3, "two", "folder/two")] {
        let start = bytes.len();
        bytes.extend([0; 24]);
        bytes.extend(0o100_644_u32.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend([7; 20]);
        bytes.extend((whole.len() as u16).to_be_bytes());
        if version == 4 {
            bytes.push(cut);
            bytes.extend(name.as_bytes());
            bytes.push(0);
        } else {
            bytes.extend(whole.as_bytes());
            bytes.resize(start + ((bytes.len() - start + 8) & !7), 0);
        }
    }
    bytes.extend([0; 20]);
    bytes
}

/// The first byte says how long the base is; the delta follows it. What was not changed has to be what the base has.
pub fn delta(bytes: &[u8]) {
    const RESULT_BYTES_MAX: u64 = 1 << 20;
    let Some((length, rest)) = bytes.split_first() else { return };
    let Some((base, delta)) = rest.split_at_checked(usize::from(*length)) else { return };
    let Ok(delta) = Delta::parse(delta) else { return };
    let (mut result, mut changed) = (Vec::new(), Vec::new());
    if delta.result_size > RESULT_BYTES_MAX || delta.apply(base, &mut result, &mut changed).is_err() {
        return;
    }
    assert_eq!(result.len() as u64, delta.result_size);
    assert!(changed.windows(2).all(|pair| pair[0].end < pair[1].start), "{changed:?}");
    assert!(changed.iter().all(|range| range.start < range.end && range.end <= result.len()), "{changed:?}");
    let mut kept = 0;
    for range in changed.iter().map(Clone::clone).chain(std::iter::once(result.len()..result.len())) {
        let same = &result[kept..range.start];
        assert!(same.is_empty() || base.windows(same.len()).any(|part| part == same));
        kept = range.end;
    }
    for start in 0..base.len().min(16) {
        let stretch = start..(start + 5).min(base.len());
        if let Some(carried) = delta.carried(&stretch) {
            assert_eq!(base[stretch], result[carried]);
        }
    }
}

pub fn patch(bytes: &[u8]) {
    let mut reader = bytes;
    let mut added = 0;
    patch::read(&mut reader, &mut |met| {
        if let patch::Met::Hunk(hunk) = met {
            added += hunk.added.len();
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(added <= bytes.len() + 1);
}

pub fn index(bytes: &[u8]) {
    for hash in [HashKind::Sha1, HashKind::Sha256] {
        if let Ok(files) = staging::parse(bytes, hash) {
            assert!(files.len() * 40 <= bytes.len());
        }
    }
}

const ENTRIES_MAX: usize = 64;

pub fn pack(bytes: &[u8]) {
    found_in_pack(bytes);
}

/// Makes a repository of one pack, scans all of it, and counts what is found. The bytes are a list of entries: kind, size that is claimed beyond the true
/// one, length, data. In the data, a byte 4 or 5 with a number after it becomes the id of that entry, as bytes or as digits.
pub fn found_in_pack(bytes: &[u8]) -> usize {
    let mut pack = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
    let (mut ids, mut offsets, mut head) = (Vec::new(), Vec::new(), None);
    let mut rest = bytes;
    while let [kind, boast, length, following @ ..] = rest
        && ids.len() < ENTRIES_MAX
    {
        let (data, following) = following.split_at(usize::from(*length).min(following.len()));
        rest = following;
        let kind = kind & 7;
        let data = with_ids(data, &ids);
        offsets.push(pack.len());
        entry_header(&mut pack, kind, data.len() as u64 + u64::from(*boast));
        match kind {
            // The number of the base is the first byte of the data.
            6 => offset_to(&mut pack, &offsets, data.first().copied().unwrap_or_default()),
            7 => pack
                .extend(ids.get(usize::from(data.first().copied().unwrap_or_default())).unwrap_or(&[7; 20])),
            _ => {}
        }
        ids.push(id_of(kind, &data));
        head = if kind == 1 { ids.last().copied() } else { head };
        stored(&mut pack, if kind >= 6 { data.get(1..).unwrap_or_default() } else { &data });
    }
    pack[8..12].copy_from_slice(&(ids.len() as u32).to_be_bytes());
    let checksum: [u8; 20] = Sha1::digest(&pack).into();
    pack.extend(checksum);
    REPOSITORY.with(|folder| {
        fs::write(folder.path().join("objects/pack/pack-0.pack"), &pack).unwrap();
        let head = head.map_or_else(|| "ref: refs/heads/main".to_owned(), hex);
        fs::write(folder.path().join("HEAD"), head).unwrap();
        scan_whole(folder.path())
    })
}

thread_local! {
    static REPOSITORY: tempfile::TempDir = {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["objects/pack", "refs"] {
            fs::create_dir_all(folder.path().join(inner)).unwrap();
        }
        folder
    };
}

fn scan_whole(path: &Path) -> usize {
    static DETECTOR: OnceLock<Detector> = OnceLock::new();
    let detector = DETECTOR.get_or_init(|| {
        let mut rule = Rule::new("fake");
        rule.keywords = vec!["fakesecret".to_owned()];
        rule.regex = Some(Pattern::new("(?i)FAKESECRET[0-9]{4,10}").unwrap());
        Detector::new(RuleSet { rules: vec![rule], ..RuleSet::default() }, Options::native())
    });
    let options = GitOptions { blob_bytes_max: 1 << 16, threads: 1, ..GitOptions::default() };
    // The pack has no index: it is read from its beginning to its end, and then as any other.
    let mut found = 0;
    drop(scan_history(path, detector, &options, Watch::default(), &mut |_| {
        found += 1;
        ControlFlow::Continue(())
    }));
    found
}

fn with_ids(data: &[u8], ids: &[[u8; 20]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((first, following)) = rest.split_first() {
        let number = following.first().map(|number| usize::from(*number));
        match (first, number.and_then(|number| ids.get(number))) {
            (4, Some(id)) => out.extend(id),
            (5, Some(id)) => out.extend(hex(*id).as_bytes()),
            _ => {
                out.push(*first);
                rest = following;
                continue;
            }
        }
        rest = &following[1..];
    }
    out
}

fn hex(id: [u8; 20]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id_of(kind: u8, data: &[u8]) -> [u8; 20] {
    let name = ["", "commit", "tree", "blob", "tag"].get(usize::from(kind)).unwrap_or(&"");
    let mut hash = Sha1::new();
    hash.update(format!("{name} {}\0", data.len()));
    hash.update(data);
    hash.finalize().into()
}

fn entry_header(pack: &mut Vec<u8>, kind: u8, size: u64) {
    let mut rest = size >> 4;
    pack.push(kind << 4 | (size & 15) as u8 | if rest > 0 { 0x80 } else { 0 });
    while rest > 0 {
        pack.push((rest & 0x7f) as u8 | if rest > 0x7f { 0x80 } else { 0 });
        rest >>= 7;
    }
}

/// How far back the base begins, as git writes it (gitformat-pack(5)).
fn offset_to(pack: &mut Vec<u8>, offsets: &[usize], base: u8) {
    let here = offsets[offsets.len() - 1];
    let mut distance = here - offsets.get(usize::from(base)).copied().unwrap_or(here);
    let mut bytes = vec![(distance & 0x7f) as u8];
    while distance > 0x7f {
        distance = (distance >> 7) - 1;
        bytes.push(0x80 | (distance & 0x7f) as u8);
    }
    pack.extend(bytes.iter().rev());
}

/// A zlib stream that holds the data as it is (RFC 1950, RFC 1951).
fn stored(pack: &mut Vec<u8>, data: &[u8]) {
    let length = data.len() as u16;
    pack.extend([0x78, 1, 1]);
    pack.extend(length.to_le_bytes());
    pack.extend((!length).to_le_bytes());
    pack.extend(data);
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in data {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    pack.extend((high << 16 | low).to_be_bytes());
}
