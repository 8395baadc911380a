//! The detectors under detect-secrets' names and types, in its order: a baseline that it wrote stays true. The forms of tokens are
//! their providers' own; which part of a match is the secret follows detect-secrets, since that is what is hashed.

use regex::Regex;
use std::sync::OnceLock;

pub(super) struct Plugin {
    /// The name of the class, as baselines and `--disable-plugin` have it.
    pub(super) name: &'static str,
    /// The type, as baselines have it.
    pub(super) kind: &'static str,
    pub(super) look: Look,
}

pub(super) enum Look {
    /// Expressions; of each match the groups that are not empty, or all of it where there are none.
    Patterns(&'static [&'static str]),
    /// Quoted runs of these characters whose entropy is above the limit.
    Entropy { characters: &'static str, limit: f64 },
    /// What is assigned to a name that says it is a secret.
    Keyword,
}

pub(super) const PLUGINS: &[Plugin] = &[
    patterns(
        "ArtifactoryDetector",
        "Artifactory Credentials",
        &[
            r#"(?:^|[\s=:"])AKC[a-zA-Z0-9]{10,}(?:[\s"]|$)"#,
            r#"(?:^|[\s=:"])AP[0-9A-F][a-zA-Z0-9]{8,}(?:[\s"]|$)"#,
        ],
    ),
    patterns(
        "AWSKeyDetector",
        "AWS Access Key",
        &[
            r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}",
            r#"(?i)aws.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?['"]([0-9a-z/+]{40})['"]"#,
        ],
    ),
    patterns(
        "AzureStorageKeyDetector",
        "Azure Storage Account access key",
        &[r"AccountKey=[a-zA-Z0-9+/=]{88}"],
    ),
    entropy(
        "Base64HighEntropyString",
        "Base64 High Entropy String",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\\-_=",
        4.5,
    ),
    patterns(
        "BasicAuthDetector",
        "Basic Auth Credentials",
        &[r"://[^:/?#\[\]@!$&'()*+,;=\s]+:([^:/?#\[\]@!$&'()*+,;=\s]+)@"],
    ),
    patterns(
        "CloudantDetector",
        "Cloudant Credentials",
        &[r"(?i)https?://[\w-]+:([0-9a-f]{64}|[a-z]{24})@[\w-]+\.cloudant\.com"],
    ),
    patterns(
        "DiscordBotTokenDetector",
        "Discord Bot Token",
        &[r"[MNO][a-zA-Z\d_-]{23,25}\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}"],
    ),
    patterns("GitHubTokenDetector", "GitHub Token", &[r"(ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9_]{36}"]),
    patterns(
        "GitLabTokenDetector",
        "GitLab Token",
        &[
            r"(glpat|gldt|glft|glsoat|glrt)-[A-Za-z0-9_-]{20,50}(?:\b|$)",
            r"GR1348941[A-Za-z0-9_-]{20,50}(?:\b|$)",
            r"glcbt-([0-9a-fA-F]{2}_)?[A-Za-z0-9_-]{20,50}(?:\b|$)",
            r"glimt-[A-Za-z0-9_-]{25}(?:\b|$)",
            r"glptt-[A-Za-z0-9_-]{40}(?:\b|$)",
            r"glagent-[A-Za-z0-9_-]{50,1024}(?:\b|$)",
            r"gloas-[A-Za-z0-9_-]{64}(?:\b|$)",
        ],
    ),
    entropy("HexHighEntropyString", "Hex High Entropy String", "0123456789abcdefABCDEF", 3.0),
    Plugin {
        name: "IbmCloudIamDetector",
        kind: "IBM Cloud IAM Key",
        look: Look::Patterns(&[
            r#"(?i)(?:^|\W)\[?["']?(?:ibm[_-]?cloud[_-]?iam|cloud[_-]?iam|ibm[_-]?cloud|ibm[_-]?iam|ibm|iam|cloud|)[_-]?(?:api)?[_-]?(?:key|pwd|password|pass|token)["']?\]? *(?:=>|:=|::|=|:| +) *["']?([a-z0-9_-]{44})(?:[^a-z0-9_-]|$)"#,
        ]),
    },
    patterns(
        "IbmCosHmacDetector",
        "IBM COS HMAC Credentials",
        &[
            r#"(?i)(?:^|\W)\[?["']?(?:(?:ibm)?[-_]?cos[-_]?(?:hmac)?|)[_-]?secret[-_]?(?:access)?[-_]?key["']?\]? *(?:=>|:=|::|=|:| +) *["']?([a-f0-9]{48})(?:[^a-f0-9]|$)"#,
        ],
    ),
    patterns(
        "IPPublicDetector",
        "Public IP (ipv4)",
        &[
            r"(?:^|[^\w.])((?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?::\d{1,5})?)(?:[^\w.]|$)",
        ],
    ),
    patterns("JwtTokenDetector", "JSON Web Token", &[r"eyJ[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.?"]),
    Plugin { name: "KeywordDetector", kind: "Secret Keyword", look: Look::Keyword },
    patterns("MailchimpDetector", "Mailchimp Access Key", &[r"[0-9a-z]{32}-us[0-9]{1,2}"]),
    patterns("NpmDetector", "NPM tokens", &[r"//.+/:_authToken=\s*((?:npm_.+)|(?:[A-Fa-f0-9-]{36}))"]),
    patterns("OpenAIDetector", "OpenAI Token", &[r"sk-[A-Za-z0-9_-]*[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"]),
    patterns(
        "PrivateKeyDetector",
        "Private Key",
        &[
            r"BEGIN (?:DSA |EC |OPENSSH |RSA )?PRIVATE KEY|BEGIN PGP PRIVATE KEY BLOCK|BEGIN SSH2 ENCRYPTED PRIVATE KEY|PuTTY-User-Key-File-2",
        ],
    ),
    patterns(
        "PypiTokenDetector",
        "PyPI Token",
        &[r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70,}", r"pypi-AgENdGVzdC5weXBpLm9yZw[A-Za-z0-9_-]{70,}"],
    ),
    patterns("SendGridDetector", "SendGrid API Key", &[r"SG\.[a-zA-Z0-9_-]{22}\.[a-zA-Z0-9_-]{43}"]),
    patterns(
        "SlackDetector",
        "Slack Token",
        &[
            r"(?i)xox[abposr]-(?:\d+-)+[a-z0-9]+",
            r"(?i)https://hooks\.slack\.com/services/T[a-z0-9_]+/B[a-z0-9_]+/[a-z0-9_]+",
        ],
    ),
    patterns(
        "SoftlayerDetector",
        "SoftLayer Credentials",
        &[
            r#"(?i)(?:^|\W)\[?["']?(?:softlayer|sl)[_-]?(?:api)?[_-]?(?:key|pwd|password|pass|token)["']?\]? *(?:=>|:=|::|=|:| +) *["']?([a-z0-9]{64})"#,
            r"(?i)https?://api\.softlayer\.com/soap/v3(?:\.1)?/([a-z0-9]{64})",
        ],
    ),
    patterns("SquareOAuthDetector", "Square OAuth Secret", &[r"sq0csp-[0-9A-Za-z\\_-]{43}"]),
    patterns("StripeDetector", "Stripe Access Key", &[r"[rs]k_live_[0-9a-zA-Z]{24}"]),
    patterns("TelegramBotTokenDetector", "Telegram Bot Token", &[r"^\d{8,10}:[0-9A-Za-z_-]{35}$"]),
    patterns("TwilioKeyDetector", "Twilio API Key", &[r"AC[a-z0-9]{32}", r"SK[a-z0-9]{32}"]),
];

const fn patterns(name: &'static str, kind: &'static str, patterns: &'static [&'static str]) -> Plugin {
    Plugin { name, kind, look: Look::Patterns(patterns) }
}

const fn entropy(name: &'static str, kind: &'static str, characters: &'static str, limit: f64) -> Plugin {
    Plugin { name, kind, look: Look::Entropy { characters, limit } }
}

/// What a plugin is told: a baseline or a flag may move the limit of the entropies.
#[derive(Clone)]
pub(super) struct Enabled {
    number: usize,
    plugin: &'static Plugin,
    pub(super) limit: Option<f64>,
    pub(super) keyword_exclude: String,
}

impl Enabled {
    pub(super) fn all() -> Vec<Self> {
        PLUGINS.iter().enumerate().map(|(number, plugin)| Self::new(number, plugin)).collect()
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|enabled| enabled.plugin.name == name)
    }

    fn new(number: usize, plugin: &'static Plugin) -> Self {
        let limit = match &plugin.look {
            Look::Entropy { limit, .. } => Some(*limit),
            _ => None,
        };
        Self { number, plugin, limit, keyword_exclude: String::new() }
    }

    pub(super) fn plugin(&self) -> &'static Plugin {
        self.plugin
    }

    /// All secrets in a line, as they are hashed.
    pub(super) fn look(&self, line: &str, file: FileKind, quotes: Quotes) -> Vec<String> {
        // Of settings the values are looked at, not what is said about them.
        let is_comment = file == FileKind::Settings && line.trim_start().starts_with(['#', ';']);
        if is_comment && !matches!(self.plugin.look, Look::Patterns(_)) {
            return Vec::new();
        }
        match &self.plugin().look {
            Look::Patterns(_) => compiled(self.number)
                .iter()
                .flat_map(|pattern| of_pattern(pattern, line))
                .filter(|value| self.admits(value))
                .collect(),
            Look::Entropy { characters, limit } => {
                let limit = self.limit.unwrap_or(*limit);
                let mut quoted = quoted_runs(line, characters);
                if quoted.is_empty() && file == FileKind::Settings {
                    quoted.extend(setting(line, characters));
                }
                let above = |value: &String| entropy_of(value, characters) > limit;
                let found: Vec<String> = quoted.into_iter().filter(above).collect();
                match quotes {
                    Quotes::Optional if found.is_empty() => bare_runs(line, characters),
                    _ => found,
                }
            }
            Look::Keyword => keyword_values(line, file, &self.keyword_exclude),
        }
    }

    /// Addresses that are nobody's are no secret.
    fn admits(&self, value: &str) -> bool {
        if self.plugin().name != "IPPublicDetector" {
            return true;
        }
        let address = value.split(':').next().unwrap_or_default();
        let Ok(address) = address.parse::<std::net::Ipv4Addr>() else { return false };
        !(address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_unspecified())
    }
}

/// Whether strings without quotes count: for one that is given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    Required,
    Optional,
}

/// How values are written in a file, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `name = value`, quotes or not.
    Settings,
    Code,
}

impl FileKind {
    pub(super) fn of(path: &str) -> Self {
        let ending =
            path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
        match ending {
            "yaml" | "yml" | "ini" | "cfg" | "cnf" | "conf" | "properties" | "toml" | "env" | "eyaml" => {
                Self::Settings
            }
            _ => Self::Code,
        }
    }
}

fn compiled(number: usize) -> &'static [Regex] {
    static COMPILED: [OnceLock<Vec<Regex>>; 27] = [const { OnceLock::new() }; 27];
    let Some(slot) = COMPILED.get(number) else { return &[] };
    slot.get_or_init(|| match PLUGINS.get(number).map(|plugin| &plugin.look) {
        Some(Look::Patterns(patterns)) => {
            patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
        }
        _ => Vec::new(),
    })
}

fn of_pattern(pattern: &Regex, line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for captures in pattern.captures_iter(line) {
        let groups = captures.iter().skip(1);
        if pattern.captures_len() == 1 {
            found.extend(captures.get(0).map(|whole| whole.as_str().to_owned()));
        } else {
            found.extend(
                groups.flatten().filter(|group| !group.is_empty()).map(|group| group.as_str().to_owned()),
            );
        }
    }
    found
}

/// Runs between two quotes of a kind, from the left.
fn quoted_runs(line: &str, characters: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(['\'', '"']) {
        let (_, quoted) = rest.split_at(start);
        let quote = quoted.chars().next().unwrap_or('"');
        let inner = quoted.get(1..).unwrap_or_default();
        let length = inner.find(|character: char| !characters.contains(character)).unwrap_or(inner.len());
        let (run, after) = inner.split_at(length);
        if length > 0 && after.starts_with(quote) {
            found.push(run.to_owned());
            rest = after.get(1..).unwrap_or_default();
        } else {
            rest = inner;
        }
    }
    found
}

/// What a setting without quotes is set to, if all of it is of these characters; or a line of a value of several.
fn setting(line: &str, characters: &str) -> Option<String> {
    let after = match line.find(['=', ':']) {
        Some(at) => line.get(at + 1..)?,
        None => line,
    };
    let value = after.split(" #").next()?.trim();
    let value = value.strip_prefix("!!binary").map_or(value, str::trim);
    (!value.is_empty() && value.chars().all(|character| characters.contains(character)))
        .then(|| value.to_owned())
}

fn bare_runs(line: &str, characters: &str) -> Vec<String> {
    line.split(|character: char| !characters.contains(character))
        .filter(|run| !run.is_empty())
        .map(str::to_owned)
        .collect()
}

pub(super) fn entropy_of(value: &str, characters: &str) -> f64 {
    let length = value.chars().count() as f64;
    let mut entropy = 0.0;
    for character in characters.chars() {
        let share = value.chars().filter(|other| *other == character).count() as f64 / length;
        if share > 0.0 {
            entropy -= share * share.log2();
        }
    }
    // Numbers reach less, and are seldom secrets.
    let is_number =
        characters.len() == 22 && value.len() > 1 && value.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { entropy - 1.2 / length.log2() } else { entropy }
}

fn keyword_values(line: &str, file: FileKind, exclude: &str) -> Vec<String> {
    static EXPRESSIONS: OnceLock<[Vec<Regex>; 2]> = OnceLock::new();
    if !exclude.is_empty()
        && Regex::new(&format!("(?i){exclude}")).is_ok_and(|exclude| exclude.is_match(line))
    {
        return Vec::new();
    }
    let [settings, code] = EXPRESSIONS
        .get_or_init(|| [keyword_expressions(FileKind::Settings), keyword_expressions(FileKind::Code)]);
    let expressions = if file == FileKind::Settings { settings } else { code };
    let value = |pattern: &Regex| {
        let captures = pattern.captures(line)?;
        let group = captures.iter().skip(1).flatten().next()?.as_str();
        // YAML's tag of a value is no part of it.
        Some(group.strip_prefix("!!binary").map_or(group, str::trim).to_owned())
    };
    expressions.iter().filter_map(value).filter(|value| !value.is_empty()).collect()
}

/// A name, what may close it, a sign, a value. In code the value has quotes.
fn keyword_expressions(file: FileKind) -> Vec<Regex> {
    const NAME: &str = r"(?:api_?key|(?:auth|service|account|db|database|priv|private|client)_?key|(?:db|database|key)_?pass|password|passwd|pwd|secret|contrase[ñn]a)\w*";
    const QUOTED: &str = r#"(?:"(\w[^'"]*[^,'"`]|\w)"|'(\w[^'"]*[^,'"`]|\w)'|`(\w[^'"]*[^,'"`]|\w)`)"#;
    const ANY: &str = r#"(?:"([^'"]*\w[^'"]*)"|'([^'"]*\w[^'"]*)'|([^'"`\s][^'"]*[^,'"`]))"#;
    let value = if file == FileKind::Settings { ANY } else { QUOTED };
    let quoted = QUOTED;
    let texts = [
        format!(r#"(?i){NAME}[\]'"]{{0,2}}:\s*{value}"#),
        format!(r#"(?i){NAME}[\]'"]{{0,2}}\s*(?:={{1,3}}|!==?|=>)\s*{value}"#),
        format!(r#"{quoted}\s*[!=]{{2,3}}\s*\w*{NAME}"#),
        format!(r#"(?i){NAME}\S{{0,50}}?\s*{quoted};"#),
    ];
    texts.iter().filter_map(|text| Regex::new(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, line: &str) -> Vec<String> {
        Enabled::by_name(name).unwrap().look(line, FileKind::Code, Quotes::Required)
    }

    #[test]
    fn all_expressions_compile() {
        for (number, plugin) in PLUGINS.iter().enumerate() {
            if let Look::Patterns(patterns) = plugin.look {
                assert_eq!(compiled(number).len(), patterns.len(), "{}", plugin.name);
            }
        }
        assert_eq!(PLUGINS.len(), 27);
        assert_eq!(keyword_expressions(FileKind::Code).len(), 4);
        assert_eq!(keyword_expressions(FileKind::Settings).len(), 4);
    }

    #[test]
    fn what_is_hashed_is_what_detect_secrets_hashes() {
        assert_eq!(found("GitHubTokenDetector", "x = ghp_0000aaaa1111bbbb2222cccc3333dddd4444"), ["ghp"]);
        assert_eq!(found("BasicAuthDetector", "https://user:not-real@host/x"), ["not-real"]);
        assert_eq!(found("KeywordDetector", "password = \"not-a-real-one\""), ["not-a-real-one"]);
        assert_eq!(found("KeywordDetector", "password = not_quoted"), Vec::<String>::new());
        assert_eq!(
            found("HexHighEntropyString", "'2b00042f7481c7b056c4b410d28f33cf'"),
            ["2b00042f7481c7b056c4b410d28f33cf"]
        );
        assert_eq!(found("HexHighEntropyString", "'11111111111111111111'"), Vec::<String>::new());
        assert_eq!(found("IPPublicDetector", "a 8.8.8.8 b 10.0.0.1 c"), ["8.8.8.8"]);
    }
}
