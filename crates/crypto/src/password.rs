//! Hashes of passwords that people choose: argon2id (RFC 9106) in PHC strings, and bcrypt where one is brought along.
//!
//! A verification is slow on purpose (tens of milliseconds and megabytes): whoever calls it bounds how many run.

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use std::fmt;
use strongroom_secret::Entropy;
use thiserror::Error;

/// Memory, passes and lanes of new hashes: the first choice of OWASP's "Password Storage Cheat Sheet".
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// The most that an imported hash may cost.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=16;
/// The longest password that is hashed, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 4096;

/// Why a text is not a hash of a password, or no hash is made of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordError {
    #[error("the password hash is neither argon2 (a PHC string) nor bcrypt ($2a$, $2b$, $2y$)")]
    UnknownFormat,
    #[error("the password hash asks for more work than is allowed")]
    TooCostly,
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
}

/// A hash of a password, known to be well formed and bounded in cost.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Box<str>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Argon2,
    Bcrypt,
}

impl PasswordHash {
    /// Hashes with argon2id and a fresh salt.
    pub fn create(entropy: &dyn Entropy, password: &[u8]) -> Result<Self, PasswordError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt);
        let hashed = default_argon2().hash_password_with_salt(password, &salt);
        #[expect(
            clippy::expect_used,
            reason = "refused only for lengths and parameters out of range; all are constant"
        )]
        let text = hashed.expect("parameters in range").to_string().into();
        Ok(Self { text, kind: Kind::Argon2 })
    }

    /// Takes argon2id, argon2i and argon2d PHC strings and bcrypt hashes.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let kind = match text.split('$').nth(1) {
            Some("argon2id" | "argon2i" | "argon2d") => check_argon2(text)?,
            Some("2a" | "2b" | "2y") => check_bcrypt(text)?,
            _ => return Err(PasswordError::UnknownFormat),
        };
        Ok(Self { text: text.into(), kind })
    }

    /// The text to store. It is not the password, but lets it be guessed: keep it as a secret.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether the hash is of `password`. bcrypt counts the first 72 bytes alone, as bcrypt does.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        match self.kind {
            Kind::Argon2 => phc::PasswordHash::new(&self.text)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Kind::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
        }
    }
}

/// Does the work of a verification against a hash that [`PasswordHash::create`] made and answers false: for a user
/// who does not exist, so that the answer takes as long as for one who does.
pub fn verify_nobody(password: &[u8]) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    let mut output = [0; OUTPUT_BYTES];
    let done = default_argon2().hash_password_into(password, &[0; SALT_BYTES], &mut output);
    std::hint::black_box((done.is_ok(), output));
    false
}

fn default_argon2() -> Argon2<'static> {
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES));
    #[expect(clippy::expect_used, reason = "constants in range")]
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters.expect("constants in range"))
}

fn check_argon2(text: &str) -> Result<Kind, PasswordError> {
    let hash = phc::PasswordHash::new(text).map_err(|_| PasswordError::UnknownFormat)?;
    let parameters = Params::try_from(&hash).map_err(|_| PasswordError::UnknownFormat)?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(PasswordError::UnknownFormat);
    }
    let bounded = parameters.m_cost() <= MEMORY_KIB_MAX
        && parameters.t_cost() <= PASSES_MAX
        && parameters.p_cost() <= LANES_MAX;
    if bounded { Ok(Kind::Argon2) } else { Err(PasswordError::TooCostly) }
}

fn check_bcrypt(text: &str) -> Result<Kind, PasswordError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| PasswordError::UnknownFormat)?;
    if parts.get_cost() > *BCRYPT_COST.end() {
        return Err(PasswordError::TooCostly);
    }
    if BCRYPT_COST.contains(&parts.get_cost()) { Ok(Kind::Bcrypt) } else { Err(PasswordError::UnknownFormat) }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;

    /// Made by argon2-cffi 25.1 (the reference implementation in C) and by the Python package bcrypt 5.0.
    #[test]
    fn hashes_of_other_programs_verify() {
        for text in [
            "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0",
            "$2b$04$q/8zcpWcnliFNmYdl8XHUeer2HFEODJdD6k8o6ncSnrxmaA3fd9i2",
            "$2a$04$UylhA4WH7KwDiwkM8dLf2OBUEk6twyJcawTHCgSM4WDLKEyy8EjuS",
        ] {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.verify(b"correct horse battery staple"), "{text}");
            assert!(!hash.verify(b"correct horse battery stable"), "{text}");
        }
        let two_lanes =
            "$argon2id$v=19$m=256,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$ZPkST9dk0EsxA0H0usRDgC0NS7TNbkXd";
        assert!(PasswordHash::parse(two_lanes).unwrap().verify("passä".as_bytes()));
    }

    /// From John the Ripper's list of bcrypt vectors, as in crypt_blowfish's own test program.
    #[test]
    fn bcrypt_vectors_of_crypt_blowfish() {
        let hash =
            PasswordHash::parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").unwrap();
        assert!(hash.verify(b"U*U") && !hash.verify(b"U*U*"));
        let hash =
            PasswordHash::parse("$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a").unwrap();
        assert!(hash.verify(b"U*U*U"));
    }

    #[test]
    fn new_hashes_are_argon2id_with_the_stated_cost() {
        let hash = PasswordHash::create(&SeededEntropy::new(1), b"not-a-real-password").unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let read = PasswordHash::parse(hash.expose()).unwrap();
        assert!(read.verify(b"not-a-real-password") && !read.verify(b""));
        assert!(!verify_nobody(b"not-a-real-password"));
        assert_eq!(format!("{hash:?}"), "[redacted]");
    }

    #[test]
    fn malformed_and_costly_hashes_are_refused() {
        for (text, error) in [
            ("", PasswordError::UnknownFormat),
            ("plain", PasswordError::UnknownFormat),
            ("$1$abc$def", PasswordError::UnknownFormat),
            ("$argon2id$v=19$m=19456,t=2,p=1", PasswordError::UnknownFormat),
            (
                "$argon2id$v=19$m=4194304,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0",
                PasswordError::TooCostly,
            ),
            ("$2b$31$q/8zcpWcnliFNmYdl8XHUeer2HFEODJdD6k8o6ncSnrxmaA3fd9i2", PasswordError::TooCostly),
            ("$2b$04$q/8zcpWcnliFNmYdl8XHUeer2HFEODJdD6k8o6ncSnrxmaA3fd9", PasswordError::UnknownFormat),
        ] {
            assert_eq!(PasswordHash::parse(text), Err(error), "{text}");
        }
        let long = vec![b'a'; PASSWORD_BYTES_MAX + 1];
        assert_eq!(PasswordHash::create(&SeededEntropy::new(1), &long), Err(PasswordError::TooLong));
    }
}
