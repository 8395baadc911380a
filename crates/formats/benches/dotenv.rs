//! `.env` files of 10,000 names, each of which refers to the one before: `cargo bench -p strongroom-formats`.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use strongroom_formats::dotenv::{Dialect, Document, NO_ENVIRONMENT, Precedence};

const NAMES: usize = 10_000;

fn dotenv(criterion: &mut Criterion) {
    let line = |n: usize| format!("KEY_{n}=\"value-{n} ${{KEY_0}}\" # a comment\n");
    let text = "KEY_0=start\n".to_owned() + &(1..NAMES).map(line).collect::<String>();
    for dialect in [Dialect::Python, Dialect::Compose, Dialect::Node, Dialect::Ruby] {
        criterion.bench_function(&format!("dotenv/parse/{dialect}"), |bencher| {
            bencher.iter(|| Document::parse(black_box(&text), dialect));
        });
        criterion.bench_function(&format!("dotenv/parse and resolve/{dialect}"), |bencher| {
            bencher.iter(|| {
                let document = Document::parse(black_box(&text), dialect).ok()?;
                document.resolve(NO_ENVIRONMENT, Precedence::File).ok().map(|values| values.len())
            });
        });
    }
}

criterion_group!(benches, dotenv);
criterion_main!(benches);
