//! Keys brought by their owners, in the form of PKCS #11's `CKM_RSA_AES_KEY_WRAP`: an AES-256 key under RSA-OAEP, then
//! the key itself under AES key wrap with padding (RFC 5649).

use crate::keypair::{KeyError, KeyKind, OaepHash, PrivateKey, PublicKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use strongroom_secret::{Entropy, SecretBytes};
use zeroize::Zeroize;

const WRAPPING_KEY_BYTES: usize = 32;
/// AES key wrap adds a block of 8 bytes and fills the last one.
const OVERHEAD_BYTES: usize = 16;

/// Takes a key out of its wrapping.
pub fn unwrap_key(wrapping: &PrivateKey, hash: OaepHash, wrapped: &[u8]) -> Result<SecretBytes, KeyError> {
    let KeyKind::Rsa(bits) = wrapping.kind() else { return Err(KeyError::NoEncryption) };
    let (ephemeral, body) = wrapped.split_at_checked(bits as usize / 8).ok_or(KeyError::Decryption)?;
    let ephemeral = wrapping.decrypt_oaep(hash, ephemeral)?;
    if ephemeral.expose().len() != WRAPPING_KEY_BYTES {
        return Err(KeyError::Decryption);
    }
    let kek = AesKek::new(&AES_256, ephemeral.expose()).map_err(|_| KeyError::Decryption)?;
    let mut plain = vec![0; body.len()];
    let length = kek.unwrap_with_padding(body, &mut plain).map(|plain| plain.len());
    let key = length.map(|length| SecretBytes::new(plain.get(..length).unwrap_or_default().to_vec()));
    plain.zeroize();
    key.map_err(|_| KeyError::Decryption)
}

/// Wraps a key for the holder of the private key.
pub fn wrap_key(
    wrapping: &PublicKey,
    hash: OaepHash,
    entropy: &dyn Entropy,
    key: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let mut ephemeral = [0; WRAPPING_KEY_BYTES];
    entropy.fill(&mut ephemeral);
    let sealed = wrapping.encrypt_oaep(hash, &ephemeral);
    let kek = AesKek::new(&AES_256, &ephemeral);
    ephemeral.zeroize();
    let mut wrapped = sealed?;
    let mut body = vec![0; key.len() + OVERHEAD_BYTES];
    let length = kek
        .and_then(|kek| kek.wrap_with_padding(key, &mut body).map(|body| body.len()))
        .map_err(|_| KeyError::TooLong)?;
    wrapped.extend_from_slice(body.get(..length).unwrap_or_default());
    Ok(wrapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;

    #[test]
    fn keys_come_out_as_they_went_in() {
        let entropy = SeededEntropy::new(1);
        let wrapping = PrivateKey::generate(KeyKind::Rsa(2048), &entropy).unwrap();
        for length in [1, 16, 31, 32, 1200] {
            let key = vec![7; length];
            let wrapped = wrap_key(&wrapping.public().unwrap(), OaepHash::Sha2_256, &entropy, &key).unwrap();
            assert_eq!(unwrap_key(&wrapping, OaepHash::Sha2_256, &wrapped).unwrap().expose(), key);
            let mut changed = wrapped.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert_eq!(unwrap_key(&wrapping, OaepHash::Sha2_256, &changed), Err(KeyError::Decryption));
            assert_eq!(unwrap_key(&wrapping, OaepHash::Sha2_256, &wrapped[..100]), Err(KeyError::Decryption));
        }
    }
}
