//! What an engine that keeps versions of secrets does for a rotation: `Backend::secrets`. The path stands in the call's
//! capture `path`, and `call.mount` is the engine's.

use super::plan::Place;
use crate::call::Call;
use crate::error::Error;
use crate::mounts;
use crate::upgrade::refuse_upgrading;
use strongroom_secret::SecretBytes;

/// How versions are read and written.
pub struct SecretFunctions {
    /// Below the mount, the path that somebody must be allowed to `update` who writes a plan for a secret.
    pub policy_path: fn(path: &str) -> String,
    pub read: fn(&mut Call<'_>) -> Result<Kept, Error>,
    /// Writes a version without asking for check-and-set; says its number.
    pub write: fn(&mut Call<'_>, SecretBytes) -> Result<u64, Error>,
}

/// A secret as it is kept.
pub struct Kept {
    /// The current version; zero where there never was one.
    pub version: u64,
    /// A JSON object; None where the current version is deleted, destroyed, or past its end.
    pub payload: Option<SecretBytes>,
    /// Kept versions that are deleted or destroyed.
    pub withheld: Vec<u64>,
}

impl Place {
    /// Does something as the secret's mount would.
    pub(super) fn act<T>(
        &self,
        call: &mut Call<'_>,
        act: impl FnOnce(&mut Call<'_>, &'static SecretFunctions) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let captures = vec![("path", self.path.clone())];
        let before = std::mem::replace(&mut call.captures, captures);
        let done = call.at_mount(self.namespace, self.mount, |call| match call.mount.backend.secrets {
            Some(functions) => refuse_upgrading(&call.mount).and_then(|()| act(call, functions)),
            None => Err(no_versions(call.mount.path())),
        });
        call.captures = before;
        done.unwrap_or_else(|| Err(Error::invalid("the secret's mount is gone")))
    }

    pub(super) fn read(&self, call: &mut Call<'_>) -> Result<Kept, Error> {
        self.act(call, |call, functions| (functions.read)(call))
    }

    /// The place that a path of the call's namespace names: a mount and what is below it.
    pub(super) fn named(call: &Call<'_>, path: &str) -> Result<Self, Error> {
        let mount = call.namespace.mount_of(path).cloned().ok_or_else(|| {
            Error::invalid(format!("no mount serves {path:?}: name a secret by its mount and its path there"))
        })?;
        let below = path.strip_prefix(mount.path()).unwrap_or_default().trim_matches('/');
        if mount.backend.secrets.is_none() {
            return Err(no_versions(mount.path()));
        }
        if below.is_empty() {
            return Err(Error::invalid(format!("{path:?} is a mount: name a secret in it")));
        }
        Ok(Self { namespace: call.namespace.id(), mount: mount.record.id, path: below.to_owned() })
    }

    /// As people write it: the mount's path, and what is below.
    pub(super) fn shown(&self, call: &Call<'_>) -> String {
        match mounts::by_id(call.topology, self.namespace, self.mount) {
            Some(mount) => format!("{}{}", mount.path(), self.path),
            None => self.path.clone(),
        }
    }
}

fn no_versions(mount: &str) -> Error {
    Error::invalid(format!("{mount} keeps no versions of secrets: rotation works on KV version 2"))
}
