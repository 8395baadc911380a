//! Azure Key Vault: secrets and keys, behind its challenge.

mod credentials;
mod keys;

use crate::cloud::{AccessToken, Renewed};
use crate::provider::{ErrorKind, ProviderError};
use crate::surroundings::Surroundings;
use crate::web::{Answer, Limits, Request, Web, host_of, is_temporary};
use credentials::Chain;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the caller says about Azure; what it does not is found as Azure's libraries find it.
#[derive(Debug, Clone, Default)]
pub struct AzureOptions {
    /// The application or managed identity, instead of `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// The directory, instead of `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    pub challenge: ChallengeCheck,
}

/// Whether a vault may ask for a token of another service than its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChallengeCheck {
    /// The resource must be the vault's own domain: a token goes nowhere else.
    #[default]
    Checked,
    /// For emulators.
    Unchecked,
}

/// A client with one identity, for any number of vaults.
pub struct Azure {
    web: Arc<Web>,
    chain: Chain,
    challenge: ChallengeCheck,
    /// What each vault's challenge has named.
    resources: Mutex<HashMap<String, String>>,
    tokens: Mutex<HashMap<String, Arc<Renewed<AccessToken>>>>,
}

/// The API's version; later ones answer in the same way.
pub(crate) const API_VERSION: &str = "7.4";

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

impl Azure {
    pub fn new(surroundings: Arc<Surroundings>, options: AzureOptions) -> Self {
        Self::over(Arc::new(Web::new(surroundings, Limits::default())), options)
    }

    pub(crate) fn over(web: Arc<Web>, options: AzureOptions) -> Self {
        let challenge = options.challenge;
        let chain = Chain::new(Arc::clone(&web), options);
        Self { web, chain, challenge, resources: Mutex::default(), tokens: Mutex::default() }
    }

    pub(crate) fn web(&self) -> &Arc<Web> {
        &self.web
    }

    /// One call to a vault. The first one goes without a token, to be told which one to bring; a token that is refused is
    /// replaced once.
    pub(crate) fn call(&self, build: impl Fn() -> Request) -> Result<Option<Value>, CallError> {
        let request = build();
        let host = host_of(&request.url).to_owned();
        let known = self.resources.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
        let mut answer = match known {
            Some(resource) => self.send_with_token(request, &resource)?,
            None => self.web.send(&Request { body: Default::default(), ..request })?,
        };
        if answer.status == 401 {
            let resource = self.resource_of_challenge(&host, &answer)?;
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&resource);
            answer = self.send_with_token(build(), &resource)?;
            self.resources.lock().unwrap_or_else(PoisonError::into_inner).insert(host, resource);
        }
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        if answer.body.expose().is_empty() { Ok(None) } else { Ok(Some(answer.json()?)) }
    }

    fn send_with_token(&self, request: Request, resource: &str) -> Result<Answer, ProviderError> {
        let kept = Arc::clone(
            self.tokens
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(resource.to_owned())
                .or_default(),
        );
        let now = self.web.surroundings().clock.now();
        let token = kept.get(now, |token| token.expires, || self.chain.token(resource))?;
        let answer = self.web.send(&request.bearer(&token.token));
        answer.map_err(|error| error.looked(format!("with {}", token.source)))
    }

    /// `WWW-Authenticate: Bearer authorization="…", resource="https://vault.azure.net"`: the resource is the vault's own
    /// domain, or a stranger asks for a token that opens another service.
    fn resource_of_challenge(&self, host: &str, answer: &Answer) -> Result<String, ProviderError> {
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        let field = |name: &str| challenge_field(challenge, name);
        let scope = || field("scope").map(|scope| scope.trim_end_matches("/.default").to_owned());
        let resource = field("resource").map(str::to_owned).or_else(scope).ok_or_else(|| {
            ProviderError::malformed("the vault refuses without saying which token it wants")
                .looked(&answer.request)
        })?;
        let without_port = |host: &str| host.split(':').next().unwrap_or_default().to_lowercase();
        let (resource_host, asked_host) = (without_port(host_of(&resource)), without_port(host));
        let is_own = asked_host == resource_host || asked_host.ends_with(&format!(".{resource_host}"));
        if self.challenge == ChallengeCheck::Checked && (resource_host.is_empty() || !is_own) {
            let message =
                format!("{asked_host} asks for a token for {resource_host}, which is not its own domain");
            return Err(ProviderError::new(ErrorKind::Integrity, message)
                .looked(&answer.request)
                .hint("is the address right? For an emulator, challenge = \"unchecked\" in the manifest"));
        }
        Ok(resource)
    }
}

/// A parameter of a challenge (RFC 9110, section 11.6.1).
fn challenge_field<'c>(challenge: &'c str, name: &str) -> Option<&'c str> {
    let parameters = challenge.strip_prefix("Bearer").unwrap_or(challenge);
    parameters.split(',').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        (key.trim().eq_ignore_ascii_case(name)).then(|| value.trim().trim_matches('"'))
    })
}

/// Azure's errors: `{"error": {"code", "message"}}`.
fn refusal(answer: &Answer) -> CallError {
    let body: Value = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    let text =
        |name: &str| body.pointer(&format!("/error/{name}")).and_then(Value::as_str).unwrap_or_default();
    let message = text("message").lines().next().unwrap_or_default();
    let message = match text("code") {
        "" => "Azure Key Vault refuses".to_owned(),
        code => format!("Azure Key Vault refuses: {code}: {message}"),
    };
    let kind = match answer.status {
        401 => ErrorKind::Authentication,
        403 => ErrorKind::Denied,
        status if is_temporary(status) => ErrorKind::Unreachable,
        _ => ErrorKind::Malformed,
    };
    let error = ProviderError::new(kind, answer.refused(message)).looked(&answer.request);
    let error = match kind {
        ErrorKind::Denied => error.hint(
            "the identity needs the role Key Vault Secrets User (Crypto User for keys), or an access policy",
        ),
        ErrorKind::Authentication => {
            error.hint("the token is of another directory, or has expired: az login")
        }
        _ => error,
    };
    CallError { status: answer.status, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_taken_apart() {
        let challenge =
            "Bearer authorization=\"https://login.windows.net/t\", resource=\"https://vault.azure.net\"";
        assert_eq!(challenge_field(challenge, "resource"), Some("https://vault.azure.net"));
        assert_eq!(challenge_field(challenge, "scope"), None);
        assert_eq!(host_of("https://a.vault.azure.net:443/x?y"), "a.vault.azure.net:443");
    }
}
