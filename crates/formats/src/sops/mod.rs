//! The SOPS file format: values, selectors, the MAC and the metadata, over the documents beside it.
