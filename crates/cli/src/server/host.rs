//! The machine that the server runs on, for `sys/host-info`, under the names that Vault's clients know. What the system
//! does not tell is left out.
//!
//! Source of the figures: proc(5), statvfs(3), uname(2).

use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;
use strongroom_secret::Timestamp;

/// The clock ticks in a second that `/proc/stat` counts by; the same on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is known of the machine; `folder` is where the server keeps its data.
pub fn facts(folder: Option<&Path>, now: Timestamp) -> Map<String, Value> {
    let parts = [
        ("cpu", cpus(&read("/proc/cpuinfo"))),
        ("cpu_times", cpu_times(&read("/proc/stat"))),
        ("disk", folder.and_then(disk)),
        ("host", host(now)),
        ("memory", memory(&read("/proc/meminfo"))),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A file of the system; nothing where there is none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `name: value` lines, as in `/proc/meminfo` and `/proc/cpuinfo`.
fn named<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}

fn cpus(text: &str) -> Option<Value> {
    let blocks: Vec<Value> = text
        .split("\n\n")
        .filter(|block| named(block, "processor").is_some())
        .map(|block| {
            let text = |name| named(block, name).unwrap_or_default();
            let number = |name| text(name).parse::<f64>().unwrap_or_default();
            json!({
                "cpu": number("processor") as u64,
                "vendorId": text("vendor_id"),
                "family": text("cpu family"),
                "model": text("model"),
                "stepping": number("stepping") as u64,
                "physicalId": text("physical id"),
                "coreId": text("core id"),
                "cores": number("cpu cores") as u64,
                "modelName": text("model name"),
                "mhz": number("cpu MHz"),
                "flags": text("flags").split_whitespace().collect::<Vec<_>>(),
                "microcode": text("microcode"),
            })
        })
        .collect();
    (!blocks.is_empty()).then_some(Value::Array(blocks))
}

fn cpu_times(text: &str) -> Option<Value> {
    const NAMES: [&str; 10] =
        ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestNice"];
    let rows: Vec<Value> = text
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
        .map(|line| {
            let mut words = line.split_whitespace();
            let mut row = Map::from_iter([("cpu".to_owned(), json!(words.next()))]);
            for (name, ticks) in NAMES.iter().zip(words) {
                let seconds = ticks.parse::<f64>().unwrap_or_default() / TICKS_PER_SECOND;
                row.insert((*name).to_owned(), json!(seconds));
            }
            Value::Object(row)
        })
        .collect();
    (!rows.is_empty()).then_some(Value::Array(rows))
}

fn disk(folder: &Path) -> Option<Value> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let used = stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize);
    Some(json!([{
        "path": folder,
        "total": total,
        "free": free,
        "used": used,
        "usedPercent": percent(used, used.saturating_add(free)),
        "inodesTotal": stat.f_files,
        "inodesFree": stat.f_ffree,
        "inodesUsed": stat.f_files.saturating_sub(stat.f_ffree),
    }]))
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn host(now: Timestamp) -> Option<Value> {
    let uname = rustix::system::uname();
    let uptime = read("/proc/uptime").split_whitespace().next()?.parse::<f64>().ok()?;
    let booted = now.minus(Duration::try_from_secs_f64(uptime).ok()?);
    let release = read("/etc/os-release");
    let of_release = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Some(json!({
        "hostname": text(uname.nodename()),
        "uptime": uptime as u64,
        "bootTime": booted.nanoseconds() / 1_000_000_000,
        "os": text(uname.sysname()).to_ascii_lowercase(),
        "platform": of_release("ID"),
        "platformFamily": of_release("ID_LIKE"),
        "platformVersion": of_release("VERSION_ID"),
        "kernelVersion": text(uname.release()),
        "kernelArch": text(uname.machine()),
    }))
}

fn memory(text: &str) -> Option<Value> {
    let bytes = |name| {
        let kibibytes = named(text, name).and_then(|value| value.split_whitespace().next());
        kibibytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default().saturating_mul(1024)
    };
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    let used = total.saturating_sub(available);
    (total > 0).then(|| {
        json!({
            "total": total,
            "available": available,
            "used": used,
            "usedPercent": percent(used, total),
            "free": bytes("MemFree"),
            "buffers": bytes("Buffers"),
            "cached": bytes("Cached"),
            "swapTotal": bytes("SwapTotal"),
            "swapFree": bytes("SwapFree"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_systems_files() {
        let memory = memory("MemTotal:  8000 kB\nMemFree: 1000 kB\nMemAvailable:    2000 kB\n").unwrap();
        assert_eq!((&memory["total"], &memory["usedPercent"]), (&json!(8_192_000), &json!(75.0)));
        let cpus =
            cpus("processor\t: 0\nmodel name\t: A chip\ncpu MHz\t\t: 2000.5\n\nprocessor\t: 1\n").unwrap();
        assert_eq!((&cpus[0]["modelName"], &cpus[1]["cpu"]), (&json!("A chip"), &json!(1)));
        let times = cpu_times("cpu  1 2 3\ncpu0 100 0 250 9\nintr 1\n").unwrap();
        assert_eq!((&times[0]["cpu"], &times[0]["system"]), (&json!("cpu0"), &json!(2.5)));
        assert_eq!(super::memory(""), None);
    }
}
