//! Seeded mutations at what a scan of a git repository reads: deltas, patches, the index, whole packs. `fuzz/` does the
//! same for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod repository;

use repository::{TestRepository, scan_at, secret};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use strongroom_scan::git::GitOptions;
use strongroom_testkit::SeededEntropy;
use strongroom_testkit::hostile::git::{TARGETS, found_in_pack, index, indexes};
use strongroom_testkit::hostile::mutated;

fn rounds() -> u64 {
    option_env!("HOSTILE_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(300)
}

#[test]
fn deltas_patches_and_indexes_take_anything() {
    let random = SeededEntropy::new(23);
    for target in TARGETS {
        for example in target.examples {
            (target.run)(example.as_bytes());
            for _ in 0..rounds() * 10 {
                (target.run)(&mutated(&random, example.as_bytes()));
            }
        }
    }
    let packs = TARGETS.iter().find(|target| target.name == "pack").unwrap();
    assert_eq!(found_in_pack(packs.examples[0].as_bytes()), 1, "the example is a good repository");
    for example in indexes() {
        index(&example);
        for _ in 0..rounds() * 10 {
            index(&mutated(&random, &example));
        }
    }
}

/// The pack is read by its index, and, where that is gone, from its beginning to its end.
#[test]
fn packs_and_their_indexes_take_anything() {
    let repository = TestRepository::new();
    let text = |round: usize| {
        (0..40)
            .map(|line| format!("line {}\n", line * (1 + round * usize::from(line % 9 == 0))))
            .collect::<String>()
    };
    for round in 0..4 {
        repository.commit("round", &[("file", &format!("{}{}", text(round), secret(1)))]);
    }
    let pack = repository.pack();
    let random = SeededEntropy::new(29);
    for end in ["pack", "idx"] {
        let path = pack.with_extension(end);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let good = fs::read(&path).unwrap();
        for _ in 0..rounds() / 3 {
            fs::write(&path, mutated(&random, &good)).unwrap();
            drop(scan_at(repository.path(), &GitOptions::default()).unwrap());
        }
        fs::write(&path, &good).unwrap();
    }
    fs::remove_file(pack.with_extension("idx")).unwrap();
    let path = pack.with_extension("pack");
    let good = fs::read(&path).unwrap();
    assert_eq!(repository.scan().len(), 1);
    for _ in 0..rounds() / 3 {
        fs::write(&path, mutated(&random, &good)).unwrap();
        drop(scan_at(repository.path(), &GitOptions::default()).unwrap());
    }
}
