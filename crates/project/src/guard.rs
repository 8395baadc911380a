//! What keeps values out of a repository: lines of .gitignore, and a hook.

use crate::check::ignored_patterns_missing;
use crate::files::{self, FileError, Links};
use std::path::Path;

const GITIGNORE_BYTES_MAX: u64 = 4 << 20;

/// Adds what is missing to the folder's .gitignore, and says what that was.
pub fn write_gitignore(folder: &Path) -> Result<Vec<&'static str>, FileError> {
    let change = files::change(&folder.join(".gitignore"), Links::Follow, GITIGNORE_BYTES_MAX)?;
    let is_new = change.content().is_none();
    let before = change.content().map(|bytes| String::from_utf8_lossy(bytes.expose()).into_owned());
    let mut text = before.unwrap_or_default();
    let missing = ignored_patterns_missing(&text);
    if missing.is_empty() {
        return Ok(missing);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("# Files with secrets (strongroom guard)\n");
    missing.iter().for_each(|pattern| text.extend([pattern, "\n"]));
    change.replace(text.as_bytes())?;
    if is_new {
        // Nothing in it is secret, and tools of other users read it.
        make_public(&folder.join(".gitignore"))?;
    }
    Ok(missing)
}

/// Gives a new file that holds no values the usual mode.
pub fn make_public(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o644);
    let failed = |error| FileError::Io { doing: "cannot set the mode of", path: path.to_owned(), error };
    std::fs::set_permissions(path, permissions).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_added_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".gitignore");
        std::fs::write(&path, "target\n.env").unwrap();
        assert!(!write_gitignore(folder.path()).unwrap().contains(&".env"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(
                "target\n.env\n# Files with secrets (strongroom guard)\n.env.*\n!.env.example\n"
            ),
            "{text}"
        );
        assert_eq!(write_gitignore(folder.path()).unwrap(), Vec::<&str>::new());
    }
}
