//! Security Token Service: roles. The query protocol, answers in XML.

use super::credentials::Credentials;
use super::sign::{Scope, sign};
use super::{endpoint_of_variables, suffix};
use crate::cloud::aws::profile::read_small;
use crate::provider::ProviderError;
use crate::web::{Request, Web};
use std::path::Path;
use strongroom_secret::{SecretString, Timestamp};

/// Which role, and how.
pub(crate) struct Role<'a> {
    pub(crate) arn: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) duration_seconds: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
}

const VERSION: &str = "2011-06-15";
const SESSION: &str = "strongroom";

pub(crate) fn assume(web: &Web, role: &Role<'_>, base: &Credentials) -> Result<Credentials, ProviderError> {
    let mut fields = vec![("Action", "AssumeRole"), ("Version", VERSION), ("RoleArn", role.arn)];
    fields.push(("RoleSessionName", role.session.unwrap_or(SESSION)));
    fields.extend(role.external_id.map(|id| ("ExternalId", id)));
    fields.extend(role.duration_seconds.map(|seconds| ("DurationSeconds", seconds)));
    let (url, region) = address(web, role);
    let scope = Scope { region: &region, service: "sts", time: web.surroundings().clock.now() };
    let request = sign(Request::form(url, &fields), base, &scope);
    send(web, role, &request)
}

/// `AssumeRoleWithWebIdentity` takes no signature: the token is the proof.
pub(crate) fn assume_with_web_identity(
    web: &Web,
    role: &Role<'_>,
    token_file: &Path,
) -> Result<Credentials, ProviderError> {
    let token = read_small(token_file)?.ok_or_else(|| {
        ProviderError::authentication("the file with the web identity token is not there")
            .looked(token_file.display())
    })?;
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", VERSION),
        ("RoleArn", role.arn),
        ("RoleSessionName", role.session.unwrap_or(SESSION)),
        ("WebIdentityToken", token.expose().trim()),
    ];
    send(web, role, &Request::form(address(web, role).0, &fields))
}

fn address(web: &Web, role: &Role<'_>) -> (String, String) {
    let region = role.region.unwrap_or("us-east-1");
    let variables = &web.surroundings().variables;
    let url = endpoint_of_variables(variables, "STS")
        .map_or_else(|| format!("https://sts.{region}.{}/", suffix(region)), |url| format!("{url}/"));
    (url, region.to_owned())
}

fn send(web: &Web, role: &Role<'_>, request: &Request) -> Result<Credentials, ProviderError> {
    let answer = web.send(request)?;
    let text = std::str::from_utf8(answer.body.expose()).unwrap_or_default();
    let document = roxmltree::Document::parse(text).ok();
    let field = |name: &str| {
        let document = document.as_ref()?;
        let node = document.descendants().find(|node| node.tag_name().name() == name)?;
        node.text().map(str::to_owned)
    };
    if !answer.is_success() {
        let (code, message) = (field("Code").unwrap_or_default(), field("Message").unwrap_or_default());
        let message = answer.refused(format!("the role {} is refused: {code}: {message}", role.arn));
        let hint = match code.as_str() {
            "ExpiredTokenException" | "ExpiredToken" => {
                "what the role is asked for with has expired: its token or keys must be replaced by a new one"
            }
            "InvalidIdentityToken" => "the token is not one of the provider that the role trusts",
            _ => "the role's trust policy must allow this identity",
        };
        return Err(ProviderError::authentication(message).looked(&answer.request).hint(hint));
    }
    let found = || {
        Some(Credentials {
            access_key_id: field("AccessKeyId")?,
            secret_access_key: field("SecretAccessKey")?.into(),
            session_token: field("SessionToken").map(SecretString::from),
            expires: field("Expiration").and_then(|text| Timestamp::parse_rfc3339(&text)),
            source: format!("the role {}", role.arn),
        })
    };
    found()
        .ok_or_else(|| ProviderError::malformed("STS answered without credentials").looked(&answer.request))
}
