//! How a provider gets its token: it has one, or it logs in.

use super::super::settings::{Checked, SettingsError};
use super::{told, trimmed};
use crate::files;
use crate::program::Program;
use crate::provider::{Lease, ProviderError, SecretTree};
use crate::surroundings::Surroundings;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use strongroom_api::client::Client;
use strongroom_secret::SecretString;

/// What to log in with. The credential itself is read when it is needed.
pub(super) struct Login {
    method: Method,
    mount: String,
    /// Variable with the secret id, password or JWT.
    variable: Option<String>,
    file: Option<String>,
}

/// A token, and what is known of it if it is our own.
pub(super) struct Entry {
    pub(super) token: SecretString,
    pub(super) login: Option<Lease>,
}

enum Method {
    Token,
    AppRole { role_id: String },
    UserPass { user: String },
    Jwt { role: Option<String> },
    Kubernetes { role: String },
}

const FILE_BYTES_MAX: u64 = 1 << 20;
const HELPER_TIME_MAX: Duration = Duration::from_secs(30);
const KUBERNETES_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl Login {
    pub(super) fn of_settings(settings: &Checked<'_>) -> Result<Self, SettingsError> {
        let text = |name: &str| settings.text(name).map(str::to_owned);
        let need = |name: &str, why: &str| {
            text(name).ok_or_else(|| SettingsError::of("auth", format!("{why} needs {name:?}")))
        };
        let kind = settings.text("auth").unwrap_or("token");
        let method = match kind {
            "approle" => Method::AppRole { role_id: need("role", "approle")? },
            "userpass" => Method::UserPass { user: need("user", "userpass")? },
            "jwt" => Method::Jwt { role: text("role") },
            "kubernetes" => Method::Kubernetes { role: need("role", "kubernetes")? },
            _ => Method::Token,
        };
        let mount = text("mount").unwrap_or_else(|| kind.to_owned()).trim_matches('/').to_owned();
        Ok(Self { method, mount, variable: text("credential"), file: text("credential-file") })
    }

    pub(super) fn enter(&self, client: &Client, surroundings: &Surroundings) -> Result<Entry, ProviderError> {
        let (path, body) = match &self.method {
            // Somebody else's: it stays.
            Method::Token => return Ok(Entry { token: self.present_token(surroundings)?, login: None }),
            Method::AppRole { role_id } => {
                let secret = self.credential(surroundings, "VAULT_SECRET_ID", None)?;
                ("login".to_owned(), json!({ "role_id": role_id, "secret_id": secret.expose() }))
            }
            Method::UserPass { user } => {
                let password = self.credential(surroundings, "VAULT_PASSWORD", None)?;
                (format!("login/{user}"), json!({ "password": password.expose() }))
            }
            Method::Jwt { role } => {
                let jwt = self.credential(surroundings, "VAULT_JWT", None)?;
                ("login".to_owned(), json!({ "role": role, "jwt": jwt.expose() }))
            }
            Method::Kubernetes { role } => {
                let jwt = self.credential(surroundings, "VAULT_JWT", Some(KUBERNETES_TOKEN))?;
                ("login".to_owned(), json!({ "role": role, "jwt": jwt.expose() }))
            }
        };
        let path = format!("auth/{}/{path}", self.mount);
        let body = SecretTree::new(body);
        let answer = client.write(&path, body.expose()).map_err(|error| {
            let refused = error.server().is_some_and(|refusal| refusal.status < 500);
            let mut told = told(error, &path);
            if refused {
                told.kind = crate::provider::ErrorKind::Authentication;
            }
            told.message = format!("the login at {path} failed: {}", told.message);
            told
        })?;
        let auth = answer.and_then(|answer| answer.auth).filter(|auth| !auth.client_token.is_empty());
        let auth = auth.ok_or_else(|| {
            ProviderError::malformed("the server answered the login without a token").looked(&path)
        })?;
        // 0: a token without end.
        let seconds = u64::try_from(auth.lease_duration).ok().filter(|seconds| *seconds > 0);
        let duration = seconds.map_or(Duration::MAX, Duration::from_secs);
        // A batch token is kept nowhere, and ends by itself alone.
        let is_batch = ["hvb.", "b."].iter().any(|prefix| auth.client_token.expose().starts_with(prefix));
        let can_be_revoked = !is_batch;
        let login = can_be_revoked.then_some(Lease { id: path, duration, renewable: auth.renewable });
        Ok(Entry { token: auth.client_token, login })
    }

    /// A variable, the helper that `~/.vault` names, or `~/.vault-token`.
    fn present_token(&self, surroundings: &Surroundings) -> Result<SecretString, ProviderError> {
        if self.variable.is_some() || self.file.is_some() {
            return self.credential(surroundings, "", None);
        }
        let names = ["STRONGROOM_TOKEN", "VAULT_TOKEN", "BAO_TOKEN"];
        if let Some(token) = surroundings.variables.first(&names) {
            return Ok(trimmed(token));
        }
        let mut error = ProviderError::authentication("there is no token for the server")
            .looked(format!("variables {}", names.join(", ")));
        if let Some(helper) = token_helper(surroundings)? {
            let argv = [helper.clone(), "get".to_owned()];
            let program = Program {
                argv: &argv,
                folder: None,
                variables: &[],
                time_max: HELPER_TIME_MAX,
                output_bytes_max: 1 << 16,
            };
            let output = program.run().map_err(|failed| {
                ProviderError::authentication(format!("the token helper failed: {failed}")).looked(&helper)
            })?;
            let token = trimmed(&String::from_utf8_lossy(output.text.expose()));
            if !token.is_empty() {
                return Ok(token);
            }
            error = error.looked(format!("the token helper {helper}"));
        }
        if let Some(path) = surroundings.in_home(".vault-token") {
            if let Some(token) = read(&path)?.filter(|token| !token.is_empty()) {
                return Ok(token);
            }
            error = error.looked(path.display());
        }
        Err(error.hint("log in with `strongroom login`, or set STRONGROOM_TOKEN"))
    }

    /// What proves the login: from the file or variable that the manifest names, else from the usual place.
    fn credential(
        &self,
        surroundings: &Surroundings,
        usual_variable: &str,
        usual_file: Option<&str>,
    ) -> Result<SecretString, ProviderError> {
        let mut error = ProviderError::authentication("the credential to log in with is not there");
        if let Some(file) = &self.file {
            let path = surroundings.path(file);
            return read(&path)?.ok_or_else(|| error.looked(path.display()));
        }
        let variable = self.variable.as_deref().unwrap_or(usual_variable);
        if let Some(text) = surroundings.variables.text(variable) {
            return Ok(trimmed(text));
        }
        error = error.looked(format!("variable {variable}"));
        if let (None, Some(file)) = (&self.variable, usual_file) {
            if let Some(text) = read(Path::new(file))? {
                return Ok(text);
            }
            error = error.looked(file);
        }
        Err(error.hint("`credential` in the manifest names a variable, `credential-file` a file"))
    }
}

fn read(path: &Path) -> Result<Option<SecretString>, ProviderError> {
    match files::read(path, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(Some(trimmed(&String::from_utf8_lossy(bytes.expose())))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(ProviderError::authentication(error.to_string())),
    }
}

/// `token_helper = "/path"` in `~/.vault` (or the file that `VAULT_CONFIG_PATH` names).
fn token_helper(surroundings: &Surroundings) -> Result<Option<String>, ProviderError> {
    let Some(path) = surroundings.file_of("VAULT_CONFIG_PATH", ".vault") else { return Ok(None) };
    if path.is_dir() {
        return Ok(None);
    }
    let Some(text) = read(&path)? else { return Ok(None) };
    let helper = text.expose().lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "token_helper").then(|| value.trim().trim_matches('"').to_owned())
    });
    Ok(helper.filter(|helper| !helper.is_empty()))
}
