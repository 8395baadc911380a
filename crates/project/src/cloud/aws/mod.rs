//! Amazon Web Services: one client over Signature Version 4 for the few calls that are made here.
//!
//! The signature is our own hundred lines, tested with AWS's vectors: the published crate brings some twenty-five packages
//! for it, and a door that verifies signatures needs the same canonical form.

mod credentials;
mod kms;
mod profile;
mod sign;
mod sso;
mod sts;

pub use kms::{DataKey, EncryptionContext};
pub(crate) use profile::read_small;

use crate::provider::{ErrorKind, ProviderError};
use crate::surroundings::{Surroundings, Variables};
use crate::web::{Answer, Limits, Repeat, Request, Web, is_temporary};
use credentials::{Chain, Credentials, region_of};
use profile::ProfileFiles;
use serde_json::Value;
use sign::{Scope, sign};
use std::sync::Arc;
use strongroom_secret::Timestamp;

/// What the caller says about AWS; what it does not comes from variables and `~/.aws`.
#[derive(Debug, Clone, Default)]
pub struct AwsOptions {
    pub profile: Option<String>,
    pub region: Option<String>,
    /// The address of the service, for emulators and doors: `http://127.0.0.1:5000`.
    pub endpoint: Option<String>,
    /// A role to take on with the credentials that are found.
    pub role: Option<String>,
}

/// A client of one account and region.
pub struct Aws {
    web: Arc<Web>,
    chain: Chain,
    options: AwsOptions,
    role: crate::cloud::Renewed<Credentials>,
}

/// The services that are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    SecretsManager,
    ParameterStore,
    Kms,
}

impl Service {
    /// The signing name, which is the host's first label as well.
    const fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::ParameterStore => "ssm",
            Self::Kms => "kms",
        }
    }

    /// What stands before the operation in `X-Amz-Target`.
    const fn target(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::ParameterStore => "AmazonSSM",
            Self::Kms => "TrentService",
        }
    }

    /// As in `AWS_ENDPOINT_URL_…`.
    const fn variable(self) -> &'static str {
        match self {
            Self::SecretsManager => "SECRETS_MANAGER",
            Self::ParameterStore => "SSM",
            Self::Kms => "KMS",
        }
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct CallError {
    /// As `ResourceNotFoundException`; empty where the service did not answer.
    pub(crate) code: String,
    pub(crate) error: ProviderError,
}

impl From<CallError> for ProviderError {
    fn from(failed: CallError) -> Self {
        failed.error
    }
}

impl From<ProviderError> for CallError {
    fn from(error: ProviderError) -> Self {
        Self { code: String::new(), error }
    }
}

impl Aws {
    pub fn new(surroundings: Arc<Surroundings>, options: AwsOptions) -> Self {
        Self::over(Arc::new(Web::new(surroundings, Limits::default())), options)
    }

    pub(crate) fn over(web: Arc<Web>, options: AwsOptions) -> Self {
        let chain = Chain::new(Arc::clone(&web), options.profile.clone());
        Self { web, chain, options, role: crate::cloud::Renewed::default() }
    }

    pub(crate) fn web(&self) -> &Arc<Web> {
        &self.web
    }

    /// One call: `POST /` with the operation in a header and JSON 1.1 in both directions.
    pub(crate) fn call(
        &self,
        service: Service,
        operation: &str,
        body: &Value,
        repeat: Repeat,
    ) -> Result<Value, CallError> {
        self.call_in(None, service, operation, body, repeat)
    }

    /// As `call`, in a region that the caller knows (from an ARN).
    pub(crate) fn call_in(
        &self,
        region: Option<&str>,
        service: Service,
        operation: &str,
        body: &Value,
        repeat: Repeat,
    ) -> Result<Value, CallError> {
        let files = ProfileFiles::read(self.web.surroundings())?;
        let region = match region {
            Some(region) => region.to_owned(),
            None => self.region(&files)?,
        };
        let credentials = self.credentials(&region)?;
        let request = Request::new("POST", format!("{}/", self.endpoint(service, &region, &files)), repeat)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{}.{operation}", service.target()))
            .body(body.to_string());
        let now = self.web.surroundings().clock.now();
        let request =
            sign(request, &credentials, &Scope { region: &region, service: service.name(), time: now });
        let answer = self.web.send_until(&request, |answer| {
            !is_temporary(answer.status) && !is_throttled(&error_code(answer).0)
        })?;
        if answer.is_success() {
            return Ok(answer.json()?);
        }
        Err(refusal(&answer, operation, &credentials, now))
    }

    fn credentials(&self, region: &str) -> Result<Arc<Credentials>, ProviderError> {
        let base = self.chain.credentials()?;
        let Some(arn) = &self.options.role else { return Ok(base) };
        let role =
            sts::Role { arn, session: None, external_id: None, duration_seconds: None, region: Some(region) };
        let now = self.web.surroundings().clock.now();
        self.role.get(now, |credentials| credentials.expires, || sts::assume(&self.web, &role, &base))
    }

    /// Where a service is asked, as far as can be told without its region.
    pub(crate) fn shown_endpoint(&self, service: Service) -> String {
        let files = ProfileFiles::read(self.web.surroundings()).unwrap_or_default();
        let region = self.region(&files).unwrap_or_else(|_| "REGION".to_owned());
        self.endpoint(service, &region, &files)
    }

    fn profile_name(&self) -> &str {
        let variables = &self.web.surroundings().variables;
        let named = variables.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        self.options.profile.as_deref().or(named).unwrap_or("default")
    }

    fn region(&self, files: &ProfileFiles) -> Result<String, ProviderError> {
        let profile = self.profile_name();
        let of_profile = || files.profiles.get(profile)?.text("region");
        let region =
            self.options.region.as_deref().or_else(|| region_of(self.web.surroundings())).or_else(of_profile);
        region.map(str::to_owned).ok_or_else(|| {
            let mut error = ProviderError::settings("no AWS region is set")
                .looked("variables AWS_REGION and AWS_DEFAULT_REGION");
            for file in &files.looked {
                error = error.looked(format!("{}, profile {profile}", file.display()));
            }
            error.hint("`region` in the manifest, or AWS_REGION")
        })
    }

    /// Without a slash at its end.
    fn endpoint(&self, service: Service, region: &str, files: &ProfileFiles) -> String {
        if let Some(endpoint) = &self.options.endpoint {
            return endpoint.trim_end_matches('/').to_owned();
        }
        let variables = &self.web.surroundings().variables;
        if let Some(endpoint) = endpoint_of_variables(variables, service.variable()) {
            return endpoint;
        }
        if !variables.switch("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
            let section = files.profiles.get(self.profile_name());
            let own = section.and_then(|section| files.services.get(section.text("services")?)).and_then(
                |services| services.text(&format!("{}.endpoint_url", service.variable().to_lowercase())),
            );
            let common = section.and_then(|section| section.text("endpoint_url"));
            if let Some(endpoint) = own.or(common) {
                return endpoint.trim_end_matches('/').to_owned();
            }
        }
        let fips = if variables.switch("AWS_USE_FIPS_ENDPOINT") { "-fips" } else { "" };
        format!("https://{}{fips}.{region}.{}", service.name(), suffix(region))
    }
}

/// A signed request that tells whoever sends it on who we are at AWS. `{region}` in the template is filled in.
pub(crate) fn caller_identity_request(
    web: &Arc<Web>,
    template: &str,
    target_resource: &str,
) -> Result<Request, ProviderError> {
    let client = Aws::over(Arc::clone(web), AwsOptions::default());
    let region = client.region(&ProfileFiles::read(web.surroundings())?)?;
    let credentials = client.chain.credentials()?;
    let request = Request::new("POST", template.replace("{region}", &region), Repeat::Safe)
        .header("x-goog-cloud-target-resource", target_resource);
    let host = request.url.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next());
    let host = host.unwrap_or_default().to_owned();
    let scope = Scope { region: &region, service: "sts", time: web.surroundings().clock.now() };
    Ok(sign(request, &credentials, &scope).header("host", host))
}

/// `AWS_ENDPOINT_URL_service`, else `AWS_ENDPOINT_URL`; without a slash at its end.
pub(crate) fn endpoint_of_variables(variables: &Variables, service: &str) -> Option<String> {
    if variables.switch("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return None;
    }
    let endpoint = variables.first(&[&format!("AWS_ENDPOINT_URL_{service}"), "AWS_ENDPOINT_URL"])?;
    Some(endpoint.trim_end_matches('/').to_owned())
}

/// The domain of a region's partition.
pub(crate) fn suffix(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "amazonaws.com.cn",
        region if region.starts_with("us-iso-") => "c2s.ic.gov",
        region if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ => "amazonaws.com",
    }
}

/// The region in an ARN.
pub(crate) fn region_of_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let (Some("arn"), region) = (parts.next(), parts.nth(2)?) else { return None };
    (!region.is_empty()).then_some(region)
}

/// An error's code and message, from where AWS puts them: `__type` or a header; `message` or `Message`.
fn error_code(answer: &Answer) -> (String, String) {
    let body: Value = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| body.get(*name)?.as_str()).unwrap_or_default();
    let code = match text(&["__type", "code"]) {
        "" => answer.header("x-amzn-errortype").unwrap_or_default(),
        code => code,
    };
    // `com.amazonaws.secretsmanager#ResourceNotFoundException:http://…`
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    (code.to_owned(), text(&["message", "Message"]).to_owned())
}

fn is_throttled(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "ThrottledException"
            | "InternalServiceError"
            | "InternalFailure"
            | "InternalServerError"
    )
}

/// A clock that is off by more is refused: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.
const SKEW_SECONDS_MAX: i64 = 300;

fn refusal(answer: &Answer, operation: &str, credentials: &Credentials, now: Timestamp) -> CallError {
    let (code, message) = error_code(answer);
    let kind = match code.as_str() {
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "UnauthorizedOperation" => {
            ErrorKind::Denied
        }
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "RequestExpired"
        | "AuthFailure"
        | "OptInRequired" => ErrorKind::Authentication,
        code if is_throttled(code) => ErrorKind::Unreachable,
        _ if answer.status == 403 || answer.status == 401 => ErrorKind::Authentication,
        _ if is_temporary(answer.status) => ErrorKind::Unreachable,
        _ => ErrorKind::Malformed,
    };
    let said = if message.is_empty() { code.clone() } else { format!("{code}: {message}") };
    let mut error = ProviderError::new(kind, answer.refused(format!("AWS refuses {operation}: {said}")))
        .looked(&answer.request)
        .looked(format!("with the credentials of {}", credentials.source));
    let skew = answer.date_seconds().map_or(0, |server| now.seconds().saturating_sub(server));
    error = match kind {
        ErrorKind::Authentication if skew.abs() > SKEW_SECONDS_MAX => {
            let direction = if skew > 0 { "ahead" } else { "behind" };
            let minutes = skew.abs() / 60;
            error
                .hint(format!("this machine's clock is {minutes} minutes {direction} of AWS's: set it right"))
        }
        ErrorKind::Authentication if code.starts_with("Expired") || code == "RequestExpired" => {
            error.hint("the credentials have expired: log in again (aws sso login), or give new ones")
        }
        ErrorKind::Authentication => {
            error.hint("the key is not known or not right: check where it comes from")
        }
        ErrorKind::Denied => {
            error.hint(format!("the identity needs the permission for {operation} on this resource"))
        }
        _ => error,
    };
    CallError { code, error }
}

#[cfg(test)]
mod tests;
