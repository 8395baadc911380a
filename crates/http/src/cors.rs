use crate::vault::{Refusal, Wire};
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};

/// Which web pages may use the API: `sys/config/cors`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorsPolicy {
    pub origins: CorsOrigins,
    /// Headers that pages may send beside Vault's own.
    pub headers: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// CORS is off: browsers decide as if the server knew nothing of it.
    #[default]
    Off,
    All,
    Listed(Vec<String>),
}

const METHODS: &str = "DELETE, GET, OPTIONS, POST, PUT, PATCH, LIST, SCAN";
const HEADERS: &str = "Content-Type, X-Requested-With, X-Vault-AWS-IAM-Server-ID, X-Vault-MFA, \
    X-Vault-No-Request-Forwarding, X-Vault-Namespace, X-Vault-Request, X-Vault-Wrap-Format, X-Vault-Wrap-TTL, \
    X-Vault-Policy-Override, Authorization, X-Vault-Token";

/// What CORS makes of a request.
pub(crate) enum Verdict {
    /// Nothing to add.
    Silent,
    /// Serve it, and name this origin in the answer.
    Allowed(HeaderValue),
    /// The answer to a browser's question in advance.
    Preflight(Wire),
}

impl CorsPolicy {
    pub(crate) fn judge(&self, method: &Method, headers: &HeaderMap) -> Result<Verdict, Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(Verdict::Silent) };
        let allowed = match &self.origins {
            CorsOrigins::Off => return Ok(Verdict::Silent),
            CorsOrigins::All => HeaderValue::from_static("*"),
            CorsOrigins::Listed(origins)
                if origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes()) =>
            {
                origin.clone()
            }
            CorsOrigins::Listed(_) => return Err(Refusal::new(StatusCode::FORBIDDEN, "origin not allowed")),
        };
        if method != Method::OPTIONS {
            return Ok(Verdict::Allowed(allowed));
        }
        Ok(Verdict::Preflight(self.preflight(allowed)))
    }

    fn preflight(&self, origin: HeaderValue) -> Wire {
        let mut response = Wire::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        name_origin(headers, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        let mut names = HEADERS.to_owned();
        for name in &self.headers {
            names.push_str(", ");
            names.push_str(name);
        }
        let names = HeaderValue::try_from(names).unwrap_or(HeaderValue::from_static(HEADERS));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
        response
    }
}

/// Tells the browser that this origin may read the answer.
pub(crate) fn name_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}
