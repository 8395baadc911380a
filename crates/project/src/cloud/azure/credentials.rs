//! Tokens for Azure, in the order of Azure's libraries: environment, workload identity, managed identity, the `az` command.
//! <https://learn.microsoft.com/azure/developer/intro/azure-developer-cli/credential-chains>

use super::AzureOptions;
use crate::cloud::aws::read_small;
use crate::cloud::{AccessToken, jwt};
use crate::program::{Program, ProgramError};
use crate::provider::{ProviderError, SecretTree};
use crate::web::{Answer, Request, Web, form_body};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::hash::sha256;
use strongroom_secret::{SecretString, Timestamp};

pub(super) struct Chain {
    web: Arc<Web>,
    options: AzureOptions,
}

const AUTHORITY: &str = "https://login.microsoftonline.com";
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(60);
const PROGRAM_OUTPUT_BYTES_MAX: usize = 1 << 20;
const ASSERTION_LIFE: Duration = Duration::from_secs(600);

/// The parts of the chain that `AZURE_TOKEN_CREDENTIALS` (`dev`, `prod`) leaves in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    All,
    Deployed,
    Developer,
}

impl Chain {
    pub(super) fn new(web: Arc<Web>, options: AzureOptions) -> Self {
        Self { web, options }
    }

    /// A token for a resource, as `https://vault.azure.net`.
    pub(super) fn token(&self, resource: &str) -> Result<AccessToken, ProviderError> {
        let parts = match self.variable("AZURE_TOKEN_CREDENTIALS") {
            Some("dev") => Parts::Developer,
            Some("prod") => Parts::Deployed,
            _ => Parts::All,
        };
        if parts != Parts::Developer {
            if let Some(token) = self.of_variables(resource)? {
                return Ok(token);
            }
            if let Some(token) = self.of_workload_identity(resource)? {
                return Ok(token);
            }
            if let Some(token) = self.of_managed_identity(resource)? {
                return Ok(token);
            }
        }
        if parts != Parts::Deployed
            && let Some(token) = self.of_command(resource)?
        {
            return Ok(token);
        }
        Err(ProviderError::authentication("there are no Azure credentials")
            .looked("variables AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH)")
            .looked("variable AZURE_FEDERATED_TOKEN_FILE")
            .looked("the managed identity: IDENTITY_ENDPOINT, else the machine's metadata")
            .looked("the program az")
            .hint("az login, or the variables"))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.web.surroundings().variables.text(name)
    }

    fn tenant(&self) -> Option<&str> {
        self.options.tenant_id.as_deref().or_else(|| self.variable("AZURE_TENANT_ID"))
    }

    fn client(&self) -> Option<&str> {
        self.options.client_id.as_deref().or_else(|| self.variable("AZURE_CLIENT_ID"))
    }

    fn now(&self) -> Timestamp {
        self.web.surroundings().clock.now()
    }

    /// A directory's address for tokens. The tenant `adfs` is AD FS's older form.
    fn token_url(&self, tenant: &str) -> String {
        let authority = self.variable("AZURE_AUTHORITY_HOST").unwrap_or(AUTHORITY).trim_end_matches('/');
        match tenant {
            "adfs" => format!("{authority}/adfs/oauth2/token"),
            tenant => format!("{authority}/{tenant}/oauth2/v2.0/token"),
        }
    }

    /// Client credentials (RFC 6749, section 4.4), with one proof of the client's.
    fn of_client(
        &self,
        resource: &str,
        (tenant, client): (&str, &str),
        proof: &[(&str, &str)],
        source: &str,
    ) -> Result<AccessToken, ProviderError> {
        let scope = format!("{resource}/.default");
        let mut fields = vec![("grant_type", "client_credentials"), ("client_id", client)];
        fields.push(if tenant == "adfs" { ("resource", resource) } else { ("scope", &scope) });
        fields.extend_from_slice(proof);
        let answer = self.web.send(&Request::form(self.token_url(tenant), &fields))?;
        AccessToken::of_answer(&answer, self.now(), source).map_err(|error| {
            match directory_hint(&error.message) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }

    fn of_variables(&self, resource: &str) -> Result<Option<AccessToken>, ProviderError> {
        let (Some(tenant), Some(client)) = (self.tenant(), self.client()) else { return Ok(None) };
        if let Some(secret) = self.variable("AZURE_CLIENT_SECRET") {
            let source = "variable AZURE_CLIENT_SECRET";
            let proof = [("client_secret", secret)];
            return self.of_client(resource, (tenant, client), &proof, source).map(Some);
        }
        let Some(path) = self.variable("AZURE_CLIENT_CERTIFICATE_PATH") else { return Ok(None) };
        let assertion = self.certificate_assertion(tenant, client, path)?;
        let source = format!("the certificate {path}");
        self.of_client(resource, (tenant, client), &assertion_fields(&assertion), &source).map(Some)
    }

    /// A token about ourselves, signed by a certificate's key
    /// (<https://learn.microsoft.com/entra/identity-platform/certificate-credentials>).
    fn certificate_assertion(
        &self,
        tenant: &str,
        client: &str,
        path: &str,
    ) -> Result<SecretString, ProviderError> {
        let text = read_small(&self.web.surroundings().path(path))?.ok_or_else(|| {
            ProviderError::authentication("the certificate's file is not there").looked(path)
        })?;
        let certificate = jwt::pem_block(text.expose(), "CERTIFICATE").ok_or_else(|| {
            ProviderError::authentication(format!("{path} holds no certificate in PEM form"))
                .hint("put the certificate and its key (PKCS #8) into one PEM file")
        })?;
        let key = jwt::rsa_key(text.expose(), path)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(sha256(certificate.expose()));
        let header = json!({ "alg": "RS256", "typ": "JWT", "x5t#S256": thumbprint });
        let mut random = [0; 16];
        self.web.surroundings().entropy.fill(&mut random);
        let claims = json!({
            "aud": self.token_url(tenant),
            "iss": client,
            "sub": client,
            "jti": hex::encode(random),
            "nbf": self.now().seconds(),
            "exp": self.now().plus(ASSERTION_LIFE).seconds(),
        });
        jwt::signed(&key, &header, &claims)
    }

    fn of_workload_identity(&self, resource: &str) -> Result<Option<AccessToken>, ProviderError> {
        let Some(file) = self.variable("AZURE_FEDERATED_TOKEN_FILE") else { return Ok(None) };
        let (Some(tenant), Some(client)) = (self.tenant(), self.client()) else {
            let message = "AZURE_FEDERATED_TOKEN_FILE is set, but AZURE_TENANT_ID or AZURE_CLIENT_ID is not";
            return Err(ProviderError::authentication(message));
        };
        let token = read_small(Path::new(file))?.ok_or_else(|| {
            ProviderError::authentication("the file with the federated token is not there").looked(file)
        })?;
        let assertion = SecretString::from(token.expose().trim());
        let source = format!("workload identity by {file}");
        self.of_client(resource, (tenant, client), &assertion_fields(&assertion), &source).map(Some)
    }

    fn of_managed_identity(&self, resource: &str) -> Result<Option<AccessToken>, ProviderError> {
        let mut query = vec![("resource", resource)];
        query.extend(self.client().map(|client| ("client_id", client)));
        if let Some(endpoint) = self.variable("IDENTITY_ENDPOINT") {
            // App Service, Functions, Container Apps.
            query.push(("api-version", "2019-08-01"));
            let secret = self.variable("IDENTITY_HEADER").unwrap_or_default();
            let request = Request::get(format!("{endpoint}?{}", form_body(&query)))
                .header("metadata", "true")
                .header("x-identity-header", secret);
            let answer = self.web.send(&request.nearby())?;
            return self.managed(&answer, "IDENTITY_ENDPOINT").map(Some);
        }
        query.push(("api-version", "2018-02-01"));
        let host = self.variable("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
        let url =
            format!("{}/metadata/identity/oauth2/token?{}", host.trim_end_matches('/'), form_body(&query));
        // Not at Azure: nobody answers, or another cloud's metadata with other paths.
        let Ok(answer) = self.web.send(&Request::get(url).header("metadata", "true").nearby()) else {
            return Ok(None);
        };
        match answer.status {
            200 => self.managed(&answer, "the machine's metadata").map(Some),
            _ => Ok(None),
        }
    }

    /// `expires_on` is a time, as text, in seconds since 1970.
    fn managed(&self, answer: &Answer, place: &str) -> Result<AccessToken, ProviderError> {
        let source = format!("the managed identity ({place})");
        let mut token = AccessToken::of_answer(answer, self.now(), &source)?;
        let body = SecretTree::new(answer.json()?);
        let end = body.expose().get("expires_on");
        let end = end.and_then(|end| end.as_i64().or_else(|| end.as_str()?.parse().ok()));
        if let Some(end) = end {
            token.expires = Some(Timestamp::from_seconds(end));
        }
        Ok(token)
    }

    /// `az account get-access-token`. A machine without `az` is no error.
    fn of_command(&self, resource: &str) -> Result<Option<AccessToken>, ProviderError> {
        let mut argv = ["az", "account", "get-access-token", "--output", "json", "--resource", resource]
            .map(str::to_owned)
            .to_vec();
        if let Some(tenant) = &self.options.tenant_id {
            argv.extend(["--tenant".to_owned(), tenant.clone()]);
        }
        let program = Program {
            argv: &argv,
            folder: None,
            variables: &[],
            time_max: PROGRAM_TIME_MAX,
            output_bytes_max: PROGRAM_OUTPUT_BYTES_MAX,
        };
        let output = match program.run() {
            Ok(output) => output,
            Err(ProgramError::Start { .. }) => return Ok(None),
            Err(error) => {
                return Err(
                    ProviderError::authentication(format!("az gives no token: {error}")).hint("az login")
                );
            }
        };
        let tree = SecretTree::parse(output.text.expose());
        let tree = tree.as_ref().map_or(&Value::Null, SecretTree::expose);
        let token = tree.get("accessToken").and_then(Value::as_str);
        let token =
            token.ok_or_else(|| ProviderError::malformed("az printed no accessToken").hint("az login"))?;
        let expires = tree.get("expires_on").and_then(Value::as_i64).map(Timestamp::from_seconds);
        Ok(Some(AccessToken { token: token.into(), expires, source: "the program az".to_owned() }))
    }
}

/// What to do about the commonest refusals
/// (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>).
fn directory_hint(message: &str) -> Option<&'static str> {
    let hints = [
        (
            "AADSTS7000222",
            "the application's secret has expired: make a new one, and put it into AZURE_CLIENT_SECRET",
        ),
        ("AADSTS7000215", "AZURE_CLIENT_SECRET must hold the secret's value, not its id"),
        (
            "AADSTS700024",
            "the token or certificate is not valid at this time: get a new one, and check the clock",
        ),
        ("AADSTS700027", "the directory does not know this certificate for the application: upload it there"),
        (
            "AADSTS700016",
            "AZURE_CLIENT_ID is no application of this directory: is AZURE_TENANT_ID the right one?",
        ),
        ("AADSTS90002", "there is no such directory: check AZURE_TENANT_ID"),
    ];
    hints.iter().find(|(code, _)| message.contains(&format!("{code}:"))).map(|(_, hint)| *hint)
}

fn assertion_fields(assertion: &SecretString) -> [(&'static str, &str); 2] {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    [("client_assertion_type", kind), ("client_assertion", assertion.expose())]
}
