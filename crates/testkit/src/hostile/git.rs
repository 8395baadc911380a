//! What a scan of a git repository reads: deltas, patches, the index.

use super::Target;
use std::ops::ControlFlow;
use strongroom_scan::git::delta::Delta;
use strongroom_scan::git::{HashKind, patch, staging};

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
