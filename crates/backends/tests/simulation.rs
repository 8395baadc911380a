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
