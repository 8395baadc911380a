//! One-time passwords: by counter (RFC 4226) and by time (RFC 6238).

use aws_lc_rs::hmac;

/// The hash of a one-time password. SHA-1 is what most apps know, and its weakness does not reach HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtpHash {
    Sha1,
    Sha256,
    Sha512,
}

impl OtpHash {
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// As `otpauth` URLs name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// The password of a counter: `digits` decimal digits, at most 9.
pub fn one_time_password(hash: OtpHash, key: &[u8], counter: u64, digits: u32) -> String {
    let algorithm = match hash {
        OtpHash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        OtpHash::Sha256 => hmac::HMAC_SHA256,
        OtpHash::Sha512 => hmac::HMAC_SHA512,
    };
    let tag = hmac::sign(&hmac::Key::new(algorithm, key), &counter.to_be_bytes());
    let tag = tag.as_ref();
    // Dynamic truncation (RFC 4226, section 5.3): the last half byte says where 31 bits are taken.
    let offset = usize::from(tag.last().copied().unwrap_or(0) & 0x0f);
    let taken = tag.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; 4]);
    let number = u32::from_be_bytes(taken) & 0x7fff_ffff;
    let digits = digits.min(9);
    let width = usize::try_from(digits).unwrap_or_default();
    format!("{:0width$}", number % 10_u32.pow(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B; its keys are as long as the hashes.
    #[test]
    fn vectors_of_rfc_6238() {
        let key = b"1234567890123456789012345678901234567890123456789012345678901234";
        for (seconds, sha1, sha256, sha512) in [
            (59_u64, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            let of = |hash, length: usize| one_time_password(hash, &key[..length], seconds / 30, 8);
            assert_eq!(of(OtpHash::Sha1, 20), sha1);
            assert_eq!(of(OtpHash::Sha256, 32), sha256);
            assert_eq!(of(OtpHash::Sha512, 64), sha512);
        }
        assert_eq!(one_time_password(OtpHash::Sha1, b"12345678901234567890", 0, 6), "755224");
    }
}
