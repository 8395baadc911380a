use super::Wire;
use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde::Serialize;
use strongroom_kernel::{Error, ErrorKind};

/// Why a request got no answer, ready to be told in Vault's form.
pub(crate) struct Refusal(Box<Told>);

struct Told {
    status: StatusCode,
    body: ErrorBody,
}

/// Vault's `errors`; what else we have to say stands beside it.
#[derive(Serialize)]
struct ErrorBody {
    errors: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Where the server's log has more under this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let body =
            ErrorBody { errors: vec![message.into()], warnings: Vec::new(), hint: None, request_id: None };
        Self(Box::new(Told { status, body }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("request body too large: the limit is {bytes_max} bytes"),
        )
    }

    pub(crate) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is busy: try again")
    }

    /// An error of the kernel's. Its detail goes to the log, here, and nowhere else.
    pub(crate) fn from_kernel(error: Error, request_id: &str) -> Self {
        if let Some(detail) = &error.detail {
            match error.kind {
                ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::StorageFull => {
                    tracing::error!(request_id, detail, "request failed");
                }
                _ => tracing::debug!(request_id, detail, "request refused"),
            }
        }
        let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let request_id = error.detail.is_some().then(|| request_id.to_owned());
        let body =
            ErrorBody { errors: error.messages, warnings: error.warnings, hint: error.hint, request_id };
        Self(Box::new(Told { status, body }))
    }

    pub(crate) fn into_response(self) -> Wire {
        let text =
            serde_json::to_vec(&self.0.body).unwrap_or_else(|_| br#"{"errors":["internal error"]}"#.to_vec());
        let mut response = Wire::new(Full::new(Bytes::from(text)));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.0.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
