//! Heroku's config vars: one request for an app. <https://devcenter.heroku.com/articles/platform-api-reference#config-vars>

use super::settings::{Kind, Rule, Shape};
use super::whole::{Whole, hand_out, places};
use super::{Address, ErrorKind, Outcome, Provider, ProviderError, Reach, SecretTree, Stored, remote};
use crate::at_once;
use crate::files;
use crate::web::{Answer, Repeat, Request, Web, encoded, host_of, is_temporary};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_secret::{SecretBytes, SecretString};

pub(super) const KIND: Kind = Kind::new(
    "heroku",
    "Heroku config vars",
    &[
        Rule::required("app", Shape::Text, "the app's name"),
        Rule::optional("endpoint", Shape::Text, "the API's address, instead of https://api.heroku.com"),
    ],
    |settings, surroundings| {
        let endpoint = settings.text("endpoint").unwrap_or("https://api.heroku.com");
        Ok(Box::new(Heroku {
            web: remote::web(settings, surroundings),
            app: settings.text("app").unwrap_or_default().to_owned(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        }))
    },
)
.reaching_out();

struct Heroku {
    web: Arc<Web>,
    app: String,
    endpoint: String,
}

const NETRC_BYTES_MAX: u64 = 1 << 20;

impl Provider for Heroku {
    fn place(&self) -> String {
        format!("Heroku app {}", self.app)
    }

    fn reach(&self) -> Reach {
        Reach::Host(self.endpoint.clone())
    }

    fn address_of(&self, name: &str) -> Address {
        Address::of_key(&self.app, name)
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let places = places(addresses);
        let answers = at_once(&places, self.web.limits().concurrency, |(app, _)| self.all(app).map(Some));
        let found: HashMap<_, _> = places.into_iter().zip(answers).collect();
        hand_out(addresses, &found)
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        let text = std::str::from_utf8(value.expose())
            .map_err(|_| ProviderError::settings("a config var of Heroku must be UTF-8").looked(address))?;
        self.set(address, Value::String(text.to_owned()))?;
        Ok(Stored { version: None, origin: self.place() })
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        self.set(address, Value::Null)
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        Ok(self.all(path)?.names().unwrap_or_default())
    }
}

impl Heroku {
    fn url(&self, app: &str) -> String {
        format!("{}/apps/{}/config-vars", self.endpoint, encoded(app))
    }

    fn send(&self, request: Request) -> Result<Value, ProviderError> {
        let request =
            request.header("accept", "application/vnd.heroku+json; version=3").bearer(&self.token()?);
        let answer = self.web.send(&request)?;
        if answer.is_success() { answer.json() } else { Err(refusal(&answer)) }
    }

    fn all(&self, app: &str) -> Result<Whole, ProviderError> {
        let answer = SecretTree::new(self.send(Request::get(self.url(app)))?);
        if answer.as_map().is_none() {
            return Err(ProviderError::malformed("Heroku answered with something else than a map")
                .looked(self.url(app)));
        }
        Ok(Whole::of_tree(answer, format!("Heroku app {app}")))
    }

    /// Setting null removes.
    fn set(&self, address: &Address, value: Value) -> Result<(), ProviderError> {
        let Some(key) = &address.key else {
            return Err(super::cannot(self, "write an app's config vars as a whole", address));
        };
        let body = SecretTree::new(Value::Object(Map::from_iter([(key.clone(), value)])));
        let request = Request::json("PATCH", self.url(&address.path), body.expose(), Repeat::Safe);
        drop(SecretTree::new(self.send(request)?));
        Ok(())
    }

    /// `HEROKU_API_KEY`, else what `heroku login` left in the netrc file.
    fn token(&self) -> Result<SecretString, ProviderError> {
        let surroundings = self.web.surroundings();
        if let Some(token) = surroundings.variables.text("HEROKU_API_KEY") {
            return Ok(token.into());
        }
        let none = |error: ProviderError| error.hint("heroku login, or HEROKU_API_KEY");
        let looked =
            ProviderError::authentication("there is no Heroku token").looked("variable HEROKU_API_KEY");
        let Some(path) = surroundings.file_of("NETRC", ".netrc") else { return Err(none(looked)) };
        let host = host_of(&self.endpoint);
        let token = match files::read(&path, NETRC_BYTES_MAX) {
            Ok(bytes) => netrc_password(&String::from_utf8_lossy(bytes.expose()), host),
            Err(_) => None,
        };
        token.ok_or_else(|| none(looked.looked(format!("{}, machine {host}", path.display()))))
    }
}

/// The password of a machine: words after `machine NAME` up to the next machine.
fn netrc_password(text: &str, host: &str) -> Option<SecretString> {
    let mut words =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let mut is_ours = false;
    while let Some(word) = words.next() {
        match word {
            "machine" => is_ours = words.next() == Some(host),
            "default" => is_ours = false,
            "password" => {
                let password = words.next()?;
                if is_ours {
                    return Some(password.into());
                }
            }
            _ => {}
        }
    }
    None
}

/// Heroku's errors: `{"id", "message"}`.
fn refusal(answer: &Answer) -> ProviderError {
    let body: Value = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    let said = body.get("message").and_then(Value::as_str).unwrap_or_default();
    let kind = match answer.status {
        401 => ErrorKind::Authentication,
        402 | 403 => ErrorKind::Denied,
        404 => ErrorKind::Settings,
        status if is_temporary(status) => ErrorKind::Unreachable,
        _ => ErrorKind::Malformed,
    };
    let message = answer.refused(if said.is_empty() {
        "Heroku refuses".to_owned()
    } else {
        format!("Heroku refuses: {said}")
    });
    let error = ProviderError::new(kind, message).looked(&answer.request);
    match kind {
        ErrorKind::Authentication => error.hint("heroku login, or a new HEROKU_API_KEY"),
        ErrorKind::Settings => error.hint("is `app` in the manifest the app's name?"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::netrc_password;

    #[test]
    fn the_password_of_the_right_machine() {
        let text = "# machine api.heroku.com password no\nmachine git.heroku.com\n  login a\n  password other\n\
            machine api.heroku.com login a password not-real\ndefault password x\n";
        assert_eq!(netrc_password(text, "api.heroku.com").unwrap().expose(), "not-real");
        assert!(netrc_password(text, "x.test").is_none());
    }
}
