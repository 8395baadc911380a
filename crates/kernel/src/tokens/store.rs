use super::entry::{Parent, TokenEntry, TokenRow, TokenType};
use super::expiry::{ExpiryKind, expiry_key};
use super::revocation;
use crate::barrier::Keys;
use crate::effect::Effect;
use crate::error::Error;
use crate::namespaces::{Namespace, ROOT_NAMESPACE, kernel_space};
use crate::transaction::{Key, Table, Tx};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_crypto::token::random_base62;
use strongroom_secret::{Entropy, SecretString, Timestamp};
use subtle::ConstantTimeEq;

const TOKENS: Table = Table(4);
/// Non-orphans by parent: parent's namespace and row, then the child's.
const CHILDREN: Table = Table(5);
/// Orphans by the path that made them, for revocation by prefix.
const BY_PATH: Table = Table(6);

const SERVICE_PREFIX: &str = "hvs.";
const BATCH_PREFIX: &str = "hvb.";
/// After the prefix: the time it was made at, then what makes it a secret.
const TIME_CHARACTERS: usize = 7;
const RANDOM_CHARACTERS: usize = 24;
/// The same time, then a keyed hash: 100 bits of it.
const ACCESSOR_CHARACTERS: usize = 24;
const TIME_BYTES: usize = 6;
const BATCH_CONTEXT: &[u8] = b"batch token";

/// What a new token shall be.
pub struct NewToken {
    pub entry: TokenEntry,
    /// A token that the caller chose; random otherwise.
    pub id: Option<SecretString>,
}

/// A token that was made: shown once.
pub struct Created {
    pub token: SecretString,
    pub entry: TokenEntry,
    pub row: Option<TokenRow>,
}

/// Where a token's entry is, from the token.
pub(crate) fn row_of_token(keys: &Keys, token: &str) -> (String, TokenRow) {
    let accessor = accessor_of(keys, token);
    let row = row_of_accessor(keys, &accessor);
    (accessor, row)
}

fn accessor_of(keys: &Keys, token: &str) -> String {
    let tag = keys.tokens.start().with(b"accessor\0").with(token.as_bytes()).finish();
    let mut accessor = time_in(token).unwrap_or_default().to_owned();
    accessor.extend(tag.iter().map(|byte| digit((*byte).into())));
    accessor.truncate(ACCESSOR_CHARACTERS);
    if let Some(namespace) = namespace_suffix(token) {
        accessor.push('.');
        accessor.push_str(namespace);
    }
    accessor
}

/// In the order of their bytes, so that times sort as texts too.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn digit(number: u64) -> char {
    DIGITS.get((number % 62) as usize).copied().map_or('0', char::from)
}

/// A time as tokens begin with it: milliseconds since 1970 in base 62, enough until 2081.
fn time_text(at: Timestamp) -> String {
    let milliseconds = u64::try_from(at.nanoseconds() / 1_000_000).unwrap_or(0);
    let power = |place: usize| 62_u64.pow(u32::try_from(place).unwrap_or(0));
    (0..TIME_CHARACTERS).rev().map(|place| digit(milliseconds / power(place))).collect()
}

/// The time that a token of our own making begins with. A token chosen by its user has none.
fn time_in(token: &str) -> Option<&str> {
    let body = token.strip_prefix(SERVICE_PREFIX)?;
    let body = body.split_once('.').map_or(body, |(body, _)| body);
    let is_ours = body.len() == TIME_CHARACTERS + RANDOM_CHARACTERS
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
    body.get(..TIME_CHARACTERS).filter(|_| is_ours)
}

/// A row begins with the time that the accessor begins with: tokens made one after another stand next to each other in
/// all their tables, and the store changes few pages for many of them.
pub(crate) fn row_of_accessor(keys: &Keys, accessor: &str) -> TokenRow {
    let value_of = |byte: u8| DIGITS.binary_search(&byte).unwrap_or(0) as u64;
    let time = accessor.bytes().take(TIME_CHARACTERS).fold(0, |time, byte| time * 62 + value_of(byte));
    let tag = keys.tokens.start().with(b"row\0").with(accessor.as_bytes()).finish();
    let mut row = [0; 20];
    let bytes = time.to_be_bytes().into_iter().skip(size_of::<u64>() - TIME_BYTES).chain(tag);
    row.iter_mut().zip(bytes).for_each(|(out, byte)| *out = byte);
    TokenRow(row)
}

fn digest_of(keys: &Keys, token: &str) -> Vec<u8> {
    keys.tokens.start().with(b"token\0").with(token.as_bytes()).finish().to_vec()
}

/// The short id of a namespace at the end of a token or an accessor: none in the root namespace.
pub(crate) fn namespace_suffix(token: &str) -> Option<&str> {
    let body =
        token.strip_prefix(SERVICE_PREFIX).or_else(|| token.strip_prefix(BATCH_PREFIX)).unwrap_or(token);
    body.rsplit_once('.').map(|(_, suffix)| suffix).filter(|suffix| suffix.len() == 6)
}

fn token_key(tx: &Tx<'_>, namespace: u64, row: TokenRow) -> Key {
    let table = tx.table(kernel_space(namespace), TOKENS);
    tx.id_key(&table, &row.0)
}

fn child_key(tx: &Tx<'_>, parent: Parent, namespace: u64, row: TokenRow) -> Key {
    tx.id_key(&children_key(tx, parent), &[&namespace.to_be_bytes()[..], &row.0].concat())
}

fn children_key(tx: &Tx<'_>, parent: Parent) -> Key {
    let table = tx.table(kernel_space(parent.namespace), CHILDREN);
    tx.id_key(&table, &parent.row.0)
}

fn path_key(tx: &Tx<'_>, namespace: u64, path: &str, row: TokenRow) -> Key {
    let table = tx.table(kernel_space(namespace), BY_PATH);
    tx.id_key(&tx.path_key(&table, path), &row.0)
}

/// The entry of a service token, whoever has it; expired ones are found too.
pub(crate) fn read(tx: &mut Tx<'_>, namespace: u64, row: TokenRow) -> Result<Option<TokenEntry>, Error> {
    let key = token_key(tx, namespace, row);
    tx.record(&key)
}

/// The entry of a presented service token.
pub(crate) fn find_row(
    tx: &mut Tx<'_>,
    namespace: u64,
    token: &str,
) -> Result<Option<(TokenRow, TokenEntry)>, Error> {
    let (_, row) = row_of_token(&tx.keys().clone(), token);
    let Some(entry) = read(tx, namespace, row)? else { return Ok(None) };
    let presented = digest_of(tx.keys(), token);
    Ok(bool::from(presented.ct_eq(&entry.digest)).then_some((row, entry)))
}

/// The entry of an accessor, in the namespace that the accessor names.
pub(crate) fn by_accessor(
    tx: &mut Tx<'_>,
    namespace: u64,
    accessor: &str,
) -> Result<Option<(TokenRow, TokenEntry)>, Error> {
    let row = row_of_accessor(tx.keys(), accessor);
    Ok(read(tx, namespace, row)?.map(|entry| (row, entry)))
}

/// The entry that a batch token carries. None if it is not one of ours.
pub(crate) fn batch_entry(keys: &Keys, token: &str) -> Option<TokenEntry> {
    let body = token.strip_prefix(BATCH_PREFIX)?;
    let body = body.split_once('.').map_or(body, |(body, _)| body);
    let sealed = BASE64.decode(body).ok()?;
    let plain = keys.keyring.decrypt(BATCH_CONTEXT, &sealed).ok()?;
    serde_json::from_slice(plain.expose()).ok()
}

/// A token that looks as one made now, and is none.
pub(crate) fn look_alike(entropy: &dyn Entropy, namespace: &Namespace, now: Timestamp) -> SecretString {
    random_token(entropy, namespace, now)
}

fn random_token(entropy: &dyn Entropy, namespace: &Namespace, now: Timestamp) -> SecretString {
    SecretString::new(format!(
        "{SERVICE_PREFIX}{}{}{}",
        time_text(now),
        random_base62(entropy, RANDOM_CHARACTERS).expose(),
        suffix(namespace)
    ))
}

/// What tokens of a namespace end in.
fn suffix(namespace: &Namespace) -> String {
    match namespace.id() {
        ROOT_NAMESPACE => String::new(),
        _ => format!(".{}", namespace.record.text_id),
    }
}

/// Makes a token in the namespace that its entry names: its row, its place under its parent (or under its path, for an
/// orphan), and its end.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    entropy: &dyn Entropy,
    namespace: &Namespace,
    new: NewToken,
) -> Result<Created, Error> {
    let NewToken { mut entry, id } = new;
    if entry.kind == TokenType::Batch {
        let plain = serde_json::to_vec(&entry)
            .map_err(|error| Error::internal(format!("a batch token cannot be written: {error}")))?;
        let sealed = tx.keys().keyring.encrypt(entropy, BATCH_CONTEXT, &plain);
        let token =
            SecretString::new(format!("{BATCH_PREFIX}{}{}", BASE64.encode(&sealed), suffix(namespace)));
        return Ok(Created { token, entry, row: None });
    }
    let is_chosen = id.is_some();
    let token = match id {
        Some(id) => id,
        None => random_token(entropy, namespace, entry.created),
    };
    let keys = tx.keys().clone();
    let (accessor, row) = row_of_token(&keys, token.expose());
    // A random one cannot be there already.
    if is_chosen && read(tx, entry.namespace, row)?.is_some() {
        return Err(Error::invalid("cannot create a token with a duplicate ID"));
    }
    entry.accessor = accessor;
    entry.digest = digest_of(&keys, token.expose());
    // Nothing in memory knows of it yet.
    let key = token_key(tx, entry.namespace, row);
    tx.put_record(&key, &entry)?;
    let index = match entry.parent {
        Some(parent) => {
            // A parent that is revoked meanwhile must not leave this child behind.
            let parent_key = token_key(tx, parent.namespace, parent.row);
            tx.depend_on(&parent_key);
            child_key(tx, parent, entry.namespace, row)
        }
        None => path_key(tx, entry.namespace, &entry.path, row),
    };
    tx.put(&index, Vec::new())?;
    if let Some(expires) = entry.expires {
        let key = expiry_key(tx, expires, ExpiryKind::Token, entry.namespace, &row.0);
        tx.put(&key, Vec::new())?;
    }
    Ok(Created { token, entry, row: Some(row) })
}

/// Writes a changed entry.
pub(crate) fn save(tx: &mut Tx<'_>, row: TokenRow, entry: &TokenEntry) -> Result<(), Error> {
    let key = token_key(tx, entry.namespace, row);
    tx.put_record(&key, entry)?;
    tx.after_commit(Effect::Token(row));
    Ok(())
}

/// Counts one use of a token with a limit. After the last one the caller revokes it.
pub(crate) fn take_use(tx: &mut Tx<'_>, row: TokenRow, entry: &TokenEntry) -> Result<u64, Error> {
    let mut entry = entry.clone();
    entry.uses_left = entry.uses_left.saturating_sub(1);
    save(tx, row, &entry)?;
    Ok(entry.uses_left)
}

/// What happens to the children of a revoked token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Children {
    Revoke,
    Orphan,
}

/// Tokens that go in one commit with the one above them; the children of more than that go in the background.
const TREE_AT_ONCE_MAX: usize = 128;

/// Removes a token and all that was made under it. Returns the rows that went, so that their leases and cubbyholes go
/// with them.
pub(crate) fn revoke_tree(
    tx: &mut Tx<'_>,
    namespace: u64,
    row: TokenRow,
    children: Children,
) -> Result<Vec<(u64, TokenRow)>, Error> {
    let mut gone = Vec::new();
    let mut waiting = vec![Parent { namespace, row }];
    while let Some(at) = waiting.pop() {
        let Some(entry) = read(tx, at.namespace, at.row)? else { continue };
        match children {
            Children::Revoke => {
                let room = TREE_AT_ONCE_MAX.saturating_sub(gone.len() + waiting.len());
                let below = children_of(tx, at, room + 1)?;
                match below.len() > room {
                    true => revocation::leave_children(tx, at)?,
                    false => waiting.extend(below),
                }
            }
            Children::Orphan => {
                children_of(tx, at, usize::MAX)?.into_iter().try_for_each(|child| orphan(tx, at, child))?;
            }
        }
        remove(tx, at, &entry)?;
        gone.push((at.namespace, at.row));
    }
    Ok(gone)
}

/// Takes a child out of its parent's list.
pub(super) fn forget_child(tx: &mut Tx<'_>, parent: Parent, child: Parent) -> Result<(), Error> {
    let key = child_key(tx, parent, child.namespace, child.row);
    tx.delete(&key)
}

/// Up to `limit` children.
pub(super) fn children_of(tx: &mut Tx<'_>, parent: Parent, limit: usize) -> Result<Vec<Parent>, Error> {
    let prefix = children_key(tx, parent);
    let mut children = Vec::new();
    tx.entries(&prefix, &mut |rest, _| {
        if let Some((namespace, row)) = rest.split_first_chunk::<8>()
            && let Ok(row) = row.try_into()
        {
            children.push(Parent { namespace: u64::from_be_bytes(*namespace), row: TokenRow(row) });
        }
        Ok(if children.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(children)
}

fn orphan(tx: &mut Tx<'_>, parent: Parent, child: Parent) -> Result<(), Error> {
    let key = child_key(tx, parent, child.namespace, child.row);
    tx.delete(&key)?;
    let Some(mut entry) = read(tx, child.namespace, child.row)? else { return Ok(()) };
    entry.parent = None;
    save(tx, child.row, &entry)?;
    let index = path_key(tx, entry.namespace, &entry.path, child.row);
    tx.put(&index, Vec::new())
}

/// Removes the entry and its index rows. The row of the expiry index stays until its time and is then found empty.
fn remove(tx: &mut Tx<'_>, at: Parent, entry: &TokenEntry) -> Result<(), Error> {
    let key = token_key(tx, at.namespace, at.row);
    tx.delete(&key)?;
    let index = match entry.parent {
        Some(parent) => child_key(tx, parent, at.namespace, at.row),
        None => path_key(tx, at.namespace, &entry.path, at.row),
    };
    tx.delete(&index)?;
    if let Some(expires) = entry.expires {
        let key = expiry_key(tx, expires, ExpiryKind::Token, at.namespace, &at.row.0);
        tx.delete(&key)?;
    }
    tx.after_commit(Effect::Token(at.row));
    Ok(())
}

/// Visits the entries of a namespace's tokens.
pub(crate) fn entries_of(
    tx: &mut Tx<'_>,
    namespace: u64,
    visit: &mut dyn FnMut(TokenRow, TokenEntry) -> ControlFlow<()>,
) -> Result<(), Error> {
    let table = tx.table(kernel_space(namespace), TOKENS);
    tx.entries(&table, &mut |rest, value| {
        let entry = crate::transaction::decode(value)?;
        Ok(match rest.try_into() {
            Ok(row) => visit(TokenRow(row), entry),
            Err(_) => ControlFlow::Continue(()),
        })
    })
}

/// The rows of the orphans that were made at or below a path (the tokens of logins are), at most `limit`.
pub(crate) fn orphans_below(
    tx: &mut Tx<'_>,
    namespace: u64,
    path: &str,
    limit: usize,
) -> Result<Vec<TokenRow>, Error> {
    let table = tx.table(kernel_space(namespace), BY_PATH);
    let folder = tx.path_key(&table, path);
    let mut rows = Vec::new();
    tx.entries(&folder, &mut |rest, _| {
        rows.extend(rest.last_chunk().map(|row| TokenRow(*row)));
        Ok(if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(rows)
}

/// The tokens that were made at or below a path and end by themselves, with their paths. Below `auth/token` they are
/// not indexed by path: all tokens of the namespace are looked at.
pub(crate) fn below_path(
    tx: &mut Tx<'_>,
    namespace: u64,
    prefix: &str,
    limit: usize,
) -> Result<Vec<(String, TokenRow)>, Error> {
    let mut found = Vec::new();
    if "auth/token".starts_with(prefix) || prefix.starts_with("auth/token/") {
        entries_of(tx, namespace, &mut |row, entry| {
            let rest = entry.path.strip_prefix(prefix);
            let is_below =
                prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if is_below && entry.expires.is_some() {
                found.push((entry.path, row));
            }
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        return Ok(found);
    }
    let table = tx.table(kernel_space(namespace), BY_PATH);
    let folder = tx.path_key(&table, prefix);
    let mut rests = Vec::new();
    tx.entries(&folder, &mut |rest, _| {
        rests.extend(rest.split_last_chunk().map(|(names, row)| (names.to_vec(), TokenRow(*row))));
        Ok(if rests.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for (names, row) in rests {
        let below = tx.reveal(&folder, &names)?;
        let path = if below.is_empty() { prefix.to_owned() } else { format!("{prefix}/{below}") };
        found.push((path, row));
    }
    Ok(found)
}

/// An entry with nothing in it but what every token has.
pub(crate) fn blank(namespace: u64, path: &str, now: Timestamp) -> TokenEntry {
    TokenEntry {
        digest: Vec::new(),
        accessor: String::new(),
        namespace,
        kind: TokenType::Service,
        policies: Vec::new(),
        path: path.to_owned(),
        display_name: String::new(),
        metadata: Map::new(),
        uses_left: 0,
        num_uses: 0,
        created: now,
        ttl: Duration::ZERO,
        explicit_ttl_max: Duration::ZERO,
        ttl_max: Duration::ZERO,
        period: Duration::ZERO,
        expires: None,
        last_renewal: None,
        is_renewable: false,
        parent: None,
        entity_id: String::new(),
        role: String::new(),
        bound_cidrs: Vec::new(),
        mount: 0,
        internal: Value::Null,
        no_identity_policies: false,
        is_wrapping: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_crypto::Key as CryptoKey;
    use strongroom_crypto::keyring::Keyring;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    fn keys() -> Keys {
        let keyring = Keyring::generate(&Zeros, Timestamp::from_seconds(0));
        Keys::new(keyring, CryptoKey::from_bytes(&[1; 32]))
    }

    fn made_at(milliseconds: i64, random: char) -> String {
        let time = time_text(Timestamp::from_nanoseconds(milliseconds * 1_000_000));
        format!("hvs.{time}{}", String::from(random).repeat(RANDOM_CHARACTERS))
    }

    #[test]
    fn rows_follow_the_time_that_their_tokens_were_made_at() {
        let keys = keys();
        let times = [0, 1, 61, 62, 1_700_000_000_000, 1_700_000_000_001, 3_500_000_000_000];
        let rows: Vec<TokenRow> =
            times.iter().map(|time| row_of_token(&keys, &made_at(*time, 'x')).1).collect();
        assert!(rows.is_sorted(), "{rows:?}");
        let other = row_of_token(&keys, &made_at(62, 'y')).1;
        assert!(rows[2] < other && other < rows[4]);
        assert_ne!(other, rows[3], "at one time there are many");
    }

    #[test]
    fn the_row_is_found_from_the_accessor_alone() {
        let keys = keys();
        let of_time = made_at(1_700_000_000_000, 'x');
        for token in [of_time.as_str(), &format!("{of_time}.abcdef"), "chosen by hand", "hvs.", "hvs.ÄÖÜ", ""]
        {
            let (accessor, row) = row_of_token(&keys, token);
            assert_eq!(row_of_accessor(&keys, &accessor), row, "{token}");
            let body = accessor.strip_suffix(".abcdef").unwrap_or(&accessor);
            assert_eq!(body.len(), ACCESSOR_CHARACTERS);
            assert!(!accessor.contains("xxxxx"), "{accessor} shows something of {token}");
        }
        assert!(accessor_of(&keys, &of_time).starts_with(time_in(&of_time).unwrap()));
        assert_eq!(time_in("hvs.not-a-real-token-of-31-letters-"), None);
    }
}
