use strongroom_secret::Entropy;
use zeroize::Zeroize;

const POOL_BYTES: usize = 64;

/// Numbers up to a bound, all equally likely: a random byte that would favour some of them is thrown away. Draws
/// from the source in pieces of 64 bytes and wipes them.
pub(crate) struct UniformNumbers<'a> {
    entropy: &'a dyn Entropy,
    pool: [u8; POOL_BYTES],
    used: usize,
}

impl<'a> UniformNumbers<'a> {
    pub(crate) fn new(entropy: &'a dyn Entropy) -> Self {
        Self { entropy, pool: [0; POOL_BYTES], used: POOL_BYTES }
    }

    /// Uniform in `0..=last`.
    pub(crate) fn up_to(&mut self, last: u8) -> u8 {
        let count = u16::from(last) + 1;
        let accepted = 256 / count * count;
        loop {
            let number = u16::from(self.byte());
            if number < accepted {
                // Below `count`, which is at most 256.
                return (number % count) as u8;
            }
        }
    }

    fn byte(&mut self) -> u8 {
        if self.used >= POOL_BYTES {
            self.entropy.fill(&mut self.pool);
            self.used = 0;
        }
        let byte = self.pool.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }
}

impl Drop for UniformNumbers<'_> {
    fn drop(&mut self) {
        self.pool.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up, so that every byte comes equally often.
    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) {
            out.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    #[test]
    fn every_number_is_equally_likely() {
        for last in [0, 1, 9, 61, 127, 200, 255] {
            let source = Counting(0.into());
            let mut numbers = UniformNumbers::new(&source);
            let mut seen = [0_u32; 256];
            for _ in 0..256 / (usize::from(last) + 1) * (usize::from(last) + 1) {
                seen[usize::from(numbers.up_to(last))] += 1;
            }
            let each = 256 / (u32::from(last) + 1);
            assert!(seen[..=usize::from(last)].iter().all(|count| *count == each), "{last}");
        }
    }
}
