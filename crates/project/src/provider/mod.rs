//! Where secrets come from. A provider answers for many names at once, in as few round trips as its service allows.
