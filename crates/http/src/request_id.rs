use parking_lot::Mutex;
use std::sync::Arc;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::Entropy;

/// Makes request ids. Randomness is drawn for many at once: a call to the system's generator costs as much as all the
/// parsing of a request.
pub(crate) struct RequestIds {
    entropy: Arc<dyn Entropy>,
    pool: Mutex<Pool>,
}

struct Pool {
    bytes: [u8; 2048],
    used: usize,
}

impl RequestIds {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, pool: Mutex::new(Pool { bytes: [0; 2048], used: 2048 }) }
    }

    /// A fresh UUID of version 4.
    pub(crate) fn next(&self) -> String {
        uuid_v4(self)
    }
}

impl Entropy for RequestIds {
    fn fill(&self, out: &mut [u8]) {
        let mut pool = self.pool.lock();
        if out.len() > pool.bytes.len() {
            return self.entropy.fill(out);
        }
        if pool.bytes.len() - pool.used < out.len() {
            self.entropy.fill(&mut pool.bytes);
            pool.used = 0;
        }
        let used = pool.used;
        let random = pool.bytes.iter().skip(used).copied();
        out.iter_mut().zip(random).for_each(|(target, byte)| *target = byte);
        pool.used = used + out.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_testkit::SeededEntropy;

    #[test]
    fn ids_do_not_repeat() {
        let ids = RequestIds::new(Arc::new(SeededEntropy::new(1)));
        let many: std::collections::HashSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(many.len(), 1000);
    }
}
