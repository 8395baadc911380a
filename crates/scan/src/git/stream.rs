//! Large objects, read piece by piece.

/// The compressed bytes of an entry.
pub(crate) struct Entry;
