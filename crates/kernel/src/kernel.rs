use crate::error::Error;
use crate::request::{Request, Response};
use std::sync::Arc;

/// The kernel of a server.
pub struct Kernel {}

impl Kernel {
    /// Serves one request. Once called it runs to its end even if the caller loses interest: spawn it.
    pub async fn handle(self: Arc<Self>, request: Request) -> Result<Response, Error> {
        drop(request);
        Err(Error::sealed())
    }
}
