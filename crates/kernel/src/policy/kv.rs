//! The paths of KV version 2, which is where most policies go wrong.
//! <https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2/upgrade#acl-rules>

use strongroom_secret::MountPath;

/// The folder below a KV v2 mount that a request goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KvPlace {
    Data,
    Metadata,
    Delete,
    Undelete,
    Destroy,
    Subkeys,
}

/// A request's path, taken for one of KV v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KvPath<'a> {
    /// With its trailing slash.
    pub(super) mount: &'a str,
    /// None where the folder is missing.
    pub(super) place: Option<KvPlace>,
    /// The secret's name.
    pub(super) name: &'a str,
}

impl KvPlace {
    const ALL: [Self; 6] =
        [Self::Data, Self::Metadata, Self::Delete, Self::Undelete, Self::Destroy, Self::Subkeys];

    /// With its trailing slash.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Data => "data/",
            Self::Metadata => "metadata/",
            Self::Delete => "delete/",
            Self::Undelete => "undelete/",
            Self::Destroy => "destroy/",
            Self::Subkeys => "subkeys/",
        }
    }

    pub(super) const fn purpose(self) -> &'static str {
        match self {
            Self::Data => "values are read, written and deleted",
            Self::Metadata => "listing, metadata and deleting all versions go",
            Self::Delete => "deleting chosen versions goes (with \"update\")",
            Self::Undelete => "undeleting versions goes (with \"update\")",
            Self::Destroy => "destroying versions goes (with \"update\")",
            Self::Subkeys => "reading a secret's structure goes",
        }
    }

    fn take(path: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|place| {
            let bare = place.folder().trim_end_matches('/');
            path.strip_prefix(place.folder()).or((path == bare).then_some("")).map(|name| (place, name))
        })
    }
}

impl<'a> KvPath<'a> {
    /// None if the path is not below the mount, or is its configuration.
    pub(super) fn split(path: &'a str, mount: &'a MountPath) -> Option<Self> {
        let rest = path.strip_prefix(mount.as_str())?;
        if rest == "config" {
            return None;
        }
        Some(match KvPlace::take(rest) {
            Some((place, name)) => Self { mount: mount.as_str(), place: Some(place), name },
            None => Self { mount: mount.as_str(), place: None, name: rest },
        })
    }

    /// Takes the first segment named like a folder of KV v2 for one.
    pub(super) fn guess(path: &'a str) -> Option<Self> {
        let reserved = ["sys/", "auth/", "identity/", "cubbyhole/"];
        if reserved.iter().any(|mount| path.starts_with(mount)) {
            return None;
        }
        path.match_indices('/').find_map(|(end, _)| {
            let (mount, rest) = path.split_at_checked(end + 1)?;
            let (place, name) = KvPlace::take(rest)?;
            Some(Self { mount, place: Some(place), name })
        })
    }

    /// What a policy's author may have written instead: the other folders, and no folder.
    pub(super) fn other_paths(&self) -> Vec<String> {
        let others = KvPlace::ALL.into_iter().filter(|place| Some(*place) != self.place);
        let folders = others.map(KvPlace::folder).chain(self.place.map(|_| ""));
        folders.map(|folder| format!("{}{folder}{}", self.mount, self.name)).collect()
    }
}
