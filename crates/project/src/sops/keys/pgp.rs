//! OpenPGP through the user's own `gpg`, and so through their agent and their cards.

use crate::Surroundings;
use std::io::Write;
use std::process::{Command, Stdio};
use strongroom_secret::SecretBytes;

pub(super) fn unwrap(surroundings: &Surroundings, wrapped: &str) -> Result<SecretBytes, String> {
    let part = run(surroundings, &["-d"], wrapped.as_bytes())?;
    if part.expose().is_empty() {
        // An old gpg drops packets that it does not know and says nothing.
        return Err("gpg gave nothing back: is it older than the one that encrypted?".to_owned());
    }
    Ok(part)
}

pub(super) fn wrap(
    surroundings: &Surroundings,
    fingerprint: &str,
    part: &SecretBytes,
) -> Result<String, String> {
    let trusted = key_id(fingerprint);
    let arguments = [
        "--no-default-recipient",
        "--yes",
        "--encrypt",
        "-a",
        "-r",
        fingerprint,
        "--trusted-key",
        &trusted,
        "--no-encrypt-to",
    ];
    let armoured = run(surroundings, &arguments, part.expose())?;
    let text =
        std::str::from_utf8(armoured.expose()).map_err(|_| "gpg did not answer with text".to_owned())?;
    Ok(text.trim().to_owned())
}

fn run(surroundings: &Surroundings, arguments: &[&str], input: &[u8]) -> Result<SecretBytes, String> {
    let gpg = surroundings.variables.text("SOPS_GPG_EXEC").unwrap_or("gpg");
    let mut command = Command::new(gpg);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("there is no program {gpg}: install GnuPG, or name it in SOPS_GPG_EXEC")
        }
        _ => format!("cannot run {gpg}: {error}"),
    })?;
    // The input is far smaller than a pipe's buffer, so writing it first cannot block.
    if let Some(mut pipe) = child.stdin.take() {
        // gpg says itself why it stopped reading.
        let _ = pipe.write_all(input);
    }
    let output = child.wait_with_output().map_err(|error| format!("{gpg}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(SecretBytes::new(output.stdout))
    } else {
        Err(format!("gpg: {}", said.trim()))
    }
}

/// The last 16 digits of a fingerprint; a `!` behind them, which picks a subkey, stays.
fn key_id(fingerprint: &str) -> String {
    let length = if fingerprint.ends_with('!') { 17 } else { 16 };
    let start = fingerprint.len().saturating_sub(length);
    fingerprint.get(start..).unwrap_or(fingerprint).to_owned()
}

#[cfg(test)]
mod tests {
    use super::key_id;

    #[test]
    fn key_ids() {
        assert_eq!(key_id("FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4"), "3D16CEE4A27381B4");
        assert_eq!(key_id("FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4!"), "3D16CEE4A27381B4!");
        assert_eq!(key_id("ABC"), "ABC");
    }
}
