//! Secrets engines.

mod database;
mod kv;
mod pki;
mod ssh;
mod totp;
mod transit;

pub(crate) use pki::hear_acme;

use strongroom_kernel::Backend;

pub(crate) fn all() -> Vec<&'static Backend> {
    // Without a version a mount is of the first of its kind.
    vec![&database::DATABASE, &kv::V1, &kv::V2, &pki::PKI, &ssh::SSH, &totp::TOTP, &transit::TRANSIT]
}
