//! Seeded mutations of good examples at every parser of files. `fuzz/` does the same for longer.
//! `HOSTILE_ROUNDS` is compiled in: `HOSTILE_ROUNDS=1000000 cargo test -p strongroom-formats --test hostile`.

use strongroom_testkit::SeededEntropy;
use strongroom_testkit::hostile::formats::TARGETS;
use strongroom_testkit::hostile::mutated;

fn rounds() -> u64 {
    option_env!("HOSTILE_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(1000)
}

#[test]
fn parsers_of_files_take_anything() {
    let random = SeededEntropy::new(11);
    for target in TARGETS {
        for example in target.examples {
            (target.run)(example.as_bytes());
            for _ in 0..rounds() {
                (target.run)(&mutated(&random, example.as_bytes()));
            }
        }
    }
}
