//! How each dialect puts variables into a value. All three walk a value once and answer with borrowed pieces of it and of
//! the variables' values: nothing is copied before the length of the whole is known. None of them runs a command.

pub(super) mod compose;
pub(super) mod python;
pub(super) mod ruby;

pub use python::{Atom, atoms};

/// A value in pieces, in order.
pub(super) type Pieces<'t> = Vec<&'t str>;

/// The value of a variable, if it has one.
pub(super) type Variable<'t, 'f> = &'f dyn Fn(&str) -> Option<&'t str>;
