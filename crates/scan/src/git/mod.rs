//! Git repositories: every object once, bases whole, deltas by what they insert.
