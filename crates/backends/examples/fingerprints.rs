//! What it costs to be told which secret a fingerprint is of, by the number of secrets:
//! `cargo run --release -p strongroom-backends --example fingerprints -- 100000`. CPU times of this process.
#![allow(clippy::expect_used, clippy::disallowed_methods)]

use serde_json::json;
use std::time::Duration;
use strongroom_testkit::server::TestServer;

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(100_000, |text| text.parse().expect("a number"));
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    root.write("sys/mounts/kv", json!({ "type": "kv", "options": { "version": "2" } }));
    let value =
        |number: u64| format!("fake-{:016x}-{number:08x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let writes = measured(|| {
        for number in 0..count {
            root.write(&format!("kv/data/app/{number}"), json!({ "data": { "password": value(number) } }));
        }
    });
    println!("{count} secrets written: {:.1} µs each", micro(writes) / count as f64);
    server.clock.advance(Duration::from_secs(600));
    let look_up = |number: u64| {
        let answer = root.write("sys/fingerprints/lookup", json!({ "value": value(number) }));
        assert_eq!(answer.data()["known"], number < count, "{answer:?}");
        answer.data()["tag"].as_str().unwrap_or_default().to_owned()
    };
    println!("the first lookup: {:.1} ms", micro(measured(|| drop(look_up(1)))) / 1000.0);
    let times = 1000;
    let all = measured(|| (0..times).for_each(|number| drop(look_up(number * 97 % count))));
    println!("further ones: {:.1} µs each", micro(all) / times as f64);
    let tags: Vec<String> = (0..times).map(|number| look_up(number * 89 % count)).collect();
    let resolved = measured(|| drop(root.write("sys/fingerprints/resolve", json!({ "tags": tags }))));
    println!("resolve of {times}: {:.1} ms", micro(resolved) / 1000.0);
    let swept = measured(|| {
        server.clock.advance(Duration::from_secs(2 * 24 * 3600));
        while server.kernel.clean_up().expect("it cleans up") == strongroom_kernel::Tidied::More {}
    });
    println!("a look at all rows for values that are gone: {:.1} ms", micro(swept) / 1000.0);
}

fn micro(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// CPU time of all threads.
fn measured(work: impl FnOnce()) -> Duration {
    let before = cpu_time();
    work();
    cpu_time().saturating_sub(before)
}

fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
