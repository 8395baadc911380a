//! Codes by time (RFC 6238). A code counts once.

use super::store::{self, Method, Secret};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use strongroom_crypto::otp::{OtpHash, one_time_password};
use subtle::ConstantTimeEq;

/// Checks a code of somebody, and uses it up.
pub(super) fn check(call: &mut Call<'_>, method: &Method, entity_id: &str, code: &str) -> Result<(), Error> {
    let refused = |why: &str| {
        Error::new(ErrorKind::Denied, "failed to validate TOTP passcode").with_detail(why.to_owned())
    };
    let now = call.kernel.clock.monotonic();
    call.kernel.mfa_attempts.take(&method.id, entity_id, method.attempts_max, now)?;
    let Some(secret) = store::secret(&mut call.tx, method, entity_id)? else {
        return Err(refused("the entity has no key for this method"));
    };
    let step = matching(method, &secret, code, call.now.seconds())
        .ok_or_else(|| refused("the code is wrong, or was used before"))?;
    let used = Secret { key: secret.key.clone(), last_step: Some(step) };
    store::save_secret(&mut call.tx, method, entity_id, &used)?;
    call.kernel.mfa_attempts.forgive(&method.id, entity_id);
    Ok(())
}

/// The period that a code belongs to, if it is one whose code still counts.
fn matching(method: &Method, secret: &Secret, code: &str, now: i64) -> Option<u64> {
    let hash = OtpHash::ALL.into_iter().find(|hash| hash.name() == method.algorithm)?;
    let present = u64::try_from(now).ok()? / method.period.as_secs().max(1);
    let earliest = present.saturating_sub(method.skew);
    let mut found = None;
    for step in earliest..=present.saturating_add(method.skew) {
        let expected = one_time_password(hash, &secret.key, step, method.digits);
        let is_right: bool = expected.as_bytes().ct_eq(code.trim().as_bytes()).into();
        if is_right && secret.last_step.is_none_or(|last| step > last) {
            found = Some(step);
        }
    }
    found
}

/// The address that apps read (Google Authenticator's "Key URI Format").
pub(super) fn url(method: &Method, account: &str, key: &[u8]) -> String {
    let plain = |text: &str| -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        text.bytes()
            .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    format!(
        "otpauth://totp/{issuer}:{account}?algorithm={algorithm}&digits={digits}&issuer={issuer}&period={period}&secret={secret}",
        issuer = plain(&method.issuer),
        account = plain(account),
        algorithm = method.algorithm,
        digits = method.digits,
        period = method.period.as_secs(),
        secret = base32(key),
    )
}

/// RFC 4648, section 6, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let at = usize::try_from((buffer >> bits) & 31).unwrap_or_default();
            text.extend(ALPHABET.get(at).map(|byte| char::from(*byte)));
        }
    }
    if bits > 0 {
        let at = usize::try_from((buffer << (5 - bits)) & 31).unwrap_or_default();
        text.extend(ALPHABET.get(at).map(|byte| char::from(*byte)));
    }
    text
}

#[cfg(test)]
mod tests {
    /// RFC 4648, section 10.
    #[test]
    fn vectors_of_rfc_4648() {
        for (plain, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(super::base32(plain.as_bytes()), text);
        }
    }
}
