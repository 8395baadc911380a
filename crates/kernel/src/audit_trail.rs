//! What audit learns of a request. Nothing is answered before its record is written.

use crate::caller::Caller;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::pipeline::Routed;
use crate::request::{Request, Response};

/// A request as far as it has come.
pub(crate) struct Walked<'w> {
    pub routed: &'w Routed,
    pub request: &'w Request,
    pub caller: Option<&'w Caller>,
}

impl Kernel {
    /// Records the request and its answer together, where nothing was changed between them.
    pub(crate) async fn audit_both(
        &self,
        walked: &Walked<'_>,
        result: &Result<Response, Error>,
    ) -> Result<(), Error> {
        self.audit_request(walked, result.as_ref().err()).await?;
        self.audit_response(walked, result).await
    }

    /// Records that a request came, and whether it was refused.
    pub(crate) async fn audit_request(
        &self,
        _walked: &Walked<'_>,
        _refusal: Option<&Error>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Records what was answered.
    pub(crate) async fn audit_response(
        &self,
        _walked: &Walked<'_>,
        _result: &Result<Response, Error>,
    ) -> Result<(), Error> {
        Ok(())
    }
}
