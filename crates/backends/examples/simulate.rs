//! Runs the simulation: `cargo run -p strongroom-backends --example simulate -- --seed 1 --operations 1000000`.
//! With `--trace` everything that happens is printed.
#![allow(clippy::expect_used)]

use strongroom_testkit::simulation::{Options, run};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, or: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(or, |text| text.parse().expect("a number"))
    };
    let options = Options {
        seed: number("--seed", 1),
        operations: number("--operations", 100_000),
        backends: strongroom_backends::all(),
        is_traced: arguments.iter().any(|argument| argument == "--trace"),
    };
    println!("seed {}: {}", options.seed, run(&options));
}
