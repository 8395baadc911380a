//! The files of a project on disk: read with a bound, and replaced as a whole or not at all.
//!
//! Who changes a file holds the lock on its folder from the reading to the replacing, so that of two writers neither
//! loses what the other wrote. The lock is advisory (`flock`): it keeps our own programs apart. Somebody else's change
//! in between is noticed by the file's identity, size and time, and refused.

use rustix::fs::{self, Gid, Uid};
use rustix::io::Errno;
use std::fs::{File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use strongroom_secret::SecretBytes;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// What to do with a symbolic link where a file is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// An error that names where the link leads: whoever made it may not have meant our writing there.
    Refuse,
    /// Change the file that the link leads to; the link stays.
    Follow,
    /// Read through the link, and put a file in its place; what it led to stays as it is. python-dotenv does this.
    Replace,
}

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    #[error("{} is a {kind}, not a file", .path.display())]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error("{} is a link to {}: name that file itself, or allow following links", .path.display(), .target.display())]
    Link { path: PathBuf, target: PathBuf },
    #[error("{} is a link to {}, which is not there: make that file, or remove the link", .path.display(), .target.display())]
    Dangling { path: PathBuf, target: PathBuf },
    #[error("{} has more than {bytes_max} bytes, the most that is read", .path.display())]
    TooLarge { path: PathBuf, bytes_max: u64 },
    #[error("{} was changed by another program in the meantime: nothing was written; try again", .0.display())]
    Changed(PathBuf),
    #[error("another program has held the lock on the folder {} for {} s: nothing was written", .folder.display(), .waited.as_secs())]
    Locked { folder: PathBuf, waited: Duration },
    #[error(
        "{} belongs to user {uid} and group {gid}, which cannot be kept: nothing was written; run this as that user", .path.display()
    )]
    Owner { path: PathBuf, uid: u32, gid: u32 },
    #[error("{doing} {}: {error}", .path.display())]
    Io { doing: &'static str, path: PathBuf, error: io::Error },
}

impl FileError {
    /// Whether it says that there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// What the operating system said, if it was that.
    pub fn os_error(&self) -> Option<i32> {
        match self {
            Self::Io { error, .. } => error.raw_os_error(),
            _ => None,
        }
    }
}

/// Permission bits of a file that did not exist before: its owner's alone.
pub const NEW_FILE_MODE: u32 = 0o600;
/// How long to wait for another writer.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Reads a file, a pipe, or what a link leads to, up to `bytes_max`.
pub fn read(path: &Path, bytes_max: u64) -> Result<SecretBytes, FileError> {
    let mut file = File::open(path).map_err(|error| io_error("cannot open", path, error))?;
    let metadata = file.metadata().map_err(|error| io_error("cannot examine", path, error))?;
    read_open(path, &mut file, &metadata, bytes_max)
}

/// The first file or pipe of this name in `start` or the folders above it, as python-dotenv's `find_dotenv` looks.
pub fn find_upward(start: &Path, name: &Path) -> Option<PathBuf> {
    start.ancestors().map(|folder| folder.join(name)).find(|path| {
        let kind = std::fs::metadata(path).map(|metadata| metadata.file_type());
        kind.is_ok_and(|kind| kind.is_file() || kind.is_fifo())
    })
}

/// A file on its way to new content: what it held, and the lock on its folder, until `replace` or drop.
#[derive(Debug)]
pub struct Change {
    /// Where the new content goes.
    path: PathBuf,
    content: Option<SecretBytes>,
    /// What stood at `path` when its content was read.
    before: Option<Metadata>,
    folder: File,
}

/// Opens a file to change it, and waits for other writers (10 s at most). A file that is not there has no content.
pub fn change(path: &Path, links: Links, bytes_max: u64) -> Result<Change, FileError> {
    let path = resolve(path, links)?;
    let folder = lock_folder(&path)?;
    let before = match std::fs::symlink_metadata(&path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("cannot examine", &path, error)),
    };
    let content = match read(&path, bytes_max) {
        Ok(content) => Some(content),
        // A link that leads nowhere is replaced like no file at all.
        Err(FileError::Missing(_)) => None,
        Err(error) => return Err(error),
    };
    Ok(Change { path, content, before, folder })
}

/// What a rewriting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewriting {
    /// What was written is to take the file's place.
    Changed,
    /// Nothing would change: the file stays as it is.
    Same,
}

/// Replaces a file of any size as a whole: `work` reads the old content and writes the new one. Mode and owner stay. If it
/// fails, or another program has changed the file in between, the file is what it was.
pub fn rewrite(
    path: &Path,
    links: Links,
    work: impl FnOnce(&mut File, &mut File) -> io::Result<Rewriting>,
) -> Result<(), FileError> {
    let path = resolve(path, links)?;
    let folder = lock_folder(&path)?;
    let mut old = File::open(&path).map_err(|error| io_error("cannot open", &path, error))?;
    let before =
        std::fs::symlink_metadata(&path).map_err(|error| io_error("cannot examine", &path, error))?;
    if let Some(kind) = kind_of(&before) {
        return Err(FileError::NotAFile { path, kind });
    }
    let change = Change { path, content: None, before: Some(before), folder };
    let mut new = change.new_file()?;
    let worked = work(&mut old, new.as_file_mut());
    match worked.map_err(|error| io_error("cannot rewrite", &change.path, error))? {
        Rewriting::Changed => change.put(new),
        Rewriting::Same => Ok(()),
    }
}

/// What something is that is no file, as people say it.
fn kind_of(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match metadata.is_file() {
        true => None,
        false if kind.is_dir() => Some("folder"),
        false if kind.is_fifo() => Some("pipe"),
        false => Some("device or socket"),
    }
}

impl Change {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file held; `None` if there was none.
    pub fn content(&self) -> Option<&SecretBytes> {
        self.content.as_ref()
    }

    /// Puts new content in the file's place, in one step, and answers when it is on the disk. Mode and owner stay; a new
    /// file is its owner's alone (0600). The same content is not written again.
    pub fn replace(self, content: &[u8]) -> Result<(), FileError> {
        let is_link = self.before.as_ref().is_some_and(Metadata::is_symlink);
        if self.content.as_ref().is_some_and(|before| before.expose() == content) && !is_link {
            return Ok(());
        }
        let mut new = self.new_file()?;
        new.write_all(content).map_err(|error| io_error("cannot write beside", &self.path, error))?;
        self.put(new)
    }

    fn new_file(&self) -> Result<NamedTempFile, FileError> {
        let new = tempfile::Builder::new().prefix(".tmp_").tempfile_in(folder_of(&self.path));
        new.map_err(|error| io_error("cannot write beside", &self.path, error))
    }

    fn put(self, new: NamedTempFile) -> Result<(), FileError> {
        let failed = |error| io_error("cannot write beside", &self.path, error);
        self.dress(new.as_file())?;
        new.as_file().sync_all().map_err(failed)?;
        self.still_as_read()?;
        new.persist(&self.path).map_err(|error| io_error("cannot replace", &self.path, error.error))?;
        self.folder.sync_all().map_err(|error| io_error("cannot sync the folder of", &self.path, error))
    }

    /// Gives the new file the owner and mode of the one it replaces.
    fn dress(&self, new: &File) -> Result<(), FileError> {
        let failed = |error| io_error("cannot set the mode beside", &self.path, error);
        let Some(before) = self.before.as_ref().filter(|before| before.is_file()) else {
            return new.set_permissions(Permissions::from_mode(NEW_FILE_MODE)).map_err(failed);
        };
        let own = new.metadata().map_err(failed)?;
        let (uid, gid) = (before.uid(), before.gid());
        if (own.uid(), own.gid()) != (uid, gid) {
            let kept = fs::fchown(new, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            kept.map_err(|_| FileError::Owner { path: self.path.clone(), uid, gid })?;
        }
        // After the owner: changing that takes bits away.
        new.set_permissions(Permissions::from_mode(before.mode() & 0o7777)).map_err(failed)
    }

    fn still_as_read(&self) -> Result<(), FileError> {
        let now = std::fs::symlink_metadata(&self.path).ok();
        let identity = |metadata: &Metadata| {
            (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
        };
        if now.as_ref().map(identity) != self.before.as_ref().map(identity) {
            return Err(FileError::Changed(self.path.clone()));
        }
        Ok(())
    }
}

/// Where the content is to go: `path`, or for `Links::Follow` what it leads to.
fn resolve(path: &Path, links: Links) -> Result<PathBuf, FileError> {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    match links {
        _ if !is_link => Ok(path.to_owned()),
        Links::Replace => Ok(path.to_owned()),
        Links::Follow => path.canonicalize().map_err(|error| match std::fs::read_link(path) {
            Ok(target) if error.kind() == io::ErrorKind::NotFound => {
                FileError::Dangling { path: path.to_owned(), target }
            }
            _ => io_error("cannot follow", path, error),
        }),
        Links::Refuse => {
            let target = std::fs::read_link(path).map_err(|error| io_error("cannot follow", path, error))?;
            Err(FileError::Link { path: path.to_owned(), target })
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn lock_folder(path: &Path) -> Result<File, FileError> {
    let folder = folder_of(path);
    let open = OpenOptions::new().read(true).custom_flags(directory_flag()).open(folder);
    let open = open.map_err(|error| FileError::Io {
        doing: "cannot open the folder",
        path: folder.to_owned(),
        error,
    })?;
    let mut waited = Duration::ZERO;
    loop {
        match open.try_lock() {
            Ok(()) => return Ok(open),
            Err(TryLockError::WouldBlock) if waited < LOCK_WAIT_MAX => {
                std::thread::sleep(LOCK_PAUSE);
                waited += LOCK_PAUSE;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(FileError::Locked { folder: folder.to_owned(), waited });
            }
            Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok(open),
            Err(TryLockError::Error(error)) => return Err(io_error("cannot lock the folder", folder, error)),
        }
    }
}

#[expect(clippy::cast_possible_wrap, reason = "the flag is a bit, and stays one")]
fn directory_flag() -> i32 {
    fs::OFlags::DIRECTORY.bits() as i32
}

/// Network file systems may refuse to lock a folder; there the check before the replacing has to do.
fn has_no_locks(error: &io::Error) -> bool {
    [Errno::BADF, Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn read_open(
    path: &Path,
    file: &mut File,
    metadata: &Metadata,
    bytes_max: u64,
) -> Result<SecretBytes, FileError> {
    if metadata.is_dir() {
        return Err(FileError::NotAFile { path: path.to_owned(), kind: "folder" });
    }
    let too_large = || FileError::TooLarge { path: path.to_owned(), bytes_max };
    if metadata.is_file() && metadata.len() > bytes_max {
        return Err(too_large());
    }
    // One allocation of the right size: growing would leave copies of secrets behind.
    let expected = if metadata.is_file() { metadata.len() } else { 1 << 16 };
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1));
    let read = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| io_error("cannot read", path, error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large());
    }
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

fn io_error(doing: &'static str, path: &Path, error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing(path.to_owned()),
        _ => FileError::Io { doing, path: path.to_owned(), error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const MAX: u64 = 1000;

    fn write(path: &Path, content: &str, links: Links) -> Result<(), FileError> {
        change(path, links, MAX)?.replace(content.as_bytes())
    }

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn entries(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        write(&path, "a", Links::Refuse).unwrap();
        assert_eq!((mode(&path), std::fs::read_to_string(&path).unwrap().as_str()), (0o600, "a"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let change = change(&path, Links::Refuse, MAX).unwrap();
        assert_eq!(change.content().unwrap().expose(), b"a");
        change.replace(b"b").unwrap();
        assert_eq!((mode(&path), std::fs::read_to_string(&path).unwrap().as_str()), (0o640, "b"));
        assert_eq!(entries(folder.path()), 1, "nothing is left beside it");
    }

    #[test]
    fn links_are_refused_followed_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "a").unwrap();
        symlink("target", &link).unwrap();
        let refused = write(&link, "b", Links::Refuse).unwrap_err().to_string();
        assert!(
            refused.ends_with("link is a link to target: name that file itself, or allow following links")
        );
        write(&link, "b", Links::Follow).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "b");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        write(&link, "c", Links::Replace).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "b");
        assert_eq!((mode(&link), std::fs::read_to_string(&link).unwrap().as_str()), (0o600, "c"));
        let nowhere = folder.path().join("nowhere");
        symlink("missing", &nowhere).unwrap();
        write(&nowhere, "d", Links::Replace).unwrap();
        assert!(!folder.path().join("missing").exists());
        assert!(std::fs::symlink_metadata(&nowhere).unwrap().is_file());
    }

    #[test]
    fn what_another_program_wrote_in_between_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "a").unwrap();
        let change = change(&path, Links::Refuse, MAX).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(matches!(change.replace(b"ours").unwrap_err(), FileError::Changed(_)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
    }

    #[test]
    fn a_file_is_rewritten_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let to_new = |old: &mut File, new: &mut File| {
            let mut text = String::new();
            old.read_to_string(&mut text)?;
            new.write_all(text.replace("old", "new").as_bytes()).map(|()| Rewriting::Changed)
        };
        rewrite(&path, Links::Refuse, to_new).unwrap();
        assert_eq!((mode(&path), std::fs::read_to_string(&path).unwrap().as_str()), (0o640, "new"));
        let inode = std::fs::metadata(&path).unwrap().ino();
        rewrite(&path, Links::Refuse, |_, _| Ok(Rewriting::Same)).unwrap();
        let failed = rewrite(&path, Links::Refuse, |_, new| {
            new.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.unwrap_err().to_string().ends_with("f: no more"));
        let raced = rewrite(&path, Links::Refuse, |_, _| {
            std::fs::write(&path, "theirs")?;
            Ok(Rewriting::Changed)
        });
        assert!(matches!(raced, Err(FileError::Changed(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!((std::fs::metadata(&path).unwrap().ino(), entries(folder.path())), (inode, 1));
        assert!(matches!(
            rewrite(folder.path(), Links::Refuse, to_new).unwrap_err(),
            FileError::NotAFile { kind: "folder", .. }
        ));
    }

    #[test]
    fn writers_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("count");
        let add = || {
            for _ in 0..20 {
                let change = change(&path, Links::Refuse, MAX).unwrap();
                let old = change.content().map(|content| content.expose().to_vec()).unwrap_or_default();
                change.replace(&[old, b"x".to_vec()].concat()).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(add);
            scope.spawn(add);
        });
        assert_eq!(std::fs::read(&path).unwrap().len(), 40);
    }

    #[test]
    fn files_are_found_upward() {
        let folder = tempfile::tempdir().unwrap();
        let leaf = folder.path().join("a/.env/b");
        std::fs::create_dir_all(&leaf).unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, "").unwrap();
        assert_eq!(find_upward(&leaf, Path::new(".env")), Some(path), "a folder of that name is none");
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| read(path, 3).unwrap_err();
        assert!(matches!(kind(folder.path()), FileError::NotAFile { kind: "folder", .. }));
        let path = folder.path().join("f");
        assert!(kind(&path).is_missing());
        std::fs::write(&path, "abcd").unwrap();
        assert!(matches!(kind(&path), FileError::TooLarge { bytes_max: 3, .. }));
        assert_eq!(read(&path, 4).unwrap().expose(), b"abcd");
        assert!(matches!(read(Path::new("/dev/zero"), 4).unwrap_err(), FileError::TooLarge { .. }));
    }
}
