//! Seeded mutations at what a purge reads from people. `fuzz/` does the same for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use strongroom_testkit::SeededEntropy;
use strongroom_testkit::hostile::mutated;
use strongroom_testkit::hostile::purge::TARGETS;

#[test]
fn replacements_take_anything() {
    let rounds: u64 = option_env!("HOSTILE_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
    let random = SeededEntropy::new(31);
    for target in TARGETS {
        for example in target.examples {
            (target.run)(example.as_bytes());
            for _ in 0..rounds {
                (target.run)(&mutated(&random, example.as_bytes()));
            }
        }
    }
}
