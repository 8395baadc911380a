//! Seeded mutations of good examples at what a detector reads. `fuzz/` does the same for longer.
//! `HOSTILE_ROUNDS` is compiled in: `HOSTILE_ROUNDS=1000000 cargo test -p strongroom-detect --test hostile`.

use strongroom_testkit::SeededEntropy;
use strongroom_testkit::hostile::detect::TARGETS;
use strongroom_testkit::hostile::mutated;

fn rounds() -> u64 {
    option_env!("HOSTILE_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(400)
}

#[test]
fn a_detector_takes_anything() {
    let random = SeededEntropy::new(13);
    for target in TARGETS {
        for example in target.examples {
            (target.run)(example.as_bytes());
            for _ in 0..rounds() {
                (target.run)(&mutated(&random, example.as_bytes()));
            }
        }
    }
}
