use super::{Check, Verdict, base58, checksum, shapes};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};

/// <https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/>, and npm's announcement of the same form.
pub(super) fn github(secret: &[u8]) -> Check {
    let body = secret.splitn(2, |byte| *byte == b'_').nth(1).unwrap_or_default();
    let verified = body
        .split_last_chunk::<6>()
        .is_some_and(|(payload, sum)| checksum::base62_number(sum) == Some(checksum::crc32(payload)));
    Check::verified_or_unlikely(verified)
}

/// Grafana's `apikeygenprefix`: `glsa_`, the secret, `_`, and the CRC-32 of what stands before it.
pub(super) fn grafana_service_account(secret: &[u8]) -> Check {
    let verified = secret.split_last_chunk::<8>().is_some_and(|(rest, sum)| {
        let payload = rest.strip_suffix(b"_").unwrap_or_default();
        checksum::hexadecimal_number(sum).map(u32::swap_bytes) == Some(checksum::crc32(payload))
    });
    Check::verified_or_unlikely(verified)
}

/// Tokens made since 2023; older ones have no prefix and no checksum.
pub(super) fn atlassian(secret: &[u8]) -> Check {
    if !["ATATT", "ATCTT", "ATBB"].iter().any(|prefix| secret.starts_with(prefix.as_bytes())) {
        return shapes::letters_and_digits(secret);
    }
    let verified = secret
        .split_last_chunk::<8>()
        .is_some_and(|(rest, sum)| checksum::hexadecimal_number(sum) == Some(checksum::crc32(rest)));
    Check::verified_or_unlikely(verified)
}

/// <https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/>: prefix, 40 characters, checksum.
pub(super) fn cloudflare(secret: &[u8]) -> Check {
    let body = secret.splitn(2, |byte| *byte == b'_').nth(1).unwrap_or_default();
    let verified = body
        .split_last_chunk::<8>()
        .is_some_and(|(rest, sum)| checksum::hexadecimal_number(sum) == Some(checksum::crc32(rest)));
    Check::verified_or_unlikely(verified)
}

/// <https://docs.confluent.io/cloud/current/client-apps/api-keys.html>: `cflt`, 54 characters, and their CRC-32 in base64.
pub(super) fn confluent(secret: &[u8]) -> Check {
    let body = secret.strip_prefix(b"cflt").unwrap_or_default();
    let verified = body.split_last_chunk::<6>().is_some_and(|(payload, sum)| {
        BASE64_NOPAD.encode(&checksum::crc32(payload).to_le_bytes()).as_bytes() == sum
    });
    Check::verified_or_unlikely(verified)
}

/// <https://zuplo.com/docs/articles/api-key-best-practices>: `zpka_`, the key, `_`, its CRC-32.
pub(super) fn zuplo(secret: &[u8]) -> Check {
    let body = secret.strip_prefix(b"zpka_").unwrap_or_default();
    let verified = body.split_last_chunk::<8>().is_some_and(|(rest, sum)| {
        let payload = rest.strip_suffix(b"_").unwrap_or_default();
        checksum::hexadecimal_number(sum) == Some(checksum::crc32(payload))
    });
    Check::verified_or_unlikely(verified)
}

/// Keys made since 2019 hold the account in bits 1 to 40 of the base32 after the four letters; older ones go on with `I` or `J`.
pub(super) fn aws_access_key(secret: &[u8]) -> Check {
    let body = secret.get(4..).unwrap_or_default();
    let Ok(bytes) = data_encoding::BASE32_NOPAD.decode(body) else {
        return Check::of(Verdict::Unlikely);
    };
    if matches!(body.first(), Some(b'I' | b'J')) {
        return Check::of(Verdict::Plausible);
    }
    let number = bytes.iter().take(6).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let account = (number & 0x7fff_ffff_ff80) >> 7;
    if account > 999_999_999_999 {
        return Check::of(Verdict::Plausible);
    }
    Check::noted(Verdict::Plausible, format!("aws-account:{account:012}"))
}

pub(super) fn base64_of_64_bytes(secret: &[u8]) -> Check {
    base64_of(secret, 64)
}

pub(super) fn base64_of_32_bytes(secret: &[u8]) -> Check {
    base64_of(secret, 32)
}

fn base64_of(secret: &[u8], length: usize) -> Check {
    let decoded = BASE64.decode(secret).ok().filter(|bytes| bytes.len() == length);
    Check::of(if decoded.is_some() { Verdict::Plausible } else { Verdict::Unlikely })
}

/// `reftkn:01:EXPIRY:…`.
pub(super) fn jfrog_reference(secret: &[u8]) -> Check {
    let text = BASE64_NOPAD.decode(secret).unwrap_or_default();
    let mut parts = text.split(|byte| *byte == b':');
    let named = parts.next() == Some(b"reftkn");
    let numbers = [parts.next(), parts.next()];
    let numbered = numbers
        .iter()
        .all(|part| part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit)));
    Check::verified_or_unlikely(named && numbered)
}

pub(super) fn jfrog_api_key(secret: &[u8]) -> Check {
    let length = base58::decode(secret).map(|bytes| bytes.len());
    Check::of(if length == Some(54) { Verdict::Plausible } else { Verdict::Unlikely })
}

/// The first part is the bot's number, a decimal of 17 digits or more since 2015.
pub(super) fn discord_bot(secret: &[u8]) -> Check {
    let first = secret.split(|byte| *byte == b'.').next().unwrap_or_default();
    let number = BASE64URL_NOPAD.decode(first).unwrap_or_default();
    Check::verified_or_unlikely((17..=20).contains(&number.len()) && number.iter().all(u8::is_ascii_digit))
}

/// RFC 7617: base64 of `user:password`. Printable, with a password.
pub(super) fn basic_authentication(secret: &[u8]) -> Check {
    let unpadded: Vec<u8> = secret.iter().copied().filter(|byte| *byte != b'=').collect();
    let decoded = BASE64_NOPAD.decode(&unpadded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((_, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return Check::of(Verdict::Impossible);
    };
    if password.chars().any(char::is_control) {
        return Check::of(Verdict::Impossible);
    }
    shapes::password(password.as_bytes())
}

/// Numbers of bots have eight to ten digits, and their keys begin with `AA`.
pub(super) fn telegram_bot(secret: &[u8]) -> Check {
    let mut parts = secret.splitn(2, |byte| *byte == b':');
    let number = parts.next().unwrap_or_default().len();
    let fits = (8..=10).contains(&number) && parts.next().is_some_and(|key| key.starts_with(b"AA"));
    Check::of(if fits { Verdict::Plausible } else { Verdict::Unlikely })
}
