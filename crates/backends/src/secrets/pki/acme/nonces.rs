//! Nonces against replay (RFC 8555, section 6.5). One is made of its time, random bytes and a MAC over both, so that handing it
//! out writes nothing; the one that was used is written down until its time is over.

use super::NONCES;
use super::config::AcmeSettings;
use super::problem::{Kind, Problem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_crypto::mac::MacKey;
use strongroom_kernel::{Call, Error, Tidied};
use strongroom_secret::Timestamp;

const LIFETIME: Duration = Duration::from_secs(3600);
const TIME_BYTES: usize = 8;
const RANDOM_BYTES: usize = 16;
/// Used ones that one piece of tidying removes.
const PER_PIECE: usize = 1000;

fn mac(settings: &AcmeSettings) -> MacKey {
    MacKey::from_slice(settings.nonce_key.expose())
}

/// A new one.
pub(super) fn make(call: &Call<'_>, settings: &AcmeSettings) -> String {
    let mut random = [0; RANDOM_BYTES];
    call.entropy().fill(&mut random);
    let seconds = u64::try_from(call.now.seconds()).unwrap_or(0);
    let mut nonce = [&seconds.to_be_bytes()[..], &random].concat();
    nonce.extend(mac(settings).tag(&nonce));
    BASE64.encode(nonce)
}

/// Uses one up. Whoever sends it once more is refused.
pub(super) fn redeem(call: &mut Call<'_>, settings: &AcmeSettings, nonce: &str) -> Result<(), Problem> {
    let bad = || Kind::BadNonce.told("the nonce is unknown, too old, or was used before: take a new one");
    let bytes = BASE64.decode(nonce).map_err(|_| bad())?;
    let (content, tag) = bytes.split_at_checked(TIME_BYTES + RANDOM_BYTES).ok_or_else(bad)?;
    if !mac(settings).verify(content, tag) {
        return Err(bad());
    }
    let seconds = content.first_chunk::<TIME_BYTES>().map(|time| u64::from_be_bytes(*time)).unwrap_or(0);
    let made = Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    if call.now.since(made) > LIFETIME {
        return Err(bad());
    }
    let key = call.tx.id_key(&call.table(NONCES), content);
    if call.tx.get(&key)?.is_some() {
        return Err(bad());
    }
    Ok(call.tx.put(&key, Vec::new())?)
}

/// Forgets used ones whose time is over.
pub(super) fn tidy(call: &mut Call<'_>) -> Result<Tidied, Error> {
    let table = call.table(NONCES);
    let cutoff = u64::try_from(call.now.minus(LIFETIME).seconds()).unwrap_or(0);
    let mut over = Vec::new();
    call.tx.entries(&table, &mut |content, _| {
        let made = content.first_chunk::<TIME_BYTES>().map_or(0, |time| u64::from_be_bytes(*time));
        if made >= cutoff || over.len() >= PER_PIECE {
            return Ok(ControlFlow::Break(()));
        }
        over.push(content.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    for content in &over {
        let key = call.tx.entry_key(&table, content);
        call.tx.delete(&key)?;
    }
    Ok(if over.len() >= PER_PIECE { Tidied::More } else { Tidied::All })
}
