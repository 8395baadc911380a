//! The vocabulary that every other crate speaks: values that do not print themselves, names that cannot be
//! wrong, limits, and the two things a program must be given from outside: the time and randomness.

mod duration;
mod entropy;
pub mod limits;
mod names;
mod time;
mod value;

pub use duration::{DurationError, format_duration, parse_duration};
pub use entropy::Entropy;
pub use names::{MountPath, NameError, NamespacePath, PolicyName, RequestPath};
pub use time::{Clock, Timestamp};
pub use value::{SecretBytes, SecretString, wipe};
