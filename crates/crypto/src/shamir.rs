//! Shamir's secret sharing ("How to share a secret", 1979) byte by byte over GF(2^8) with the polynomial 0x11B, in
//! Vault's share format: the y of each byte of the secret, then the one x of the share.
//!
//! No tables and no branches on secrets (CVE-2023-25000 was a table). All coefficients but the secret are uniform:
//! one share less than the threshold tells nothing.

use crate::uniform::UniformNumbers;
use strongroom_secret::{Entropy, SecretBytes};
use subtle::{Choice, ConditionallySelectable};
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest secret that is shared, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Why a secret is not shared or not put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShamirError {
    #[error("there must be at least one share")]
    NoShares,
    #[error("the threshold {threshold} must be between 1 and the number of shares {shares}")]
    Threshold { shares: u8, threshold: u8 },
    #[error("with more than one share the threshold must be at least 2")]
    ThresholdOfOne,
    #[error("the secret must have between 1 and {SECRET_BYTES_MAX} bytes")]
    SecretLength,
    #[error("{given} of {needed} shares were given")]
    TooFew { given: usize, needed: usize },
    #[error("more shares were given than exist")]
    TooMany,
    #[error("the shares have different or impossible lengths")]
    ShareLength,
    #[error("the same share was given twice")]
    Duplicate,
    #[error("a share is malformed")]
    Malformed,
}

/// How many shares there are, and how many of them are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareScheme {
    shares: u8,
    threshold: u8,
}

impl ShareScheme {
    /// `2 <= threshold <= shares`, or 1 of 1.
    pub fn new(shares: u8, threshold: u8) -> Result<Self, ShamirError> {
        match (shares, threshold) {
            (0, _) => Err(ShamirError::NoShares),
            _ if threshold == 0 || threshold > shares => Err(ShamirError::Threshold { shares, threshold }),
            (2.., 1) => Err(ShamirError::ThresholdOfOne),
            _ => Ok(Self { shares, threshold }),
        }
    }

    pub fn shares(self) -> u8 {
        self.shares
    }

    pub fn threshold(self) -> u8 {
        self.threshold
    }

    /// Shares of N + 1 bytes for a secret of N; with 1 of 1 the secret itself, as in Vault. The x are distinct, not
    /// zero, and random, so that a share does not tell how many there are.
    pub fn split(self, entropy: &dyn Entropy, secret: &[u8]) -> Result<Vec<SecretBytes>, ShamirError> {
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return Err(ShamirError::SecretLength);
        }
        if self.threshold == 1 {
            return Ok(vec![SecretBytes::new(secret.to_vec())]);
        }
        // One row of coefficients for each power of x from 1; the secret itself is the row of power 0.
        let rows: Vec<Zeroizing<Vec<u8>>> = (1..self.threshold)
            .map(|_| {
                let mut row = Zeroizing::new(vec![0; secret.len()]);
                entropy.fill(&mut row);
                row
            })
            .collect();
        let shares = random_order(entropy).into_iter().take(usize::from(self.shares));
        Ok(shares.map(|x| share_at(x, secret, &rows)).collect())
    }

    /// Puts the secret together from at least `threshold` shares. Wrong shares of the right form give a wrong secret:
    /// whoever uses it must notice (a key that opens nothing).
    pub fn combine(self, shares: &[SecretBytes]) -> Result<SecretBytes, ShamirError> {
        let needed = usize::from(self.threshold);
        if shares.len() < needed {
            return Err(ShamirError::TooFew { given: shares.len(), needed });
        }
        if shares.len() > usize::from(self.shares) {
            return Err(ShamirError::TooMany);
        }
        match shares {
            [only] if needed == 1 => Ok(only.duplicate()),
            _ => combine(shares),
        }
    }
}

/// Puts a secret together from two or more shares, all of which count.
pub fn combine(shares: &[SecretBytes]) -> Result<SecretBytes, ShamirError> {
    let points = points_of(shares)?;
    let length = points.first().map_or(0, |(_, y)| y.len());
    let mut secret = Zeroizing::new(vec![0_u8; length]);
    for (x, y) in &points {
        let basis = basis_at_zero(*x, points.iter().map(|(other, _)| *other));
        for (out, value) in secret.iter_mut().zip(*y) {
            *out ^= multiply(*value, basis);
        }
    }
    Ok(SecretBytes::new(std::mem::take(&mut secret)))
}

/// The x and the y of each share, checked.
fn points_of(shares: &[SecretBytes]) -> Result<Vec<(u8, &[u8])>, ShamirError> {
    if shares.len() < 2 {
        return Err(ShamirError::TooFew { given: shares.len(), needed: 2 });
    }
    let mut points: Vec<(u8, &[u8])> = Vec::with_capacity(shares.len().min(255));
    for share in shares {
        let (x, y) = share.expose().split_last().ok_or(ShamirError::ShareLength)?;
        let expected = points.first().map_or(y.len(), |(_, first)| first.len());
        if y.is_empty() || y.len() > SECRET_BYTES_MAX || y.len() != expected {
            return Err(ShamirError::ShareLength);
        }
        if *x == 0 {
            return Err(ShamirError::Malformed);
        }
        if points.iter().any(|(seen, _)| seen == x) {
            return Err(ShamirError::Duplicate);
        }
        points.push((*x, y));
    }
    Ok(points)
}

/// Horner's scheme for every byte of the secret, from the highest power down.
fn share_at(x: u8, secret: &[u8], rows: &[Zeroizing<Vec<u8>>]) -> SecretBytes {
    let mut share = Vec::with_capacity(secret.len() + 1);
    share.resize(secret.len(), 0);
    for row in rows.iter().rev().map(|row| row.as_slice()).chain([secret]) {
        for (out, coefficient) in share.iter_mut().zip(row) {
            *out = multiply(*out, x) ^ coefficient;
        }
    }
    share.push(x);
    SecretBytes::new(share)
}

/// Lagrange's basis polynomial of `x` at 0: the product of other / (other - x). The x are not secret from each other.
fn basis_at_zero(x: u8, all: impl Iterator<Item = u8>) -> u8 {
    let (numerator, denominator) = all
        .filter(|other| *other != x)
        .fold((1, 1), |(above, below), other| (multiply(above, other), multiply(below, other ^ x)));
    multiply(numerator, inverse(denominator))
}

/// 1 to 255 in a random order (Fisher and Yates).
fn random_order(entropy: &dyn Entropy) -> Vec<u8> {
    let mut numbers = UniformNumbers::new(entropy);
    let mut order: Vec<u8> = (1..=255).collect();
    for last in (1..=254_u8).rev() {
        order.swap(usize::from(last), usize::from(numbers.up_to(last)));
    }
    order
}

/// The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
fn multiply(left: u8, right: u8) -> u8 {
    let mut shifted = left;
    let mut product = 0;
    for bit in 0..8 {
        product ^= u8::conditional_select(&0, &shifted, Choice::from((right >> bit) & 1));
        shifted = (shifted << 1) ^ u8::conditional_select(&0, &0x1B, Choice::from(shifted >> 7));
    }
    product
}

/// The inverse in GF(2^8), as the power 254 (2 + 4 + 8 + … + 128); 0 for 0.
fn inverse(value: u8) -> u8 {
    let mut square = value;
    let mut product = 1;
    for _ in 0..7 {
        square = multiply(square, square);
        product = multiply(product, square);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;
    use proptest::prelude::*;

    fn shares(texts: &[&str]) -> Vec<SecretBytes> {
        texts.iter().map(|text| SecretBytes::new(hex::decode(text).unwrap())).collect()
    }

    /// Split by pyshamir 1.1.0, a port of Vault's own code to Python.
    #[test]
    fn combines_shares_made_by_another_program() {
        let all = shares(&[
            "3f03e5b09f13bc1bb6ef0963061d0d561bbdcd3d7f0985e3f8f54a20ee16f6fc3a",
            "5ff114c875a95057da86e3e40e0e55f5b9816f4c4752e234facaad4df2ab553089",
            "68a9218a12ac97503d9a0f6bf0c14deb76e217166624bac5a3b6c2a0b8c48278b6",
            "526c81fcb6ed9d35f0341bab045ec87f3c937d405f39b8f7bca18ad89ba1ec6c0f",
            "9b402fb74946d2bc5001f6d84904d00b97b688a80b0238c1917589ac08bb07fe6d",
        ]);
        let secret = b"0123456789abcdef0123456789ABCDEF";
        assert_eq!(combine(&all).unwrap().expose(), secret);
        assert_eq!(combine(&all[1..4]).unwrap().expose(), secret);
        assert_ne!(combine(&all[..2]).unwrap().expose(), secret);
        assert_eq!(combine(&shares(&["b3ee3b9c8520", "16ff9c7d699c"])).unwrap().expose(), b"short");
    }

    /// FIPS 197, section 4.2: {57} times {83} is {c1}.
    #[test]
    fn the_field_is_that_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xC1);
        assert_eq!(multiply(0x53, 0xCA), 1);
        for value in 1..=255 {
            assert_eq!(multiply(value, inverse(value)), 1);
        }
    }

    #[test]
    fn schemes_are_checked() {
        assert_eq!(ShareScheme::new(0, 0), Err(ShamirError::NoShares));
        assert_eq!(ShareScheme::new(3, 4), Err(ShamirError::Threshold { shares: 3, threshold: 4 }));
        assert_eq!(ShareScheme::new(3, 0), Err(ShamirError::Threshold { shares: 3, threshold: 0 }));
        assert_eq!(ShareScheme::new(3, 1), Err(ShamirError::ThresholdOfOne));
        let one = ShareScheme::new(1, 1).unwrap();
        let shares = one.split(&SeededEntropy::new(1), b"secret").unwrap();
        assert_eq!(shares, [SecretBytes::new(b"secret".to_vec())]);
        assert_eq!(one.combine(&shares).unwrap().expose(), b"secret");
        assert_eq!(one.split(&SeededEntropy::new(1), b"").unwrap_err(), ShamirError::SecretLength);
    }

    #[test]
    fn malformed_shares_are_refused() {
        for (texts, error) in [
            (&["0102"][..], ShamirError::TooFew { given: 1, needed: 2 }),
            (&["0102", "0102"], ShamirError::Duplicate),
            (&["0102", "010203"], ShamirError::ShareLength),
            (&["02", "03"], ShamirError::ShareLength),
            (&["", ""], ShamirError::ShareLength),
            (&["0102", "0100"], ShamirError::Malformed),
        ] {
            assert_eq!(combine(&shares(texts)), Err(error), "{texts:?}");
        }
        let scheme = ShareScheme::new(3, 3).unwrap();
        let two = shares(&["0102", "0103"]);
        assert_eq!(scheme.combine(&two), Err(ShamirError::TooFew { given: 2, needed: 3 }));
    }

    #[test]
    fn the_largest_scheme_works() {
        let scheme = ShareScheme::new(255, 255).unwrap();
        let shares = scheme.split(&SeededEntropy::new(9), b"secret").unwrap();
        assert_eq!(scheme.combine(&shares).unwrap().expose(), b"secret");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_threshold_of_shares_gives_the_secret(
            secret in prop::collection::vec(any::<u8>(), 1..48),
            (count, threshold) in (2_u8..12).prop_flat_map(|count| (Just(count), 2..=count)),
            seed: u64,
            rotation in 0_usize..12,
        ) {
            let scheme = ShareScheme::new(count, threshold).unwrap();
            let mut shares = scheme.split(&SeededEntropy::new(seed), &secret).unwrap();
            prop_assert!(shares.iter().all(|share| share.expose().len() == secret.len() + 1));
            shares.rotate_left(rotation % usize::from(count));
            shares.truncate(usize::from(threshold));
            prop_assert_eq!(scheme.combine(&shares), Ok(SecretBytes::new(secret)));
        }

        #[test]
        fn outside_bytes_do_not_panic(bytes: Vec<Vec<u8>>) {
            let shares: Vec<SecretBytes> = bytes.into_iter().map(SecretBytes::new).collect();
            let _ = combine(&shares);
        }
    }
}
