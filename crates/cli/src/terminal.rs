//! Questions to a person at a terminal.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use strongroom_project::sops::Conversation;
use strongroom_secret::SecretString;
use zeroize::Zeroizing;

/// A line may be this long, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Asks for a line that is not shown while it is typed. The terminal is silent before the prompt is there: nothing that is
/// typed at the sight of it can be shown.
pub fn ask_hidden(prompt: &str) -> io::Result<SecretString> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let silent = Silent::new(terminal)?;
    (&silent.terminal).write_all(prompt.as_bytes())?;
    let mut line = Zeroizing::new(Vec::new());
    let mut piece = Zeroizing::new([0; 4096]);
    while !line.ends_with(b"\n") {
        let count = (&silent.terminal).read(&mut *piece)?;
        if count == 0 || line.len() > LINE_BYTES_MAX {
            break;
        }
        line.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::other("what was typed is not UTF-8"))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// How the keys of SOPS files speak with the person at the terminal. It is asked itself: standard input may be a file.
pub fn conversation() -> Conversation {
    Conversation {
        passphrase: Arc::new(|question| {
            let asked = ask_hidden(&format!("{question} "));
            asked.ok().filter(|text| !text.is_empty())
        }),
        tell: Arc::new(|message| {
            if io::stderr().is_terminal() {
                let _ = writeln!(io::stderr(), "{message}");
            }
        }),
    }
}

/// A terminal that does not show what is typed; as it was before, once this is dropped.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing is left to be done where this fails.
        let _restored = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
