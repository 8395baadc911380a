//! Seeded mutations of good examples at what a scan reads from outside. `fuzz/` does the same for longer.
//! `HOSTILE_ROUNDS` is compiled in: `HOSTILE_ROUNDS=1000000 cargo test -p strongroom-scan --test hostile`.

use strongroom_testkit::SeededEntropy;
use strongroom_testkit::hostile::mutated;
use strongroom_testkit::hostile::scan::{TARGETS, archive, archives};

fn rounds() -> u64 {
    option_env!("HOSTILE_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(300)
}

#[test]
fn baselines_ignore_files_and_templates_take_anything() {
    let random = SeededEntropy::new(17);
    for target in TARGETS {
        for example in target.examples {
            (target.run)(example.as_bytes());
            for _ in 0..rounds() {
                (target.run)(&mutated(&random, example.as_bytes()));
            }
        }
    }
}

#[test]
fn archives_take_anything() {
    let random = SeededEntropy::new(19);
    for example in archives() {
        archive(&example);
        for _ in 0..rounds() {
            archive(&mutated(&random, &example));
        }
    }
}
