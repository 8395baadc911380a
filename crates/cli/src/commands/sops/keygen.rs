//! `sops keygen`: an age key where sops and we look for one.

use super::session::Session;
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_project::files::{Links, change};
use strongroom_project::sops::NewIdentity;

#[derive(Args)]
pub struct KeygenArgs {
    /// Where the key is added [otherwise: ~/.config/sops/age/keys.txt, where it is found without being told]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const KEYS_BYTES_MAX: u64 = 1 << 20;

/// Prints the recipient: what .sops.yaml names, and everybody may know.
pub fn generate(session: &Session, args: &KeygenArgs) -> Result<ExitCode, Failure> {
    let path = match &args.output {
        Some(path) => path.clone(),
        None => session
            .usual_keys_file()
            .ok_or_else(|| Failure::usage("there is no home folder: --output FILE"))?,
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |error| Failure::other(format!("cannot make the folder {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let new = NewIdentity::generate();
    let change = change(&path, Links::Follow, KEYS_BYTES_MAX)?;
    let before = change.content().map(|bytes| String::from_utf8_lossy(bytes.expose())).unwrap_or_default();
    // Room for all of it: nothing moves, so nothing is left behind.
    let mut text = zeroize::Zeroizing::new(String::with_capacity(before.len() + 256));
    text.push_str(&before);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("# public key: {}\n", new.recipient));
    text.push_str(new.identity.expose());
    text.push('\n');
    change.replace(text.as_bytes())?;
    println_recipient(&new.recipient);
    Ok(ExitCode::SUCCESS)
}

fn println_recipient(recipient: &str) {
    use std::io::Write;
    // A closed standard output leaves nobody to tell; the file has it too.
    let _ = writeln!(std::io::stdout(), "{recipient}");
}
