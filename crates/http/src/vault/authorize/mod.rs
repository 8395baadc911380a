//! The page of an OpenID Connect provider: where an application sends people, who say there who they are, and go back with a
//! code. It keeps nothing: no cookie, no session. Whoever comes logs in.
//!
//! `/ui/vault/[NAMESPACE/]identity/oidc/provider/NAME/authorize`, as Vault has it. All that it does are requests to the kernel
//! as anybody could send them, so that policy, lockout, second factors and audit are those of the API.

mod html;

use super::path::decode_path;
use super::{Refusal, Wire, body, parse, query, run};
use crate::connection::Peer;
use crate::door::Shared;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_kernel::{Auth, Body, Client, Data, Error, ErrorKind, Fields, Operation, Request};
use strongroom_secret::{NamespacePath, RequestPath, SecretString};

/// Forms are small.
const FORM_BYTES_MAX: usize = 64 << 10;
/// What an application may say in its request (OpenID Connect Core 1.0, section 3.1.2.1; RFC 7636).
const PARAMETERS: [&str; 11] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "max_age",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];
/// Methods whose people have names and passwords.
const WITH_PASSWORDS: [&str; 2] = ["userpass", "ldap"];

/// Which provider's page it is.
pub(super) struct Place {
    namespace: NamespacePath,
    /// `identity/oidc/provider/NAME`
    provider: String,
}

/// Whether a path is that of such a page.
pub(super) fn place(path: &str) -> Option<Place> {
    let path = decode_path(path.strip_prefix("/ui/vault/")?).ok()?;
    let (before, name) = path.strip_suffix("/authorize")?.rsplit_once("identity/oidc/provider/")?;
    let is_whole = before.is_empty() || before.ends_with('/');
    if !is_whole || name.is_empty() || name.contains('/') {
        return None;
    }
    let namespace = NamespacePath::parse(before).ok()?;
    Some(Place { namespace, provider: format!("identity/oidc/provider/{name}") })
}

/// One visit.
struct Visit<'v> {
    shared: &'v Shared,
    client: Client,
    headers: Vec<(String, String)>,
    place: Place,
    /// What the application asked, passed on with every page.
    asked: Map<String, Value>,
}

/// What somebody came to.
enum Outcome {
    Page(StatusCode, String),
    /// Back to the application.
    Away(String),
}

pub(super) async fn answer(
    shared: &Shared,
    peer: &Peer,
    head: &Parts,
    place: Place,
    body: &mut Incoming,
) -> Result<Wire, Refusal> {
    let mut form = match head.method {
        Method::GET | Method::HEAD => Fields::default(),
        Method::POST => {
            let bytes = Body(body::read(shared, body, FORM_BYTES_MAX).await?);
            let form = Fields(parse::parse_form(&bytes.0)?);
            refuse_foreign(head, &form)?;
            form
        }
        _ => return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "a page is read, or its form is sent")),
    };
    let mut asked = Map::new();
    let query = query::parse(head.uri.query().unwrap_or_default())
        .map_err(|error| Refusal::invalid(format!("query: {error}")))?;
    for name in PARAMETERS {
        let value = form.0.remove(name).or_else(|| query.fields.get(name).cloned());
        asked.extend(value.map(|value| (name.to_owned(), value)));
    }
    let client = parse::client(peer, &head.headers)?;
    let headers = parse::recordable_headers(&head.headers);
    let visit = Visit { shared, client, headers, place, asked };
    Ok(match visit.lead(&form).await? {
        Outcome::Page(status, page) => written(shared, status, page),
        Outcome::Away(address) => {
            let mut response = Wire::default();
            // 303: what was posted here, a password, is not posted there (RFC 9700, section 4.12).
            *response.status_mut() = StatusCode::SEE_OTHER;
            let location = HeaderValue::try_from(address)
                .map_err(|_| Refusal::invalid("redirect_uri cannot stand in a header"))?;
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
    })
}

/// A form of another site's would log somebody in as somebody else. An application may post its request: nothing in that
/// says who somebody is.
fn refuse_foreign(head: &Parts, form: &Fields) -> Result<(), Refusal> {
    let is_foreign = head.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let is_login = ["username", "token", "mfa_request_id"].iter().any(|name| form.0.contains_key(*name));
    match is_foreign && is_login {
        true => Err(Refusal::new(StatusCode::FORBIDDEN, "this form was sent by another site")),
        false => Ok(()),
    }
}

impl Visit<'_> {
    async fn lead(&self, form: &Fields) -> Result<Outcome, Refusal> {
        let discovery = format!("{}/.well-known/openid-configuration", self.place.provider);
        let provider = match self.ask(Operation::Read, &discovery, Map::new(), None).await {
            Ok(response) => response,
            Err(error) => return self.told(&error),
        };
        let Data::Plain(provider) = &provider.data else {
            return Ok(self.message("There is no such provider."));
        };
        let issuer = provider.get("issuer").and_then(Value::as_str).unwrap_or_default();
        let text = |name: &str| form.0.get(name).and_then(Value::as_str).unwrap_or_default();
        let login = if !text("mfa_request_id").is_empty() {
            self.ask(Operation::Write, "sys/mfa/validate", second_factor(form), None).await
        } else if !text("token").is_empty() {
            return self.authorize(issuer, text("token"), Whose::Theirs).await;
        } else if !text("username").is_empty() {
            let mount = match text("mount") {
                "" => "userpass",
                mount => mount.trim_matches('/'),
            };
            let path = format!("auth/{mount}/login/{}", text("username"));
            let password = Map::from_iter([("password".to_owned(), json!(text("password")))]);
            self.ask(Operation::Write, &path, password, None).await
        } else {
            return Ok(self.form("", StatusCode::OK).await);
        };
        let login = match login {
            Ok(login) => login,
            Err(error)
                if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::Sealed) =>
            {
                return self.told(&error);
            }
            // Why, is for the log: nothing here says which names there are.
            Err(_) => {
                return Ok(self
                    .form("That did not work. Check what you wrote, and try again.", StatusCode::OK)
                    .await);
            }
        };
        let Some(auth) = login.auth.as_deref() else {
            return Ok(self.message("This method cannot be used here."));
        };
        match &auth.mfa_requirement {
            Some(requirement) => Ok(Outcome::Page(StatusCode::OK, html::codes(&self.asked, requirement))),
            None => self.authorize(issuer, client_token(auth), Whose::Ours).await,
        }
    }

    /// Asks for a code as the person, and sends them back with the answer.
    async fn authorize(&self, issuer: &str, token: &str, whose: Whose) -> Result<Outcome, Refusal> {
        let path = format!("{}/authorize", self.place.provider);
        let answer = self.ask(Operation::Read, &path, self.asked.clone(), Some(token)).await;
        if whose == Whose::Ours {
            // Made for this request alone. If it does not go now, it ends by itself.
            let _ = self.ask(Operation::Write, "auth/token/revoke-self", Map::new(), Some(token)).await;
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::Denied => {
                return Ok(self
                    .form(
                        "You may not log in to applications here, or the token is not valid.",
                        StatusCode::FORBIDDEN,
                    )
                    .await);
            }
            Err(error) => return self.told(&error),
        };
        let Data::Plain(said) = &answer.data else { return Ok(self.message("There is no answer.")) };
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
        let redirect_uri = self.asked.get("redirect_uri").and_then(Value::as_str).unwrap_or_default();
        let mut pairs = vec![("state", text("state")), ("iss", issuer)];
        match text("error") {
            "" => pairs.insert(0, ("code", text("code"))),
            // As long as these are not right, nobody knows where the answer would go.
            "invalid_client_id" | "invalid_redirect_uri" => {
                return Ok(self.message(text("error_description")));
            }
            _ if redirect_uri.is_empty() => return Ok(self.message(text("error_description"))),
            "max_age_violation" => {
                let why = "The application wants you to log in again, with name and password.";
                return Ok(self.form(why, StatusCode::OK).await);
            }
            error => pairs
                .splice(0..0, [("error", error), ("error_description", text("error_description"))])
                .for_each(drop),
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Outcome::Away(with_query(redirect_uri, &pairs)))
    }

    /// One request to the kernel, in the provider's namespace.
    async fn ask(
        &self,
        operation: Operation,
        path: &str,
        fields: Map<String, Value>,
        token: Option<&str>,
    ) -> Result<strongroom_kernel::Response, Error> {
        let permit = Arc::clone(&self.shared.requests)
            .try_acquire_owned()
            .map_err(|_| Error::new(ErrorKind::Unavailable, "the server is busy: try again"))?;
        let request = Request {
            id: self.shared.request_ids.next(),
            operation,
            namespace: self.place.namespace.clone(),
            path: RequestPath::parse(path)?,
            fields: Fields(fields),
            body: Body::default(),
            token: token.map(SecretString::from),
            basic: None,
            wrap_ttl: None,
            client: self.client.clone(),
            headers: self.headers.clone(),
        };
        run(self.shared, request, permit).await
    }

    /// The form, with the auth methods that the server shows to anybody.
    async fn form(&self, why: &str, status: StatusCode) -> Outcome {
        let shown = self.ask(Operation::Read, "sys/internal/ui/mounts", Map::new(), None).await;
        let mut mounts = Vec::new();
        if let Ok(shown) = &shown
            && let Data::Map(map) = &shown.data
        {
            for (path, about) in map.get("auth").and_then(Value::as_object).into_iter().flatten() {
                let kind = about.get("type").and_then(Value::as_str).unwrap_or_default();
                if WITH_PASSWORDS.contains(&kind) {
                    mounts.push(path.trim_end_matches('/').to_owned());
                }
            }
        }
        Outcome::Page(status, html::form(&self.asked, &mounts, why))
    }

    fn message(&self, text: &str) -> Outcome {
        Outcome::Page(StatusCode::BAD_REQUEST, html::message(text))
    }

    /// An error that is not for the application.
    fn told(&self, error: &Error) -> Result<Outcome, Refusal> {
        let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = match (error.kind, error.messages.join("; ")) {
            (ErrorKind::NotFound | ErrorKind::Denied, _) => "There is no such provider.".to_owned(),
            (_, text) => text,
        };
        Ok(Outcome::Page(status, html::message(&text)))
    }
}

/// Whose token it is: made here for this one visit, or brought along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Theirs,
}

fn client_token(auth: &Auth) -> &str {
    auth.client_token.expose()
}

/// The body of `sys/mfa/validate`: the form has a code for each method, under `code:METHOD`.
fn second_factor(form: &Fields) -> Map<String, Value> {
    let codes: Map<String, Value> = form
        .0
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("code:")?.to_owned(), json!([value]))))
        .collect();
    let id = form.0.get("mfa_request_id").cloned().unwrap_or_default();
    Map::from_iter([("mfa_request_id".to_owned(), id), ("mfa_payload".to_owned(), Value::Object(codes))])
}

/// An address with these added to its query. It may have one already (RFC 6749, section 4.1.2).
fn with_query(address: &str, pairs: &[(&str, &str)]) -> String {
    let mut address = address.to_owned();
    for (name, value) in pairs {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        for byte in value.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => address.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => address.push(char::from(byte)),
                byte => address.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    address
}

/// A page, which runs nothing, is shown in no frame, and says where it came from to nobody else.
fn written(shared: &Shared, status: StatusCode, page: String) -> Wire {
    const HEADERS: [(&str, &str); 5] = [
        ("content-type", "text/html; charset=utf-8"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
    ];
    let mut response = Wire::new(page.into());
    *response.status_mut() = status;
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    super::add_page_headers(shared, &mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_providers_are_known_by_their_paths() {
        for (path, expected) in [
            ("/ui/vault/identity/oidc/provider/x/authorize", Some(("", "identity/oidc/provider/x"))),
            ("/ui/vault/a/b/identity/oidc/provider/x/authorize", Some(("a/b/", "identity/oidc/provider/x"))),
            ("/ui/vault/aidentity/oidc/provider/x/authorize", None),
            ("/ui/vault/identity/oidc/provider/x/y/authorize", None),
            ("/ui/vault/identity/oidc/provider//authorize", None),
            ("/ui/vault/identity/oidc/provider/x/token", None),
            ("/v1/identity/oidc/provider/x/authorize", None),
            ("/ui/vault/%2e%2e/identity/oidc/provider/x/authorize", None),
        ] {
            let found = place(path);
            let found = found.as_ref().map(|place| (place.namespace.as_str(), place.provider.as_str()));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn what_goes_back_stands_behind_what_is_there() {
        assert_eq!(
            with_query("https://a/b", &[("code", "x y"), ("iss", "ü")]),
            "https://a/b?code=x%20y&iss=%C3%BC"
        );
        assert_eq!(with_query("https://a/b?c=d", &[("state", "&=")]), "https://a/b?c=d&state=%26%3D");
    }
}
