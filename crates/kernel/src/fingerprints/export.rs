//! `GET sys/fingerprints`: the index of a namespace, in pages; with the cursor of an earlier answer only what has come since.

use super::missing::{self, State};
use super::rows::{self, ID_BYTES};
use crate::call::Call;
use crate::error::Error;
use crate::mounts::Mount;
use crate::request::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_fingerprint::TAG_BYTES;

/// Fingerprints in one answer.
const PAGE_MAX: usize = 16_384;
/// With less of a tag, a scan would find what is not there.
const TAG_BYTES_MIN: usize = 2;
const CURSOR_FORMAT: u8 = 1;
const POSITION_BYTES: usize = 16 + ID_BYTES;

/// How far somebody has come in the rows of one mount.
#[derive(Clone, Copy)]
struct Position {
    generation: u64,
    after: [u8; ID_BYTES],
}

/// How far somebody has come, by the ids of mounts.
type Cursor = BTreeMap<u64, Position>;

pub(super) fn export(call: &mut Call<'_>) -> Result<Response, Error> {
    let fields = call.fields();
    let tag_bytes = fields.count("tag_bytes")?.map_or(TAG_BYTES, |count| usize::try_from(count).unwrap_or(0));
    if !(TAG_BYTES_MIN..=TAG_BYTES).contains(&tag_bytes) {
        return Err(Error::invalid(format!("tag_bytes is {TAG_BYTES_MIN} to {TAG_BYTES}")));
    }
    let limit = fields.count("limit")?.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(PAGE_MAX);
    let cursor = match fields.text("cursor")?.filter(|cursor| !cursor.is_empty()) {
        Some(text) => Some(read_cursor(&text)?),
        None => None,
    };
    let key = call.tx.keys().scan.of(call.tx.keys(), call.namespace.id());
    let mounts = mounts(call)?;
    let scan_key = hex::encode(key.bytes().expose());
    let mut answer = Map::from_iter([
        ("scan_key".to_owned(), Value::from(scan_key)),
        ("tag_bytes".to_owned(), tag_bytes.into()),
        ("is_whole".to_owned(), mounts.iter().all(|(_, state)| state.is_whole).into()),
    ]);
    if cursor.as_ref().is_some_and(|cursor| is_outdated(cursor, &mounts)) {
        answer.insert("begin_again".to_owned(), true.into());
        return Ok(Response::data(answer));
    }
    let page = page(call, &mounts, cursor.unwrap_or_default(), (limit, tag_bytes))?;
    answer.insert("count".to_owned(), page.count.into());
    answer.insert("fingerprints".to_owned(), STANDARD.encode(&page.packed).into());
    answer.insert("cursor".to_owned(), written(&page.cursor).into());
    answer.insert("more".to_owned(), page.has_more.into());
    Ok(Response::data(answer))
}

/// The mounts of the namespace whose values are in the index, by id.
pub(super) fn mounts(call: &mut Call<'_>) -> Result<Vec<(Arc<Mount>, State)>, Error> {
    let namespace = call.namespace.clone();
    let indexed = namespace
        .mounts
        .values()
        .filter(|mount| mount.backend.fingerprints.is_some() && !mount.record.config.no_fingerprints);
    let mut mounts = Vec::new();
    for mount in indexed {
        mounts.push((mount.clone(), missing::state(&mut call.tx, mount)?));
    }
    mounts.sort_by_key(|(mount, _)| mount.record.id);
    Ok(mounts)
}

/// Whether what somebody has is more than what there is, or lacks rows that came in behind it.
fn is_outdated(cursor: &Cursor, mounts: &[(Arc<Mount>, State)]) -> bool {
    cursor.iter().any(|(id, position)| {
        !mounts.iter().any(|(mount, state)| mount.record.id == *id && state.generation == position.generation)
    })
}

struct Page {
    packed: Vec<u8>,
    count: usize,
    cursor: Cursor,
    has_more: bool,
}

fn page(
    call: &mut Call<'_>,
    mounts: &[(Arc<Mount>, State)],
    cursor: Cursor,
    (limit, tag_bytes): (usize, usize),
) -> Result<Page, Error> {
    let mut page = Page { packed: Vec::new(), count: 0, cursor, has_more: false };
    let mut sent = HashSet::new();
    let settled = rows::settled_before(call.now);
    for (mount, state) in mounts {
        let begun = page.cursor.get(&mount.record.id).map_or([0; ID_BYTES], |position| position.after);
        let mut after = begun;
        let mut is_full = false;
        call.tx.untracked(|tx| {
            rows::visit(tx, mount, &begun, &mut |id, row| {
                if page.count >= limit {
                    is_full = true;
                    return ControlFlow::Break(());
                }
                for leaf in row.leaves().filter(|leaf| leaf.whole().is_some_and(|whole| sent.insert(whole))) {
                    leaf.pack(tag_bytes, &mut page.packed);
                    page.count += leaf.count();
                }
                after = id.try_into().unwrap_or(after);
                ControlFlow::Continue(())
            })
        })?;
        // At the end of a mount's rows, those of the last minutes are left to be sent again.
        if !is_full {
            after = after.min(settled).max(begun);
        }
        page.cursor.insert(mount.record.id, Position { generation: state.generation, after });
        if is_full {
            page.has_more = true;
            break;
        }
    }
    Ok(page)
}

fn written(cursor: &Cursor) -> String {
    let mut bytes = vec![CURSOR_FORMAT];
    for (mount, position) in cursor {
        bytes.extend_from_slice(&mount.to_be_bytes());
        bytes.extend_from_slice(&position.generation.to_be_bytes());
        bytes.extend_from_slice(&position.after);
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str) -> Result<Cursor, Error> {
    let wrong = || Error::invalid("cursor is not one of sys/fingerprints: leave it out to begin");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let Some((&CURSOR_FORMAT, positions)) = bytes.split_first() else { return Err(wrong()) };
    let (positions, rest) = positions.as_chunks::<POSITION_BYTES>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let position = |bytes: &[u8; POSITION_BYTES]| {
        let (mount, rest) = bytes.split_first_chunk()?;
        let (generation, after) = rest.split_first_chunk()?;
        let generation = u64::from_be_bytes(*generation);
        Some((u64::from_be_bytes(*mount), Position { generation, after: after.try_into().ok()? }))
    };
    positions.iter().map(position).collect::<Option<_>>().ok_or_else(wrong)
}
