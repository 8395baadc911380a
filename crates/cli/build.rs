//! How the binary is linked.
//!
//! Its tables of constants hold some 40,000 addresses, which the dynamic loader puts right at every start. Packed (DT_RELR)
//! they take a hundredth of the room, and much less of the time. glibc can read that from 2.36 on, so they are packed where
//! the binary is built for the machine that builds it, and that has such a glibc.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script of the target in variables")]

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    let is_native = env::var("HOST").is_ok() && env::var("HOST") == env::var("TARGET");
    if is_gnu && is_native && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// `glibc 2.36` is (2, 36).
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
