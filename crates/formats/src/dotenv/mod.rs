//! `.env` files: one tree that keeps every byte, read in the dialects of those who read such files.
