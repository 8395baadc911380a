//! Documents of 100,000 values, read, walked and changed: `cargo bench -p strongroom-formats --bench documents`.
//! All of it is linear: ten times fewer values take a tenth of the time.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::hint::black_box;
use strongroom_formats::document::{Document, Kind, Limits, Rewrite, Scalar, Syntax};

const SYNTAXES: [Syntax; 4] = [Syntax::Json, Syntax::Yaml, Syntax::Toml, Syntax::Ini];

/// Groups of ten values, the way configuration looks.
fn text(syntax: Syntax, values: usize) -> String {
    let mut out = String::new();
    let groups = values / 10;
    for group in 0..groups {
        match syntax {
            Syntax::Json => {
                let _ = write!(out, "{}\n  \"group{group}\": {{", if group == 0 { "{" } else { "," });
            }
            Syntax::Yaml => {
                let _ = writeln!(out, "# about group {group}\ngroup{group}:");
            }
            Syntax::Toml | Syntax::Ini => {
                let _ = writeln!(out, "# about group {group}\n[group{group}]");
            }
        }
        for value in 0..10 {
            let _ = match syntax {
                Syntax::Json => {
                    let comma = if value == 0 { "" } else { "," };
                    write!(out, "{comma}\n    \"key{value}\": \"a value of some length, number {value}\"")
                }
                Syntax::Yaml => writeln!(out, "  key{value}: a value of some length, number {value}"),
                Syntax::Toml => writeln!(out, "key{value} = \"a value of some length, number {value}\""),
                Syntax::Ini => writeln!(out, "key{value} = a value of some length, number {value}"),
            };
        }
        if syntax == Syntax::Json {
            out.push_str("\n  }");
        }
    }
    if syntax == Syntax::Json {
        out.push_str("\n}\n");
    }
    out
}

fn documents(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("document");
    group.sample_size(10);
    for syntax in SYNTAXES {
        for values in [10_000, 100_000] {
            let text = text(syntax, values);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(
                BenchmarkId::new(format!("{syntax:?} parse and print"), values),
                |bencher| {
                    bencher.iter(|| {
                        Document::parse(syntax, black_box(&text), &limits)
                            .map(|document| document.expose().len())
                    });
                },
            );
        }
        let text = text(syntax, 100_000);
        let Ok(mut document) = Document::parse(syntax, &text, &limits) else { continue };
        group.bench_function(BenchmarkId::new(format!("{syntax:?} walk"), 100_000), |bencher| {
            bencher.iter(|| document.walk().filter_map(|node| Some((node.path(), node.scalar()?))).count());
        });
        group.bench_function(BenchmarkId::new(format!("{syntax:?} rewrite all"), 100_000), |bencher| {
            bencher.iter(|| {
                let scalars = document.walk().filter(|node| matches!(node.kind(), Kind::Scalar(_)));
                let value =
                    || Rewrite::Scalar(Scalar::string("ENC[AES256_GCM,data:bm8=,iv:bm8=,tag:bm8=,type:str]"));
                let rewrites: Vec<_> = scalars.map(|node| (node.id(), value())).collect();
                document.rewrite(&rewrites)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, documents);
criterion_main!(benches);
