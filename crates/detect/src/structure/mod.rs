//! What a token says about itself, verified offline: checksums inside it, encodings that have to decode, documents that have
//! to parse. A rule names the structure that its secret should have (`structure = "github"`); the answer moves a finding's
//! confidence, or drops it where the form alone is worth nothing.
//!
//! Everything here is bounded by the length of the secret, which is bounded by [`LENGTH_MAX`], and allocates a small multiple of it.

mod base58;
mod bech32;
mod checksum;
mod documents;
mod keys;
mod macaroon;
mod pem;
mod shapes;
mod tokens;

#[cfg(test)]
mod tests;

/// Longer secrets are not looked into.
pub const LENGTH_MAX: usize = 64 * 1024;

/// What the structure of a secret says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It cannot be such a secret, and its form is nothing without the structure: no finding.
    Impossible,
    /// It has the form, but not what is inside: made up, or cut off. A finding of low confidence.
    Unlikely,
    /// Nothing to verify, or what there is fits without proving anything.
    Plausible,
    /// A checksum or structure that chance does not produce.
    Verified,
}

/// The answer about one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub verdict: Verdict,
    /// What was read on the way and is no secret: `aws-account:123456789012`, `encrypted`.
    pub note: Option<String>,
}

impl Check {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, note: None }
    }

    fn noted(verdict: Verdict, note: impl Into<String>) -> Self {
        Self { verdict, note: Some(note.into()) }
    }

    /// For secrets whose form is telling by itself: without the checksum they are made up.
    fn verified_or_unlikely(verified: bool) -> Self {
        Self::of(if verified { Verdict::Verified } else { Verdict::Unlikely })
    }

    /// For secrets that look like many other things: without the checksum they are something else.
    fn verified_or_impossible(verified: bool) -> Self {
        Self::of(if verified { Verdict::Verified } else { Verdict::Impossible })
    }
}

macro_rules! structures {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => $check:path;)+) => {
        /// A structure that a rule can name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Structure {
            $($(#[$doc])* $variant,)+
        }

        impl Structure {
            /// All of them, for messages and documents.
            pub const ALL: &[Structure] = &[$(Structure::$variant,)+];

            /// The name that rules use.
            pub fn name(self) -> &'static str {
                match self {
                    $(Structure::$variant => $name,)+
                }
            }

            /// Looks into a secret.
            pub fn check(self, secret: &[u8]) -> Check {
                if secret.len() > LENGTH_MAX {
                    return Check::of(Verdict::Plausible);
                }
                match self {
                    $(Structure::$variant => $check(secret),)+
                }
            }
        }
    };
}

structures! {
    /// GitHub and npm: `prefix_`, 30 characters, and their CRC-32 in six base62 digits.
    Github = "github" => tokens::github;
    /// Grafana service accounts: little-endian CRC-32 in hexadecimal after the last `_`.
    GrafanaServiceAccount = "grafana-service-account" => tokens::grafana_service_account;
    /// Grafana's older keys and Cloud tokens: base64 of a JSON document.
    GrafanaDocument = "grafana-document" => documents::grafana;
    /// Atlassian and Bitbucket `AT…`: CRC-32 of all before it, as eight upper-case hexadecimal digits.
    Atlassian = "atlassian" => tokens::atlassian;
    /// Cloudflare `cf…_`: CRC-32 of what follows the prefix, as eight hexadecimal digits.
    Cloudflare = "cloudflare" => tokens::cloudflare;
    /// Confluent `cflt`: little-endian CRC-32 in six base64 characters.
    Confluent = "confluent" => tokens::confluent;
    /// Zuplo `zpka_`: CRC-32 in hexadecimal after the last `_`.
    Zuplo = "zuplo" => tokens::zuplo;
    /// AWS access key ids: newer ones hold the account's number.
    AwsAccessKey = "aws-access-key" => tokens::aws_access_key;
    /// Base64 of 64 bytes, as Azure's storage accounts have.
    AzureStorageKey = "azure-storage-key" => tokens::base64_of_64_bytes;
    /// Base64 of 32 bytes, as Azure's shared access signatures and many keys have.
    Base64Of32Bytes = "base64-of-32-bytes" => tokens::base64_of_32_bytes;
    /// JFrog reference tokens: base64 of `reftkn:…`.
    JfrogReference = "jfrog-reference" => tokens::jfrog_reference;
    /// JFrog API keys: base58 of a fixed length.
    JfrogApiKey = "jfrog-api-key" => tokens::jfrog_api_key;
    /// Discord bots: base64 of the bot's number before the first dot.
    DiscordBot = "discord-bot" => tokens::discord_bot;
    /// Mapbox: base64 of a JSON document between the dots.
    Mapbox = "mapbox" => documents::mapbox;
    /// Sentry's organisation tokens: base64 of a JSON document after the prefix.
    SentryOrganisation = "sentry-organisation" => documents::sentry_organisation;
    /// 1Password's service accounts: base64 of a JSON document after the prefix.
    OnePasswordServiceAccount = "onepassword-service-account" => documents::onepassword_service_account;
    /// `user:password` in base64, as HTTP's basic authentication and Docker have it.
    BasicAuthentication = "basic-authentication" => tokens::basic_authentication;
    /// Telegram: the bot's number, and a key that begins with `AA`.
    TelegramBot = "telegram-bot" => tokens::telegram_bot;
    /// A letter and a digit: names of code mostly have no digit, numbers no letter.
    LettersAndDigits = "letters-and-digits" => shapes::letters_and_digits;
    /// A digit.
    Digit = "digit" => shapes::digit;
    /// Small letters and capitals.
    MixedCase = "mixed-case" => shapes::mixed_case;
    /// A password that a person may have chosen: no template, no placeholder.
    Password = "password" => shapes::password;
    /// Such a password with letters and digits, of eight characters or more.
    StrongPassword = "strong-password" => shapes::strong_password;
    /// PyPI: a macaroon of pypi.org.
    PypiMacaroon = "pypi-macaroon" => macaroon::pypi;
    /// A JSON web token: header and payload parse, the signature has its algorithm's length.
    Jwt = "jwt" => documents::jwt;
    /// A JSON web token, in base64 once more.
    JwtBase64 = "jwt-base64" => documents::jwt_base64;
    /// A private key in PEM, OpenSSH's or PGP's armour.
    PrivateKey = "private-key" => pem::private_key;
    /// age identities: Bech32.
    Age = "age" => keys::age;
    /// Nostr private keys: Bech32.
    Nostr = "nostr" => keys::nostr;
    /// NATS seeds: base32 with CRC-16.
    NatsSeed = "nats-seed" => keys::nats_seed;
    /// Recovery phrases of wallets (BIP-39).
    Bip39 = "bip39" => keys::bip39;
    /// Bitcoin private keys in wallet import format: Base58Check.
    BitcoinWif = "bitcoin-wif" => keys::bitcoin_wif;
    /// Extended private keys (BIP-32): Base58Check.
    ExtendedPrivateKey = "extended-private-key" => keys::extended_private_key;
}

impl Structure {
    /// The structure of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|structure| structure.name() == name)
    }
}
