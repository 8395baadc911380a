//! The token that `login` leaves for later commands: `~/.vault-token`, shared with the `vault` command.

use crate::failure::Failure;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use strongroom_secret::SecretString;

/// The file, in the home folder.
pub fn path(home: &Path) -> PathBuf {
    home.join(".vault-token")
}

/// `None` where there is no file, or an empty one.
pub fn load(path: &Path) -> Result<Option<SecretString>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = SecretString::new(text);
            let token = SecretString::from(text.expose().trim());
            Ok((!token.is_empty()).then_some(token))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::other(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Replaces the file as a whole, readable by its owner alone.
pub fn store(path: &Path, token: &SecretString) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("cannot write {}: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".vault-token").tempfile_in(folder).map_err(failed)?;
    file.write_all(token.expose().as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_comes_back_and_nobody_else_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        let file = path(home.path());
        assert!(load(&file).unwrap().is_none());
        fs::write(&file, "old\n").unwrap();
        store(&file, &"s.not-a-real-token".into()).unwrap();
        assert_eq!(load(&file).unwrap(), Some("s.not-a-real-token".into()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
