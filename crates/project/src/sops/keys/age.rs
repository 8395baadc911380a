//! age: a data key is one armoured age file for each recipient (age-encryption.org/v1).

use super::Conversation;
use super::identities::{Identities, Talk};
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};
use std::io::{Read, Write};
use strongroom_secret::SecretBytes;

/// No data key or share of one is longer.
const PART_BYTES_MAX: u64 = 1024;

/// Opens what was wrapped for a recipient, with any identity that does.
pub(super) fn unwrap(wrapped: &str, recipient: &str, identities: &Identities) -> Result<SecretBytes, String> {
    let ready = identities.ready();
    match open(wrapped, ready.iter().map(AsRef::as_ref)) {
        Err(Some(reason)) => return Err(reason),
        Err(None) => {}
        Ok(part) => return Ok(part),
    }
    // A command is run, and a passphrase asked for, only when nothing else opens the file.
    let of_commands = identities.of_commands(recipient);
    if let Ok(part) = open(wrapped, of_commands.iter().map(AsRef::as_ref)) {
        return Ok(part);
    }
    let unlocked = identities.unlocked();
    if let Ok(part) = open(wrapped, unlocked.iter().map(AsRef::as_ref)) {
        return Ok(part);
    }
    Err(identities.why_not(ready.len() + of_commands.len() + unlocked.len()))
}

/// `Err(None)` if no identity fits.
fn open<'a>(
    wrapped: &str,
    identities: impl Iterator<Item = &'a (dyn age::Identity + Send + Sync)>,
) -> Result<SecretBytes, Option<String>> {
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(wrapped.as_bytes()));
    let decryptor =
        decryptor.map_err(|error| Some(format!("what is wrapped is not an age file: {error}")))?;
    let mut reader = match decryptor.decrypt(identities.map(|identity| identity as &dyn age::Identity)) {
        Ok(reader) => reader,
        Err(DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed) => return Err(None),
        Err(error) => return Err(Some(error.to_string())),
    };
    let mut part = zeroize::Zeroizing::new(Vec::with_capacity(64));
    let read = reader.by_ref().take(PART_BYTES_MAX).read_to_end(&mut part);
    read.map_err(|error| Some(format!("the age file is damaged: {error}")))?;
    Ok(SecretBytes::new(std::mem::take(&mut *part)))
}

/// Wraps for one recipient.
pub(super) fn wrap(
    recipient: &str,
    part: &SecretBytes,
    conversation: &Conversation,
) -> Result<String, String> {
    let recipient = parse_recipient(recipient, conversation)?;
    let failed = |error: &dyn std::fmt::Display| format!("age: {error}");
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient.as_ref() as &dyn age::Recipient))
        .map_err(|error| failed(&error))?;
    let mut armoured = Vec::new();
    let armour =
        ArmoredWriter::wrap_output(&mut armoured, Format::AsciiArmor).map_err(|error| failed(&error))?;
    let mut writer = encryptor.wrap_output(armour).map_err(|error| failed(&error))?;
    writer.write_all(part.expose()).map_err(|error| failed(&error))?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(|error| failed(&error))?;
    String::from_utf8(armoured).map_err(|error| failed(&error))
}

/// Reads a recipient of any kind.
fn parse_recipient(text: &str, conversation: &Conversation) -> Result<Box<dyn age::Recipient>, String> {
    let wrong = |why: &str| format!("{text:?} is not an age recipient: {why}");
    if text.starts_with("ssh-") {
        let parsed: Result<age::ssh::Recipient, _> = text.parse();
        return match parsed {
            Ok(recipient) => Ok(Box::new(recipient)),
            Err(age::ssh::ParseRecipientKeyError::RsaModulusTooSmall) => {
                Err(wrong("RSA keys below 2048 bits are too weak"))
            }
            Err(age::ssh::ParseRecipientKeyError::RsaModulusTooLarge) => {
                Err(wrong("the RSA key is too large"))
            }
            Err(_) => Err(wrong("of ssh keys, only ssh-ed25519 and ssh-rsa are")),
        };
    }
    if text.starts_with("AGE-SECRET-KEY-") || text.starts_with("AGE-PLUGIN-") {
        // Not repeated: it is a secret.
        return Err(
            "an age identity (a secret key) was given where a recipient belongs: use the age1… beside it"
                .to_owned(),
        );
    }
    if text.starts_with("age1pq1") {
        return Err(wrong("post-quantum recipients are not supported yet"));
    }
    if text.starts_with("age1tag1") {
        let recipient: age::tag::Recipient = text.parse().map_err(|_| wrong("a character is wrong"))?;
        return Ok(Box::new(recipient));
    }
    if text.starts_with("age1tagpq1") {
        let recipient: age::tagpq::Recipient = text.parse().map_err(|_| wrong("a character is wrong"))?;
        return Ok(Box::new(recipient));
    }
    if text.starts_with("age1") && text.matches('1').count() > 1 && !is_x25519(text) {
        let recipient: age::plugin::Recipient = text.parse().map_err(|why: &str| wrong(why))?;
        let name = recipient.plugin().to_owned();
        let plugin =
            age::plugin::RecipientPluginV1::new(&name, &[recipient], &[], Talk(conversation.clone()));
        return match plugin {
            Ok(plugin) => Ok(Box::new(plugin)),
            Err(_) => Err(format!("{text:?} needs age-plugin-{name}, which is not in PATH")),
        };
    }
    let recipient: age::x25519::Recipient = text.parse().map_err(|why: &str| wrong(why))?;
    Ok(Box::new(recipient))
}

/// The data part of bech32 never holds a `1`, so the last one is the separator.
fn is_x25519(text: &str) -> bool {
    text.rfind('1') == Some(3)
}

/// Whether a recipient can be read, for errors where it is written and not when it is used. Plugins are not looked for.
pub(crate) fn check_recipient(text: &str) -> Result<(), String> {
    if text.starts_with("age1") && !is_x25519(text) && !text.starts_with("age1pq1") {
        return Ok(());
    }
    parse_recipient(text, &Conversation::none()).map(drop)
}
