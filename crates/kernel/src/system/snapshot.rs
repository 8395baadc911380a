//! `sys/storage/raft/snapshot`: the whole store as one file, under the path that Vault's clients know.

use crate::barrier::Keys;
use crate::call::Call;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::request::{Data, Operation, Response};
use crate::route::{Access, Method, Route, Run};
use std::io::Cursor;
use std::sync::Arc;
use strongroom_crypto::hash::sha256;
use strongroom_storage::archive::{self, ArchiveError};
use strongroom_storage::{MemoryStorage, Storage, StoreId};

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "storage/raft/snapshot",
        summary: "Take a snapshot of the store, or put one in its place.",
        access: Access::Sudo,
        fields: &[],
        methods: &[
            Method { operation: Operation::Read, run: Run::Heavy(save), summary: "Take a snapshot." },
            Method {
                operation: Operation::Write,
                run: Run::Heavy(restore),
                summary: "Restore a snapshot of this server.",
            },
        ],
        exists: None,
    },
    Route {
        pattern: "storage/raft/snapshot-force",
        summary: "Restore a snapshot whatever server it is of. It is then opened with that server's keys.",
        access: Access::Sudo,
        fields: &[],
        methods: &[Method {
            operation: Operation::Write,
            run: Run::Heavy(restore_force),
            summary: "Restore.",
        }],
        exists: None,
    },
];

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Storage(error) => error.into(),
            ArchiveError::File(error) => Self::internal(format!("a snapshot file: {error}")),
            other => Self::invalid(other.to_string()),
        }
    }
}

impl Kernel {
    /// Writes a snapshot of the store: ciphertext, checked by a sum. It needs no keys.
    pub fn write_snapshot(&self, output: &mut dyn std::io::Write) -> Result<archive::Summary, Error> {
        let snapshot = self.storage.snapshot()?;
        let cluster = self.seal_record()?.map(|record| record.cluster_id).unwrap_or_default();
        let mut id = [0; 16];
        id.copy_from_slice(sha256(cluster.as_bytes()).first_chunk::<16>().unwrap_or(&[0; 16]));
        Ok(archive::write(&*snapshot, StoreId(id), self.now(), output)?)
    }
}

fn save(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut body = Vec::new();
    call.kernel.write_snapshot(&mut body)?;
    Ok(Response {
        data: Data::Bytes { content_type: "application/octet-stream", body },
        ..Response::default()
    })
}

fn restore(call: &mut Call<'_>) -> Result<Response, Error> {
    let keys = call.tx.keys().clone();
    let trial = MemoryStorage::new();
    archive::restore(&mut Cursor::new(&call.request.body.0), &trial)?;
    if !call.kernel.opens(&trial, &keys)? {
        return Err(Error::invalid(
            "the snapshot was not made by this server, or before its root key: restore it with snapshot-force if you \
             hold that server's unseal keys",
        ));
    }
    drop(trial);
    put_in_place(call, Some(keys))
}

fn restore_force(call: &mut Call<'_>) -> Result<Response, Error> {
    put_in_place(call, None)
}

/// Replaces the store. With keys that open it the server goes on; without, it is sealed and waits for the snapshot's.
fn put_in_place(call: &mut Call<'_>, keys: Option<Arc<Keys>>) -> Result<Response, Error> {
    let kernel = call.kernel;
    archive::restore(&mut Cursor::new(&call.request.body.0), &*kernel.storage)?;
    match keys {
        Some(keys) => kernel.open_by_root_key(keys.root.duplicate())?,
        None => kernel.seal(),
    }
    Ok(Response::default())
}

impl Kernel {
    fn opens(&self, storage: &dyn Storage, keys: &Keys) -> Result<bool, Error> {
        let sealed = storage.snapshot()?.read(&crate::seal::bare_key(crate::seal::KEYRING_ROW))?;
        Ok(sealed.is_some_and(|sealed| {
            strongroom_crypto::keyring::Keyring::open_with(&keys.root, &sealed).is_ok()
        }))
    }
}
