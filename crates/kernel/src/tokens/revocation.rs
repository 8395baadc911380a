//! Revoking a token with very many under it. The token goes at once; its children stop working with it, and leave the
//! store in the background, in bounded pieces.

use super::entry::Parent;
use super::store;
use crate::effect::Effect;
use crate::error::Error;
use crate::grants;
use crate::kernel::Kernel;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::removal::Removal;
use crate::tokens::{Children, TokenRow};
use crate::transaction::{Key, Table, Tx};
use std::ops::ControlFlow;

/// Revoked tokens that still have children in the store: namespace and row.
const CUT_OFF: Table = Table(12);
/// Tokens that go in one commit, about.
const BATCH_TOKENS: usize = 512;
/// Tokens above one another that are looked at; none is made as deep.
const DEPTH_MAX: usize = 100_000;

fn table(tx: &Tx<'_>) -> Key {
    tx.table(kernel_space(ROOT_NAMESPACE), CUT_OFF)
}

fn key(tx: &Tx<'_>, token: Parent) -> Key {
    tx.id_key(&table(tx), &[&token.namespace.to_be_bytes()[..], &token.row.0].concat())
}

/// Leaves the children of a token that is being removed to the background. From this commit on they are cut off.
pub(super) fn leave_children(tx: &mut Tx<'_>, token: Parent) -> Result<(), Error> {
    let key = key(tx, token);
    tx.put(&key, vec![1])?;
    tx.after_commit(Effect::TokenTrees);
    Ok(())
}

/// Whether a token that is still stored ended with one above it. `parent` is the token's.
pub(crate) fn is_cut_off(tx: &mut Tx<'_>, parent: Option<Parent>) -> Result<bool, Error> {
    let Some(mut above) = parent else { return Ok(false) };
    let table = table(tx);
    if !tx.has_entries(&table)? {
        return Ok(false);
    }
    for _ in 0..DEPTH_MAX {
        let key = key(tx, above);
        if tx.get(&key)?.is_some() {
            return Ok(true);
        }
        match store::read(tx, above.namespace, above.row)?.and_then(|entry| entry.parent) {
            Some(parent) => above = parent,
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Removes a piece of what is cut off.
pub(crate) fn remove_cut_off(kernel: &Kernel, tx: &mut Tx<'_>) -> Result<Removal, Error> {
    let Some(token) = first(tx)? else { return Ok(Removal::Done) };
    let mut gone = 0;
    for child in store::children_of(tx, token, BATCH_TOKENS)? {
        gone += grants::revoke_token(kernel, tx, child.namespace, child.row, Children::Revoke)?.max(1);
        store::forget_child(tx, token, child)?;
        if gone >= BATCH_TOKENS {
            return Ok(Removal::More);
        }
    }
    let key = key(tx, token);
    tx.delete(&key)?;
    Ok(Removal::More)
}

fn first(tx: &mut Tx<'_>) -> Result<Option<Parent>, Error> {
    let mut first = None;
    let table = table(tx);
    tx.entries(&table, &mut |rest, _| {
        if let Some((namespace, row)) = rest.split_first_chunk::<8>()
            && let Ok(row) = row.try_into()
        {
            first = Some(Parent { namespace: u64::from_be_bytes(*namespace), row: TokenRow(row) });
        }
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}
