//! Secrets engines and auth methods, one folder each: route tables over the kernel's transactions. Nothing here knows of
//! HTTP, of a store, or of another engine.

mod answer;
mod auth;
#[doc(hidden)]
pub mod hostile;
mod listing;
mod pem;
mod routing;
mod secret_serde;
mod secrets;

use strongroom_kernel::Backend;

/// Every secrets engine and auth method that a server can mount.
pub fn all() -> Vec<&'static Backend> {
    let mut backends = secrets::all();
    backends.extend(auth::all());
    backends
}
