//! Auth methods.

mod approle;
mod token_parameters;
mod userpass;

use strongroom_kernel::Backend;

pub(crate) fn all() -> Vec<&'static Backend> {
    vec![&approle::BACKEND, &userpass::BACKEND]
}
