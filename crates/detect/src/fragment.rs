use std::ops::Range;

/// A text to look at: a file, a blob of a history, the added lines of a patch, a piece of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Fragment<'a> {
    /// The text. UTF-8 where it can be; other bytes are taken as they are. Sources turn UTF-16 into UTF-8.
    pub text: &'a [u8],
    /// Where it is from, with `/`; what is inside an archive comes after `!`. Empty for a stream.
    pub path: &'a str,
    /// The commit, in hex, if it is already known: rules may allow findings of a commit.
    pub commit: Option<&'a str>,
    /// The number of the text's first line: 1 for a whole file.
    pub first_line: u64,
    /// Only findings that touch one of these ranges of `text` are wanted (sorted, not overlapping); `None`: all.
    /// A history looks so at what a version brings anew, with the text around it at hand.
    pub changed: Option<&'a [Range<usize>]>,
}

/// The path of a text whose path is not known yet, and of what is inside of it (`\0!inner`). Rules for certain paths look
/// at it, and allowlists of paths say nothing: what is found is to be looked at again when the path is known.
pub const PATH_UNKNOWN: &str = "\0";

impl<'a> Fragment<'a> {
    /// A whole file or blob.
    pub fn whole(text: &'a [u8], path: &'a str) -> Self {
        Self { text, path, commit: None, first_line: 1, changed: None }
    }

    /// Whether it is still to be found out where the text is from.
    pub fn is_path_unknown(&self) -> bool {
        self.path.starts_with(PATH_UNKNOWN)
    }

    /// The path, or nothing while it is not known.
    pub fn path_known(&self) -> &'a str {
        if self.is_path_unknown() { "" } else { self.path }
    }
}
