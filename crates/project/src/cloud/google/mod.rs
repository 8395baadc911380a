//! Google Cloud over REST: Secret Manager and Cloud KMS.

mod crc32c;
mod credentials;
mod kms;

pub(crate) use crc32c::crc32c;

use crate::provider::{ErrorKind, ProviderError};
use crate::surroundings::Surroundings;
use crate::web::{Answer, Limits, Request, Web, is_temporary};
use credentials::Chain;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// What the caller says about Google; what it does not is found as Google's libraries find it.
#[derive(Debug, Clone, Default)]
pub struct GoogleOptions {
    /// Instead of `GOOGLE_APPLICATION_CREDENTIALS`.
    pub credentials_file: Option<PathBuf>,
    /// The address of the service, for emulators and doors.
    pub endpoint: Option<String>,
}

/// A client with one identity.
pub struct Google {
    web: Arc<Web>,
    chain: Chain,
    endpoint: Option<String>,
}

/// The services that are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    SecretManager,
    Kms,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::SecretManager => "secretmanager",
            Self::Kms => "cloudkms",
        }
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct CallError {
    /// 0 where the service did not answer.
    pub(crate) status: u16,
    pub(crate) error: ProviderError,
}

impl From<ProviderError> for CallError {
    fn from(error: ProviderError) -> Self {
        Self { status: 0, error }
    }
}

impl From<CallError> for ProviderError {
    fn from(failed: CallError) -> Self {
        failed.error
    }
}

impl Google {
    pub fn new(surroundings: Arc<Surroundings>, options: GoogleOptions) -> Self {
        Self::over(Arc::new(Web::new(surroundings, Limits::default())), options)
    }

    pub(crate) fn over(web: Arc<Web>, options: GoogleOptions) -> Self {
        let chain = Chain::new(Arc::clone(&web), options.credentials_file);
        Self { web, chain, endpoint: options.endpoint }
    }

    pub(crate) fn web(&self) -> &Arc<Web> {
        &self.web
    }

    /// The project that the surroundings name.
    pub(crate) fn project(&self) -> Result<String, ProviderError> {
        self.chain.project()
    }

    /// Where a service is asked, without a slash at its end. A regional resource (`projects/P/locations/L/secrets/S`) of
    /// Secret Manager has a host of its own.
    pub(crate) fn endpoint(&self, service: Service, resource: &str) -> Result<String, ProviderError> {
        let variable = format!("CLOUDSDK_API_ENDPOINT_OVERRIDES_{}", service.name().to_uppercase());
        let configured =
            self.endpoint.as_deref().or_else(|| self.web.surroundings().variables.text(&variable));
        if let Some(endpoint) = configured {
            return Ok(endpoint.trim_end_matches('/').to_owned());
        }
        let universe = self.chain.universe()?;
        let location = resource.split_once("/locations/").and_then(|(_, rest)| rest.split('/').next());
        Ok(match (service, location) {
            (Service::SecretManager, Some(location)) => {
                format!("https://secretmanager.{location}.rep.{universe}")
            }
            _ => format!("https://{}.{universe}", service.name()),
        })
    }

    /// One call. A token that is refused is replaced once.
    pub(crate) fn call(&self, service: Service, build: impl Fn() -> Request) -> Result<Value, CallError> {
        let mut answer = self.send(service, build())?;
        if answer.status == 401 {
            self.chain.forget();
            answer = self.send(service, build())?;
        }
        if answer.is_success() { Ok(answer.json()?) } else { Err(refusal(&answer)) }
    }

    fn send(&self, service: Service, request: Request) -> Result<Answer, ProviderError> {
        let token = self.chain.token(service.name())?;
        let mut request = request.bearer(&token.token);
        if let Some(project) = self.chain.quota_project()? {
            request = request.header("x-goog-user-project", project);
        }
        self.web.send(&request).map_err(|error| error.looked(format!("with {}", token.source)))
    }
}

/// Google's errors: `{"error": {"code", "message", "status"}}`.
fn refusal(answer: &Answer) -> CallError {
    let body: Value = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    let text =
        |name: &str| body.pointer(&format!("/error/{name}")).and_then(Value::as_str).unwrap_or_default();
    let message = match (text("status"), text("message")) {
        ("", _) => "Google refuses".to_owned(),
        (status, message) => format!("Google refuses: {status}: {message}"),
    };
    let kind = match answer.status {
        401 => ErrorKind::Authentication,
        403 => ErrorKind::Denied,
        status if is_temporary(status) => ErrorKind::Unreachable,
        _ => ErrorKind::Malformed,
    };
    let error = ProviderError::new(kind, answer.refused(message)).looked(&answer.request);
    let error = match kind {
        ErrorKind::Authentication => error.hint("gcloud auth application-default login, or a new key file"),
        ErrorKind::Denied => error.hint(
            "the identity needs roles/secretmanager.secretAccessor (or for keys, roles/cloudkms.cryptoKeyEncrypterDecrypter)",
        ),
        _ => error,
    };
    CallError { status: answer.status, error }
}

/// A checksum in an answer (a number, or its text), against what came.
pub(crate) fn check_crc32c(said: Option<&Value>, bytes: &[u8], what: &str) -> Result<(), ProviderError> {
    let Some(said) = said else { return Ok(()) };
    let number = said.as_i64().or_else(|| said.as_str()?.parse().ok());
    if number == Some(i64::from(crc32c(bytes))) {
        return Ok(());
    }
    let message = format!("{what} does not fit its checksum: it was damaged on the way");
    Err(ProviderError::new(ErrorKind::Integrity, message)
        .hint("try again; if it stays, something on the way changes data"))
}
