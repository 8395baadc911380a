use crate::limits::{
    NAMESPACE_DEPTH_MAX, PATH_SEGMENT_BYTES_MAX, PATH_SEGMENTS_MAX, POLICY_NAME_BYTES_MAX,
    REQUEST_PATH_BYTES_MAX,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Why a text is not a name. The offending text is not repeated: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("path is empty")]
    Empty,
    #[error("path is too long: the limit is {max} bytes")]
    TooLong { max: usize },
    #[error("path has too many segments: the limit is {max}")]
    TooDeep { max: usize },
    #[error("path segment {position} is empty: remove the doubled slash")]
    EmptySegment { position: usize },
    #[error("path segment {position} is too long: the limit is {max} bytes")]
    SegmentTooLong { position: usize, max: usize },
    #[error("path cannot contain parent references: segment {position} is \".\" or \"..\"")]
    ParentReference { position: usize },
    #[error("path segment {position} contains a control character")]
    ControlCharacter { position: usize },
    #[error("name contains a character that is not allowed: {0:?}")]
    Character(char),
    #[error("namespace name {0:?} is reserved")]
    ReservedNamespace(&'static str),
}

/// The path of a request below the door's prefix: non-empty segments joined by single slashes, and a trailing
/// slash only where the caller wrote one (it means a folder). The empty path is not a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestPath(Box<str>);

/// Where a secrets engine or an auth method is mounted in its namespace: segments, each followed by a slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MountPath(Box<str>);

/// A namespace: empty for the root, otherwise segments, each followed by a slash (`team/app/`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespacePath(Box<str>);

/// A policy's name: lower case, never empty. `root` is a name like any other here; what must not store it says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyName(Box<str>);

/// The one place where a path is taken apart and judged.
fn check_segments(path: &str, segments_max: usize) -> Result<(), NameError> {
    if path.len() > REQUEST_PATH_BYTES_MAX {
        return Err(NameError::TooLong { max: REQUEST_PATH_BYTES_MAX });
    }
    for (index, segment) in path.split('/').enumerate() {
        let position = index + 1;
        if position > segments_max {
            return Err(NameError::TooDeep { max: segments_max });
        }
        if segment.is_empty() {
            return Err(NameError::EmptySegment { position });
        }
        if segment.len() > PATH_SEGMENT_BYTES_MAX {
            return Err(NameError::SegmentTooLong { position, max: PATH_SEGMENT_BYTES_MAX });
        }
        if segment == "." || segment == ".." {
            return Err(NameError::ParentReference { position });
        }
        if segment.chars().any(char::is_control) {
            return Err(NameError::ControlCharacter { position });
        }
    }
    Ok(())
}

impl RequestPath {
    /// Takes a path that is already percent-decoded, once. A leading slash is refused as an empty segment.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        let body = path.strip_suffix('/').unwrap_or(path);
        if body.is_empty() {
            return Err(NameError::Empty);
        }
        check_segments(body, PATH_SEGMENTS_MAX)?;
        Ok(Self(path.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }

    /// The same path as a folder, with its trailing slash.
    #[must_use]
    pub fn to_folder(&self) -> Self {
        if self.is_folder() { self.clone() } else { Self(format!("{}/", self.0).into()) }
    }

    /// What is left of the path below a mount; empty at the mount itself. None if it is not below.
    pub fn below<'a>(&'a self, mount: &MountPath) -> Option<&'a str> {
        match self.0.strip_prefix(mount.as_str()) {
            Some(rest) => Some(rest),
            None if mount.as_str().strip_suffix('/') == Some(&self.0) => Some(""),
            None => None,
        }
    }
}

impl MountPath {
    /// Takes a path with or without slashes at its ends.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        let body = path.strip_suffix('/').unwrap_or(path);
        let body = body.strip_prefix('/').unwrap_or(body);
        if body.is_empty() {
            return Err(NameError::Empty);
        }
        check_segments(body, PATH_SEGMENTS_MAX)?;
        if let Some(character) = body.chars().find(|c| matches!(c, '*' | '+')) {
            return Err(NameError::Character(character));
        }
        Ok(Self(format!("{body}/").into()))
    }

    /// The path with its trailing slash, as `secret/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const RESERVED_NAMESPACES: [&str; 6] = ["root", "sys", "audit", "auth", "cubbyhole", "identity"];

impl NamespacePath {
    pub const fn is_root_text(text: &str) -> bool {
        text.is_empty()
    }

    pub fn root() -> Self {
        Self::default()
    }

    /// Takes a path with or without slashes at its ends; empty, `/` and `root` are the root.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        let body = path.strip_suffix('/').unwrap_or(path);
        let body = body.strip_prefix('/').unwrap_or(body);
        if body.is_empty() || body == "root" {
            return Ok(Self::root());
        }
        check_segments(body, NAMESPACE_DEPTH_MAX)?;
        for segment in body.split('/') {
            if let Some(name) = RESERVED_NAMESPACES.into_iter().find(|name| *name == segment) {
                return Err(NameError::ReservedNamespace(name));
            }
            if let Some(character) = segment.chars().find(|c| matches!(c, '*' | '+' | ' ')) {
                return Err(NameError::Character(character));
            }
        }
        Ok(Self(format!("{body}/").into()))
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path with its trailing slash, as `team/app/`; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace that holds this one; None for the root.
    pub fn parent(&self) -> Option<Self> {
        let body = self.0.strip_suffix('/')?;
        Some(Self(body.rfind('/').map_or("", |end| &body[..=end]).into()))
    }

    /// A namespace below this one, from a relative path.
    pub fn join(&self, relative: &Self) -> Result<Self, NameError> {
        Self::parse(&format!("{}{}", self.0, relative.0))
    }

    /// Whether `self` is `ancestor` or lies below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.0.starts_with(ancestor.as_str())
    }
}

impl PolicyName {
    /// Lower-cases and checks. Slashes are allowed, as in Vault; white space at the ends is dropped.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let name = name.trim().to_lowercase();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > POLICY_NAME_BYTES_MAX {
            return Err(NameError::TooLong { max: POLICY_NAME_BYTES_MAX });
        }
        if let Some(character) = name.chars().find(|c| c.is_control() || *c == ',') {
            return Err(NameError::Character(character));
        }
        Ok(Self(name.into()))
    }

    pub fn root() -> Self {
        Self("root".into())
    }

    pub fn default_policy() -> Self {
        Self("default".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the name of the built-in policy that may do anything; it is never stored.
    pub fn is_root(&self) -> bool {
        &*self.0 == "root"
    }
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_conversions!(RequestPath, MountPath, NamespacePath, PolicyName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_paths_are_normal_or_refused() {
        assert_eq!(RequestPath::parse("secret/data/a b/ü").unwrap().as_str(), "secret/data/a b/ü");
        assert!(RequestPath::parse("secret/").unwrap().is_folder());
        for (text, error) in [
            ("", NameError::Empty),
            ("/", NameError::Empty),
            ("/a", NameError::EmptySegment { position: 1 }),
            ("a//b", NameError::EmptySegment { position: 2 }),
            ("a//", NameError::EmptySegment { position: 2 }),
            ("a/../b", NameError::ParentReference { position: 2 }),
            ("a/b\0", NameError::ControlCharacter { position: 2 }),
        ] {
            assert_eq!(RequestPath::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn mounts_match_whole_segments() {
        let mount = MountPath::parse("kv").unwrap();
        assert_eq!(RequestPath::parse("kv/data/a").unwrap().below(&mount), Some("data/a"));
        assert_eq!(RequestPath::parse("kv").unwrap().below(&mount), Some(""));
        assert_eq!(RequestPath::parse("kv2/data").unwrap().below(&mount), None);
    }

    #[test]
    fn namespaces_nest() {
        let app = NamespacePath::parse("/team/app").unwrap();
        assert_eq!(app.as_str(), "team/app/");
        assert_eq!(app.parent().unwrap().as_str(), "team/");
        assert!(app.is_within(&NamespacePath::parse("team").unwrap()));
        assert!(!app.is_within(&NamespacePath::parse("tea").unwrap()));
        assert_eq!(NamespacePath::parse("a/sys"), Err(NameError::ReservedNamespace("sys")));
    }

    #[test]
    fn policy_names_are_lower_case() {
        assert!(PolicyName::parse(" ROOT ").unwrap().is_root());
        assert!(PolicyName::parse("").is_err());
        assert!(PolicyName::parse("a\nb").is_err());
    }
}
