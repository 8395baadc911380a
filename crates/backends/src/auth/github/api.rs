//! What is asked of GitHub: who a token belongs to, and which organizations and teams they are in.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use strongroom_kernel::{Call, Error, ErrorKind, OutboundRequest};
use strongroom_secret::SecretString;

const TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_BYTES_MAX: u64 = 4 << 20;
/// Entries of a page, and pages: nobody is in more teams.
const PAGE: usize = 100;
const PAGES_MAX: usize = 20;

/// A client of one API, in the name of a token or of nobody.
pub(super) struct Api<'a> {
    /// With its slash.
    pub base_url: &'a str,
    pub token: Option<&'a SecretString>,
}

#[derive(Deserialize)]
pub(super) struct User {
    pub login: String,
}

#[derive(Deserialize)]
pub(super) struct Organization {
    pub id: u64,
}

#[derive(Deserialize)]
pub(super) struct Team {
    pub name: String,
    #[serde(default)]
    pub slug: String,
    pub organization: Organization,
}

impl Api<'_> {
    pub(super) fn organization(&self, call: &Call<'_>, name: &str) -> Result<Organization, Error> {
        self.get(call, &format!("orgs/{name}"))?.ok_or_else(|| not_understood("orgs"))
    }

    pub(super) fn user(&self, call: &Call<'_>) -> Result<User, Error> {
        self.get(call, "user")?.ok_or_else(|| not_understood("user"))
    }

    pub(super) fn organizations(&self, call: &Call<'_>) -> Result<Vec<Organization>, Error> {
        self.all(call, "user/orgs")
    }

    pub(super) fn teams(&self, call: &Call<'_>) -> Result<Vec<Team>, Error> {
        self.all(call, "user/teams")
    }

    fn all<T: DeserializeOwned>(&self, call: &Call<'_>, path: &str) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for number in 1..=PAGES_MAX {
            let page = if number > 1 { format!("&page={number}") } else { String::new() };
            let found: Vec<T> = self.get(call, &format!("{path}?per_page={PAGE}{page}"))?.unwrap_or_default();
            let is_last = found.len() < PAGE;
            all.extend(found);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// None for an answer without a body.
    fn get<T: DeserializeOwned>(&self, call: &Call<'_>, path: &str) -> Result<Option<T>, Error> {
        let mut headers = vec![("Accept".to_owned(), "application/vnd.github+json".into())];
        if let Some(token) = self.token {
            headers
                .push(("Authorization".to_owned(), SecretString::new(format!("Bearer {}", token.expose()))));
        }
        let url = format!("{}{path}", self.base_url);
        let request = OutboundRequest {
            method: "GET",
            url: &url,
            headers: &headers,
            body: &[],
            timeout: TIMEOUT,
            ca_file: None,
            response_bytes_max: RESPONSE_BYTES_MAX,
        };
        let answer = (call.kernel.outbound())(&request).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("GitHub cannot be asked: {error}"))
        })?;
        match answer.status {
            200 if answer.body.expose().trim_ascii().is_empty() => Ok(None),
            200 => serde_json::from_slice(answer.body.expose()).map(Some).map_err(|_| not_understood(path)),
            401 | 403 => {
                Err(Error::denied().with_detail(format!("GitHub answered {path} with {}", answer.status)))
            }
            status => {
                Err(Error::new(ErrorKind::Unavailable, format!("GitHub answered with status {status}"))
                    .with_detail(format!("asked for {path}")))
            }
        }
    }
}

fn not_understood(path: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "what answered does not speak GitHub's API: see base_url")
        .with_detail(format!("asked for {path}"))
}
