//! Application default credentials: <https://cloud.google.com/docs/authentication/application-default-credentials>, with
//! the file forms of <https://google.aip.dev/auth/4110>.

use crate::cloud::aws::{caller_identity_request, read_small};
use crate::cloud::{AccessToken, Renewed, jwt, refused};
use crate::program::Program;
use crate::provider::ProviderError;
use crate::provider::SecretTree;
use crate::web::{Repeat, Request, Web, encoded};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use strongroom_secret::{SecretString, Timestamp};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const UNIVERSE: &str = "googleapis.com";
/// A signed token's life: the longest that Google takes.
const LIFE: Duration = Duration::from_secs(3600);
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(30);
const PROGRAM_OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Finds tokens, and finds them again before they expire.
pub(super) struct Chain {
    web: Arc<Web>,
    named_file: Option<PathBuf>,
    file: OnceLock<Result<Option<File>, ProviderError>>,
    /// One for each service: a token that a key signs is good for one alone.
    tokens: Mutex<HashMap<&'static str, Arc<Renewed<AccessToken>>>>,
}

/// A file of credentials.
struct File {
    path: PathBuf,
    tree: SecretTree,
}

impl File {
    fn text(&self, name: &str) -> Option<&str> {
        text(self.tree.expose(), name)
    }
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

impl Chain {
    pub(super) fn new(web: Arc<Web>, named_file: Option<PathBuf>) -> Self {
        Self { web, named_file, file: OnceLock::new(), tokens: Mutex::default() }
    }

    pub(super) fn token(&self, service: &'static str) -> Result<Arc<AccessToken>, ProviderError> {
        let kept = Arc::clone(
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).entry(service).or_default(),
        );
        let now = self.web.surroundings().clock.now();
        kept.get(now, |token| token.expires, || self.find(service))
    }

    pub(super) fn forget(&self) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn universe(&self) -> Result<String, ProviderError> {
        let of_file = self.file()?.and_then(|file| file.text("universe_domain"));
        let of_variable = self.web.surroundings().variables.text("GOOGLE_CLOUD_UNIVERSE_DOMAIN");
        Ok(of_variable.or(of_file).unwrap_or(UNIVERSE).to_owned())
    }

    /// Whom the requests count for, where the identity is a person's.
    pub(super) fn quota_project(&self) -> Result<Option<String>, ProviderError> {
        let of_variable = self.web.surroundings().variables.text("GOOGLE_CLOUD_QUOTA_PROJECT");
        let of_file = self.file()?.and_then(|file| file.text("quota_project_id"));
        Ok(of_variable.or(of_file).map(str::to_owned))
    }

    pub(super) fn project(&self) -> Result<String, ProviderError> {
        let names = ["GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"];
        if let Some(project) = self.web.surroundings().variables.first(&names) {
            return Ok(project.to_owned());
        }
        let of_file = self.file()?.and_then(|file| file.text("project_id").or(file.text("quota_project_id")));
        if let Some(project) = of_file {
            return Ok(project.to_owned());
        }
        let found = self.metadata("project/project-id").ok().flatten();
        found.map(|text| text.expose().to_owned()).ok_or_else(|| {
            ProviderError::settings("no Google project is set")
                .looked(format!("variables {}", names.join(", ")))
                .looked("the file of credentials, and the metadata server")
                .hint("`project` in the manifest, or GOOGLE_CLOUD_PROJECT")
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        let surroundings = self.web.surroundings();
        let variables = &surroundings.variables;
        let named = self.named_file.clone();
        let named = named
            .or_else(|| variables.text("GOOGLE_APPLICATION_CREDENTIALS").map(|path| surroundings.path(path)));
        if let Some(named) = named {
            return vec![named];
        }
        let folder = variables.text("CLOUDSDK_CONFIG").map(PathBuf::from);
        let folder = folder.or_else(|| surroundings.in_home(".config/gcloud"));
        folder.map(|folder| folder.join("application_default_credentials.json")).into_iter().collect()
    }

    fn file(&self) -> Result<Option<&File>, ProviderError> {
        let read = || {
            let is_named = self.named_file.is_some()
                || self.web.surroundings().variables.text("GOOGLE_APPLICATION_CREDENTIALS").is_some();
            for path in self.files() {
                match read_small(&path)? {
                    Some(text) => {
                        let tree = SecretTree::parse(text.expose().as_bytes()).ok_or_else(|| {
                            ProviderError::malformed(format!("{} is not JSON", path.display()))
                        })?;
                        return Ok(Some(File { path, tree }));
                    }
                    None if is_named => {
                        return Err(ProviderError::authentication(
                            "the file of Google credentials is not there",
                        )
                        .looked(path.display()));
                    }
                    None => {}
                }
            }
            Ok(None)
        };
        match self.file.get_or_init(read) {
            Ok(file) => Ok(file.as_ref()),
            Err(error) => Err(error.clone()),
        }
    }

    fn find(&self, service: &str) -> Result<AccessToken, ProviderError> {
        let variables = &self.web.surroundings().variables;
        let names = ["GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"];
        if let Some(token) = variables.first(&names) {
            let source = format!("variable {}", names.join(" or "));
            return Ok(AccessToken { token: token.into(), expires: None, source });
        }
        if let Some(file) = self.file()? {
            return self.of_tree(file.tree.expose(), &file.path.display().to_string(), service);
        }
        if let Some(token) = self.of_metadata()? {
            return Ok(token);
        }
        let mut error = ProviderError::authentication("there are no Google credentials")
            .looked("variable GOOGLE_APPLICATION_CREDENTIALS");
        for file in self.files() {
            error = error.looked(file.display());
        }
        Err(error
            .looked(format!("the metadata server at {}", self.metadata_host()))
            .hint("gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS with a key file"))
    }

    /// A token by what a file (or the part of one) says.
    fn of_tree(&self, tree: &Value, origin: &str, service: &str) -> Result<AccessToken, ProviderError> {
        match text(tree, "type") {
            Some("service_account") => self.of_service_account(tree, origin, service),
            Some("authorized_user") => self.of_user(tree, origin),
            Some("impersonated_service_account") => {
                let source = tree.get("source_credentials").unwrap_or(&Value::Null);
                let base = self.of_tree(source, origin, "iamcredentials")?;
                self.impersonated(tree, &base, origin)
            }
            Some("external_account") => self.of_external_account(tree, origin),
            other => {
                let said = other.unwrap_or("nothing");
                let message = format!("{origin}: credentials of the type {said} are not known");
                Err(ProviderError::authentication(message).hint(
                    "service_account, authorized_user, impersonated_service_account and external_account are",
                ))
            }
        }
    }

    /// A token that the account's own key signs (<https://google.aip.dev/auth/4111>): nobody is asked for it.
    fn of_service_account(
        &self,
        tree: &Value,
        origin: &str,
        service: &str,
    ) -> Result<AccessToken, ProviderError> {
        let need = |name: &str| needed(tree, name, origin);
        let email = need("client_email")?;
        let key = jwt::rsa_key(need("private_key")?, &format!("{email} in {origin}"))?;
        let now = self.web.surroundings().clock.now();
        let universe = text(tree, "universe_domain").unwrap_or(UNIVERSE);
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = text(tree, "private_key_id") {
            crate::web::set(&mut header, "kid", id);
        }
        let claims = json!({
            "iss": email,
            "sub": email,
            "aud": format!("https://{service}.{universe}/"),
            "iat": now.seconds(),
            "exp": now.plus(LIFE).seconds(),
        });
        let token = jwt::signed(&key, &header, &claims)?;
        Ok(AccessToken {
            token,
            expires: Some(now.plus(LIFE)),
            source: format!("the key of {email} in {origin}"),
        })
    }

    fn of_user(&self, tree: &Value, origin: &str) -> Result<AccessToken, ProviderError> {
        let need = |name: &str| needed(tree, name, origin);
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", need("client_id")?),
            ("client_secret", need("client_secret")?),
            ("refresh_token", need("refresh_token")?),
        ];
        let url = text(tree, "token_uri").unwrap_or(TOKEN_URL);
        let answer = self.web.send(&Request::form(url, &fields))?;
        AccessToken::of_answer(
            &answer,
            self.web.surroundings().clock.now(),
            &format!("the login in {origin}"),
        )
    }

    /// A token of a service account that `base` may act for.
    fn impersonated(
        &self,
        tree: &Value,
        base: &AccessToken,
        origin: &str,
    ) -> Result<AccessToken, ProviderError> {
        let url = needed(tree, "service_account_impersonation_url", origin)?;
        let delegates = tree.get("delegates").cloned().unwrap_or_else(|| json!([]));
        let seconds =
            tree.pointer("/service_account_impersonation/token_lifetime_seconds").and_then(Value::as_u64);
        let lifetime = format!("{}s", seconds.unwrap_or(LIFE.as_secs()));
        let body = json!({ "scope": [SCOPE], "delegates": delegates, "lifetime": lifetime });
        let request = Request::json("POST", url, &body, Repeat::Safe).bearer(&base.token);
        let answer = self.web.send(&request)?;
        let source = format!("the service account that {origin} acts for");
        if !answer.is_success() {
            return Err(refused(&answer, &source)
                .hint("the identity needs roles/iam.serviceAccountTokenCreator on it"));
        }
        let body = answer.json()?;
        let token = text(&body, "accessToken").ok_or_else(|| {
            ProviderError::malformed(format!("{source}: the answer has no accessToken"))
                .looked(&answer.request)
        })?;
        let expires = text(&body, "expireTime").and_then(Timestamp::parse_rfc3339);
        Ok(AccessToken { token: token.into(), expires, source })
    }

    /// Workload identity federation: somebody else's token against one of Google's (<https://google.aip.dev/auth/4117>).
    fn of_external_account(&self, tree: &Value, origin: &str) -> Result<AccessToken, ProviderError> {
        let need = |name: &str| needed(tree, name, origin);
        let audience = need("audience")?;
        let subject = self.subject_token(tree, audience, origin)?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", audience),
            ("scope", SCOPE),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", need("subject_token_type")?),
            ("subject_token", subject.expose()),
        ];
        let answer = self.web.send(&Request::form(need("token_url")?, &fields))?;
        let source = format!("workload identity by {origin}");
        let federated = AccessToken::of_answer(&answer, self.web.surroundings().clock.now(), &source)?;
        match text(tree, "service_account_impersonation_url") {
            Some(_) => self.impersonated(tree, &federated, origin),
            None => Ok(federated),
        }
    }

    fn subject_token(
        &self,
        tree: &Value,
        audience: &str,
        origin: &str,
    ) -> Result<SecretString, ProviderError> {
        let none = Value::Null;
        let source = tree.get("credential_source").unwrap_or(&none);
        if let Some(file) = text(source, "file") {
            let path = self.web.surroundings().path(file);
            let content = read_small(&path)?.ok_or_else(|| {
                ProviderError::authentication("the file with the identity token is not there")
                    .looked(path.display())
            })?;
            return subject_in(content.expose(), source, &path.display().to_string());
        }
        if text(source, "environment_id").is_some_and(|id| id.starts_with("aws")) {
            return self.aws_subject(source, audience);
        }
        if let Some(url) = text(source, "url") {
            let mut request = Request::get(url);
            let headers = source.get("headers").and_then(Value::as_object);
            for (name, value) in headers.into_iter().flatten() {
                if let Some(name) = KNOWN_HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                    request = request.header(name, value.as_str().unwrap_or_default());
                }
            }
            let answer = self.web.send(&request)?;
            if !answer.is_success() {
                return Err(refused(&answer, "the identity token"));
            }
            let content = std::str::from_utf8(answer.body.expose()).unwrap_or_default();
            return subject_in(content, source, &answer.request);
        }
        match source.get("executable").and_then(|executable| text(executable, "command")) {
            Some(command) => self.of_executable(command, audience, tree),
            None => {
                let message = format!(
                    "{origin}: the credential_source has neither file, url, executable nor environment_id"
                );
                Err(ProviderError::authentication(message))
            }
        }
    }

    /// A signed request to AWS that Google sends on, to learn who we are there (<https://google.aip.dev/auth/4117>).
    fn aws_subject(&self, source: &Value, audience: &str) -> Result<SecretString, ProviderError> {
        let template = text(source, "regional_cred_verification_url")
            .unwrap_or("https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15");
        let signed = caller_identity_request(&self.web, template, audience)?;
        let headers: Vec<Value> = signed
            .headers
            .iter()
            .map(|(name, value)| json!({ "key": name, "value": value.expose() }))
            .collect();
        let body = SecretTree::new(json!({ "url": signed.url, "method": signed.method, "headers": headers }));
        Ok(encoded(&body.expose().to_string()).into())
    }

    /// Runs only where the user has said that it may.
    fn of_executable(
        &self,
        command: &str,
        audience: &str,
        tree: &Value,
    ) -> Result<SecretString, ProviderError> {
        let switch = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
        if self.web.surroundings().variables.text(switch) != Some("1") {
            let message = "the credentials want to run a program, which is not allowed";
            return Err(ProviderError::authentication(message)
                .looked(command)
                .hint(format!("{switch}=1 allows it")));
        }
        let argv: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let kind = text(tree, "subject_token_type").unwrap_or_default();
        let program = Program {
            argv: &argv,
            folder: None,
            variables: &[
                ("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", audience.as_ref()),
                ("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", kind.as_ref()),
                ("GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0".as_ref()),
            ],
            time_max: PROGRAM_TIME_MAX,
            output_bytes_max: PROGRAM_OUTPUT_BYTES_MAX,
        };
        let output = program.run().map_err(|error| ProviderError::authentication(error.to_string()))?;
        let answer = SecretTree::parse(output.text.expose());
        let answer = answer.as_ref().map_or(&Value::Null, SecretTree::expose);
        let token = text(answer, "id_token").or_else(|| text(answer, "saml_response"));
        match (answer.get("success").and_then(Value::as_bool), token) {
            (Some(true), Some(token)) => Ok(token.into()),
            _ => {
                let said = text(answer, "message").unwrap_or("it printed no token");
                Err(ProviderError::authentication(format!(
                    "the program for the identity token failed: {said}"
                ))
                .looked(command))
            }
        }
    }

    fn metadata_host(&self) -> &str {
        self.web.surroundings().variables.text("GCE_METADATA_HOST").unwrap_or("169.254.169.254")
    }

    fn metadata(&self, path: &str) -> Result<Option<SecretString>, ProviderError> {
        if self.web.surroundings().variables.switch("NO_GCE_CHECK") {
            return Ok(None);
        }
        let url = format!("http://{}/computeMetadata/v1/{path}", self.metadata_host());
        let request = Request::get(url).header("metadata-flavor", "Google").nearby();
        // Not at Google: nobody answers, or somebody else.
        let Ok(answer) = self.web.send(&request) else { return Ok(None) };
        let is_google = answer.header("metadata-flavor") == Some("Google");
        if !answer.is_success() || !is_google {
            return Ok(None);
        }
        Ok(std::str::from_utf8(answer.body.expose()).ok().map(|text| text.trim().into()))
    }

    fn of_metadata(&self) -> Result<Option<AccessToken>, ProviderError> {
        let Some(body) = self.metadata("instance/service-accounts/default/token")? else { return Ok(None) };
        let tree = SecretTree::parse(body.expose().as_bytes());
        let tree = tree.as_ref().map_or(&Value::Null, SecretTree::expose);
        let token = text(tree, "access_token")
            .ok_or_else(|| ProviderError::malformed("the metadata server answered without access_token"))?;
        let now = self.web.surroundings().clock.now();
        let seconds = tree.get("expires_in").and_then(Value::as_u64).unwrap_or_default();
        let expires = Some(now.plus(Duration::from_secs(seconds)));
        Ok(Some(AccessToken { token: token.into(), expires, source: "the metadata server".to_owned() }))
    }
}

/// Headers that files of external accounts ask for.
const KNOWN_HEADERS: [&str; 4] = ["authorization", "metadata", "metadata-flavor", "x-identity-header"];

fn needed<'v>(tree: &'v Value, name: &str, origin: &str) -> Result<&'v str, ProviderError> {
    text(tree, name).ok_or_else(|| ProviderError::authentication(format!("{origin} has no {name}")))
}

/// A token as it stands in a file, or in a field of JSON.
fn subject_in(content: &str, source: &Value, origin: &str) -> Result<SecretString, ProviderError> {
    let is_json = source.pointer("/format/type").and_then(Value::as_str) == Some("json");
    if !is_json {
        return Ok(content.trim().into());
    }
    let field =
        source.pointer("/format/subject_token_field_name").and_then(Value::as_str).unwrap_or_default();
    let tree = SecretTree::parse(content.as_bytes());
    let token = tree.as_ref().and_then(|tree| text(tree.expose(), field));
    token.map(SecretString::from).ok_or_else(|| {
        ProviderError::authentication(format!("there is no field {field:?} with the identity token"))
            .looked(origin)
    })
}
