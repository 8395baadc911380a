/// A source of cryptographically strong randomness.
///
/// The operating system's generator is constructed in `cli` alone; tests and simulations pass a seeded one.
pub trait Entropy: Send + Sync {
    /// Fills the whole of `out`. A source that cannot do so must abort the process rather than return.
    fn fill(&self, out: &mut [u8]);
}

impl<T: Entropy + ?Sized> Entropy for std::sync::Arc<T> {
    fn fill(&self, out: &mut [u8]) {
        (**self).fill(out);
    }
}
