//! What a process has used so far, from Linux's /proc (proc_pid_stat(5), proc_pid_status(5), proc_pid_io(5)).

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;

/// Clock ticks a second in /proc: `USER_HZ`, 100 on every architecture that Linux runs servers on.
const TICKS_PER_SECOND: u64 = 100;

/// Counters of a process since it started, and its memory now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub cpu_microseconds: u64,
    pub resident_kilobytes: u64,
    pub resident_peak_kilobytes: u64,
    pub written_bytes: u64,
    pub threads: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| path)
        };
        let status = read("status")?;
        let io = read("io").unwrap_or_default();
        Ok(Self {
            cpu_microseconds: cpu_microseconds(&read("stat")?).context("/proc/PID/stat has another form")?,
            resident_kilobytes: field(&status, "VmRSS:"),
            resident_peak_kilobytes: field(&status, "VmHWM:"),
            written_bytes: field(&io, "write_bytes:"),
            threads: field(&status, "Threads:"),
        })
    }

    pub(crate) fn cpu_microseconds_since(&self, earlier: &Self) -> u64 {
        self.cpu_microseconds.saturating_sub(earlier.cpu_microseconds)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "resident_kilobytes": self.resident_kilobytes,
            "resident_peak_kilobytes": self.resident_peak_kilobytes,
            "written_bytes": self.written_bytes,
            "threads": self.threads,
        })
    }
}

/// Fields 14 and 15, counted after the command's name, which may hold spaces and brackets.
fn cpu_microseconds(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * (1_000_000 / TICKS_PER_SECOND))
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 4 0";
        assert_eq!(cpu_microseconds(stat), Some(420_000));
        assert_eq!(cpu_microseconds("nothing"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of(std::process::id()).unwrap().resident_kilobytes > 0);
    }
}
