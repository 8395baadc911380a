//! The whole server in a seeded simulation.

use strongroom_testkit::simulation::{Options, run};

#[test]
fn a_server_keeps_its_promises() {
    for seed in 1..=3 {
        let report =
            run(&Options { seed, operations: 4_000, backends: strongroom_backends::all(), is_traced: false });
        println!("seed {seed}: {report}");
    }
}

/// The long run: `cargo test --release -p strongroom-backends --test simulation -- --ignored --nocapture`. About a minute.
#[test]
#[ignore = "long: for a release build, before a release"]
fn a_server_keeps_its_promises_over_a_million_operations() {
    let seed = 2030;
    println!("seed {seed}");
    let report =
        run(&Options { seed, operations: 1_000_000, backends: strongroom_backends::all(), is_traced: false });
    println!("seed {seed}: {report}");
}
