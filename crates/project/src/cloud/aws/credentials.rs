//! Where AWS credentials come from, in the order that AWS documents:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>.

use super::profile::{ProfileFiles, Section, read_small};
use super::{sso, sts};
use crate::cloud::Renewed;
use crate::program::Program;
use crate::provider::ProviderError;
use crate::surroundings::Surroundings;
use crate::web::{Answer, Request, Web};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::{SecretString, Timestamp};

/// Keys that sign requests.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretString,
    pub(crate) session_token: Option<SecretString>,
    pub(crate) expires: Option<Timestamp>,
    /// Where they come from, for people.
    pub(crate) source: String,
}

/// Finds credentials, and finds them again before they expire.
pub(crate) struct Chain {
    web: Arc<Web>,
    /// A profile that was asked for by name: then nothing else is looked at.
    profile: Option<String>,
    current: Renewed<Credentials>,
}

/// Profiles that name each other go no deeper.
const PROFILE_DEPTH_MAX: usize = 8;
const PROCESS_TIME_MAX: Duration = Duration::from_secs(60);
const PROCESS_OUTPUT_BYTES_MAX: usize = 1 << 20;

impl Chain {
    pub(crate) fn new(web: Arc<Web>, profile: Option<String>) -> Self {
        Self { web, profile, current: Renewed::default() }
    }

    pub(crate) fn credentials(&self) -> Result<Arc<Credentials>, ProviderError> {
        let now = self.web.surroundings().clock.now();
        self.current.get(now, |credentials| credentials.expires, || still_good(self.find()?, now))
    }

    fn find(&self) -> Result<Credentials, ProviderError> {
        let surroundings = self.web.surroundings();
        let files = ProfileFiles::read(surroundings)?;
        if let Some(profile) = &self.profile {
            return self.of_profile(&files, profile, 0)?.ok_or_else(|| no_credentials_in(profile, &files));
        }
        if let Some(found) = of_variables(surroundings)? {
            return Ok(found);
        }
        let variables = &surroundings.variables;
        let named = variables.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        match named {
            Some(profile) => {
                let found = self.of_profile(&files, profile, 0)?;
                return found.ok_or_else(|| no_credentials_in(profile, &files));
            }
            None => {
                if let Some(found) = self.of_profile(&files, "default", 0)? {
                    return Ok(found);
                }
            }
        }
        if let Some(found) = self.of_web_identity_variables()? {
            return Ok(found);
        }
        if let Some(found) = self.of_container()? {
            return Ok(found);
        }
        if let Some(found) = self.of_instance()? {
            return Ok(found);
        }
        Err(self.nothing_found(&files))
    }

    fn nothing_found(&self, files: &ProfileFiles) -> ProviderError {
        let mut error = ProviderError::authentication("there are no AWS credentials")
            .looked("variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
        for file in &files.looked {
            error = error.looked(format!("{}, profile default", file.display()));
        }
        error
            .looked("variables AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN")
            .looked("variable AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (or _FULL_URI)")
            .looked(match self.metadata_is_disabled() {
                true => "not the instance's metadata: AWS_EC2_METADATA_DISABLED is set".to_owned(),
                false => format!("the instance's metadata at {}", self.metadata_address()),
            })
            .hint("aws configure, aws sso login, or the variables; `profile` in the manifest names a profile")
    }

    fn of_profile(
        &self,
        files: &ProfileFiles,
        name: &str,
        depth: usize,
    ) -> Result<Option<Credentials>, ProviderError> {
        let Some(section) = files.profiles.get(name) else { return Ok(None) };
        if depth > PROFILE_DEPTH_MAX {
            let message = format!("the AWS profile {name:?} leads back to itself by source_profile");
            return Err(ProviderError::settings(message));
        }
        if let Some(role) = section.text("role_arn") {
            return self.of_role(files, name, section, role, depth).map(Some);
        }
        if let Some(found) = static_keys(name, section)? {
            return Ok(Some(found));
        }
        if section.text("sso_session").is_some() || section.text("sso_start_url").is_some() {
            return sso::credentials(&self.web, files, name, section).map(Some);
        }
        match section.text("credential_process") {
            Some(command) => self.of_process(name, command).map(Some),
            None => Ok(None),
        }
    }

    /// A profile with a role: by a token file, or on the credentials of another profile or source.
    fn of_role(
        &self,
        files: &ProfileFiles,
        name: &str,
        section: &Section,
        role: &str,
        depth: usize,
    ) -> Result<Credentials, ProviderError> {
        let region = section.text("region").or_else(|| region_of(self.web.surroundings()));
        let asked = sts::Role {
            arn: role,
            session: section.text("role_session_name"),
            external_id: section.text("external_id"),
            duration_seconds: section.text("duration_seconds"),
            region,
        };
        if let Some(file) = section.text("web_identity_token_file") {
            return sts::assume_with_web_identity(&self.web, &asked, Path::new(file));
        }
        if section.text("mfa_serial").is_some() {
            let message = format!("the AWS profile {name:?} needs a code of a second factor (mfa_serial)");
            return Err(ProviderError::authentication(message).hint(
                "get session credentials first (aws sts assume-role) and give them as AWS_… variables",
            ));
        }
        let base = match (section.text("source_profile"), section.text("credential_source")) {
            (Some(source), _) if source == name => static_keys(name, section)?,
            (Some(source), _) => self.of_profile(files, source, depth + 1)?,
            (None, Some("Environment")) => of_variables(self.web.surroundings())?,
            (None, Some("EcsContainer")) => self.of_container()?,
            (None, Some("Ec2InstanceMetadata")) => self.of_instance()?,
            (None, _) => {
                let message = format!("the AWS profile {name:?} has role_arn without source_profile");
                return Err(ProviderError::settings(message)
                    .hint("add source_profile, credential_source or web_identity_token_file"));
            }
        };
        let base = base.ok_or_else(|| {
            let message =
                format!("the AWS profile {name:?} builds on another source, which has no credentials");
            ProviderError::authentication(message).looked(
                section.text("source_profile").or(section.text("credential_source")).unwrap_or_default(),
            )
        })?;
        sts::assume(&self.web, &asked, &base)
    }

    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>
    fn of_process(&self, profile: &str, command: &str) -> Result<Credentials, ProviderError> {
        let source = format!("credential_process of the AWS profile {profile:?}");
        let argv = words(command);
        let program = Program {
            argv: &argv,
            folder: None,
            variables: &[],
            time_max: PROCESS_TIME_MAX,
            output_bytes_max: PROCESS_OUTPUT_BYTES_MAX,
        };
        let output = program.run().map_err(|error| {
            ProviderError::authentication(format!("{source}: {error}"))
                .hint("run it by hand to see what it says")
        })?;
        let malformed = |what: &str| ProviderError::malformed(format!("{source} did not print {what}"));
        let answer: Value = serde_json::from_slice(output.text.expose()).map_err(|_| malformed("JSON"))?;
        if answer.get("Version").and_then(Value::as_i64) != Some(1) {
            return Err(malformed("\"Version\": 1"));
        }
        keys_of_json(&answer, "SessionToken", source.clone())
            .ok_or_else(|| malformed("AccessKeyId and SecretAccessKey"))
    }

    fn of_web_identity_variables(&self) -> Result<Option<Credentials>, ProviderError> {
        let surroundings = self.web.surroundings();
        let variables = &surroundings.variables;
        let (Some(file), Some(arn)) =
            (variables.text("AWS_WEB_IDENTITY_TOKEN_FILE"), variables.text("AWS_ROLE_ARN"))
        else {
            return Ok(None);
        };
        let role = sts::Role {
            arn,
            session: variables.text("AWS_ROLE_SESSION_NAME"),
            external_id: None,
            duration_seconds: None,
            region: region_of(surroundings),
        };
        sts::assume_with_web_identity(&self.web, &role, Path::new(file)).map(Some)
    }

    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
    fn of_container(&self) -> Result<Option<Credentials>, ProviderError> {
        let variables = &self.web.surroundings().variables;
        let url = match (
            variables.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            variables.text("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ) {
            (Some(relative), _) => format!("http://169.254.170.2{relative}"),
            (None, Some(full)) if is_container_host(full) => full.to_owned(),
            (None, Some(full)) => {
                let message = "AWS_CONTAINER_CREDENTIALS_FULL_URI may name https, this machine or a container host only";
                return Err(
                    ProviderError::settings(message).looked(full.split('?').next().unwrap_or_default())
                );
            }
            (None, None) => return Ok(None),
        };
        let mut request = Request::get(&url);
        if url.starts_with("http://") {
            request = request.nearby();
        }
        let token = match variables.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => read_small(Path::new(file))?,
            None => variables.text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(SecretString::from),
        };
        if let Some(token) = token {
            request = request.header("authorization", token.expose().trim());
        }
        let answer = self.web.send(&request)?;
        keys_of_answer(&answer, "the container's credentials").map(Some)
    }

    fn metadata_is_disabled(&self) -> bool {
        self.web.surroundings().variables.switch("AWS_EC2_METADATA_DISABLED")
    }

    fn metadata_address(&self) -> &str {
        let variables = &self.web.surroundings().variables;
        let mode = variables.text("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").unwrap_or_default();
        let default = if mode.eq_ignore_ascii_case("ipv6") {
            "http://[fd00:ec2::254]"
        } else {
            "http://169.254.169.254"
        };
        variables.text("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(default).trim_end_matches('/')
    }

    /// IMDSv2: a session token first. Version 1 is not spoken.
    fn of_instance(&self) -> Result<Option<Credentials>, ProviderError> {
        if self.metadata_is_disabled() {
            return Ok(None);
        }
        let base = self.metadata_address();
        let ask =
            crate::web::Request::new("PUT", format!("{base}/latest/api/token"), crate::web::Repeat::Safe)
                .header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                .nearby();
        // Not on an instance: nobody answers.
        let Ok(token) = self.web.send(&ask) else { return Ok(None) };
        let Some(token) = text_of(&token) else { return Ok(None) };
        let get = |path: &str| {
            let url = format!("{base}/latest/meta-data/iam/security-credentials/{path}");
            self.web.send(&Request::get(url).header("x-aws-ec2-metadata-token", token.duplicate()).nearby())
        };
        let roles = get("")?;
        let Some(role) = text_of(&roles) else { return Ok(None) };
        let Some(role) = role.expose().lines().next().map(str::trim).filter(|role| !role.is_empty()) else {
            return Ok(None);
        };
        keys_of_answer(&get(role)?, &format!("the instance's role {role}")).map(Some)
    }
}

/// Keys that have expired are refused here, where it is known why, and not by the service.
fn still_good(found: Credentials, now: Timestamp) -> Result<Credentials, ProviderError> {
    match found.expires {
        Some(end) if end <= now => {
            let message =
                format!("the AWS credentials of {} have expired at {}", found.source, end.rfc3339());
            Err(ProviderError::authentication(message).hint(
                "get new ones (aws sso login, or whatever made these), and see that this machine's clock is right",
            ))
        }
        _ => Ok(found),
    }
}

fn text_of(answer: &Answer) -> Option<SecretString> {
    let text = std::str::from_utf8(answer.body.expose()).ok()?.trim();
    (answer.is_success() && !text.is_empty()).then(|| text.into())
}

fn no_credentials_in(profile: &str, files: &ProfileFiles) -> ProviderError {
    let message = match files.profiles.contains_key(profile) {
        true => format!("the AWS profile {profile:?} has no credentials"),
        false => format!("there is no AWS profile {profile:?}"),
    };
    let mut error = ProviderError::authentication(message);
    for file in &files.looked {
        error = error.looked(file.display());
    }
    let known: Vec<&str> = files.profiles.keys().map(String::as_str).take(10).collect();
    error.hint(match known.as_slice() {
        [] => "aws configure makes one".to_owned(),
        known => format!("known profiles: {}", known.join(", ")),
    })
}

fn of_variables(surroundings: &Surroundings) -> Result<Option<Credentials>, ProviderError> {
    let variables = &surroundings.variables;
    let (id, secret) = (variables.text("AWS_ACCESS_KEY_ID"), variables.text("AWS_SECRET_ACCESS_KEY"));
    let (id, secret) = match (id, secret) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Ok(None),
        (has_id, _) => {
            let (set, missing) = match has_id {
                Some(_) => ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
                None => ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            };
            return Err(ProviderError::authentication(format!("{set} is set, but {missing} is not")));
        }
    };
    Ok(Some(Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.into(),
        session_token: variables.text("AWS_SESSION_TOKEN").map(SecretString::from),
        // `aws configure export-credentials` says it.
        expires: variables.text("AWS_CREDENTIAL_EXPIRATION").and_then(Timestamp::parse_rfc3339),
        source: "variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
    }))
}

fn static_keys(profile: &str, section: &Section) -> Result<Option<Credentials>, ProviderError> {
    let Some(id) = section.text("aws_access_key_id") else { return Ok(None) };
    let Some(secret) = section.text("aws_secret_access_key") else {
        let message =
            format!("the AWS profile {profile:?} has aws_access_key_id without aws_secret_access_key");
        return Err(ProviderError::authentication(message));
    };
    Ok(Some(Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.into(),
        session_token: section.text("aws_session_token").map(SecretString::from),
        expires: None,
        source: format!("the AWS profile {profile:?}"),
    }))
}

/// The keys in an answer of a container's or an instance's metadata.
fn keys_of_answer(answer: &Answer, source: &str) -> Result<Credentials, ProviderError> {
    if !answer.is_success() {
        let message = answer.refused(format!("{source} are refused"));
        return Err(ProviderError::authentication(message).looked(&answer.request));
    }
    keys_of_json(&answer.json()?, "Token", source.to_owned()).ok_or_else(|| {
        ProviderError::malformed(format!("{source}: the answer has no AccessKeyId and SecretAccessKey"))
            .looked(&answer.request)
    })
}

fn keys_of_json(answer: &Value, token: &str, source: String) -> Option<Credentials> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(Credentials {
        access_key_id: text("AccessKeyId")?.to_owned(),
        secret_access_key: text("SecretAccessKey")?.into(),
        session_token: text(token).map(SecretString::from),
        expires: text("Expiration").and_then(Timestamp::parse_rfc3339),
        source,
    })
}

/// `https`, or plain HTTP to this machine and to the addresses that AWS gives to containers.
fn is_container_host(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || ["localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains(&host)
}

pub(crate) fn region_of(surroundings: &Surroundings) -> Option<&str> {
    surroundings.variables.first(&["AWS_REGION", "AWS_DEFAULT_REGION"])
}

/// The words of a command line: white space separates, quotes join, a backslash before a quote or a backslash keeps it.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = command.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', Some('"') | None)
                if characters.peek().is_some_and(|next| matches!(next, '"' | '\\' | '\'' | ' ')) =>
            {
                word.get_or_insert_default().extend(characters.next());
            }
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, None) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_without_a_shell() {
        assert_eq!(
            words(r#"  /opt/p --user "a b" 'c d' e\ f "" $(no)"#),
            ["/opt/p", "--user", "a b", "c d", "e f", "", "$(no)"]
        );
        assert!(words("  ").is_empty());
    }

    #[test]
    fn container_credentials_come_from_hosts_that_may_have_them() {
        for good in [
            "http://127.0.0.1:9/x",
            "http://[::1]/x",
            "http://169.254.170.23/v1",
            "https://any.test/x",
            "http://localhost",
        ] {
            assert!(is_container_host(good), "{good}");
        }
        for bad in
            ["http://10.0.0.1/x", "http://127.0.0.1.evil.test/", "ftp://x", "http://localhost.evil.test"]
        {
            assert!(!is_container_host(bad), "{bad}");
        }
    }
}
