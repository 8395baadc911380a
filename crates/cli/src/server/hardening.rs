//! What a process that holds keys gives up: core dumps, being traced, and files that others can read.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Done once, before any key is in memory. What the system refuses is logged and not fatal.
pub fn apply() {
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps cannot be turned off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "tracing of this process cannot be turned off");
    }
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        tracing::warn!(%error, "new privileges cannot be given up");
    }
    rustix::process::umask(rustix::fs::Mode::from_bits_retain(0o077));
}
