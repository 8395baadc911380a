/// Which paths are wanted: globs, or names of files and folders.
#[derive(Debug, Clone, Default)]
pub struct PathFilter {
    patterns: Vec<String>,
}

impl PathFilter {
    pub fn new(patterns: &[String]) -> Self {
        let tidy = |pattern: &String| pattern.trim_start_matches("./").trim_end_matches('/').to_owned();
        Self { patterns: patterns.iter().map(tidy).collect() }
    }

    /// Everything is admitted if there are no patterns. A pattern that names a folder admits all in it; one without `/`
    /// admits files of that name in any folder, as in `.gitignore`.
    pub fn admits(&self, path: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| is_admitted(pattern, path))
    }
}

fn is_admitted(pattern: &str, path: &str) -> bool {
    if pattern.is_empty() || pattern == "." {
        return true;
    }
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut folders = ends.filter_map(|end| path.get(..end));
    if pattern.contains('/') {
        folders.any(|folder| matches(pattern.as_bytes(), folder.as_bytes()))
    } else {
        path.split('/').any(|part| matches(pattern.as_bytes(), part.as_bytes()))
    }
}

/// `*` is anything without `/`, `**` anything, `?` one byte that is not `/`. Takes time in proportion to both lengths
/// multiplied.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // reachable[i]: the pattern so far matches text[..i].
    let mut reachable = vec![false; text.len() + 1];
    if let Some(first) = reachable.first_mut() {
        *first = true;
    }
    let mut rest = pattern;
    while let Some((&byte, after)) = rest.split_first() {
        let mut next = vec![false; text.len() + 1];
        let double = byte == b'*' && after.first() == Some(&b'*');
        if byte == b'*' {
            rest = if double { after.get(1..).unwrap_or_default() } else { after };
            // `**/` also stands for no folder at all.
            if double && let Some((b'/', later)) = rest.split_first() {
                let here = reachable.clone();
                rest = later;
                spread(&here, text, &mut next, |_| true);
                let slashed = next.clone();
                for (at, slot) in next.iter_mut().enumerate() {
                    let before = at.checked_sub(1);
                    let after_slash = before.is_some_and(|before| {
                        text.get(before) == Some(&b'/') && slashed.get(at) == Some(&true)
                    });
                    *slot = here.get(at) == Some(&true) || after_slash;
                }
            } else {
                spread(&reachable, text, &mut next, |byte| double || byte != b'/');
            }
        } else {
            rest = after;
            for (at, other) in text.iter().enumerate() {
                let fits = byte == *other || byte == b'?' && *other != b'/';
                if fits
                    && reachable.get(at) == Some(&true)
                    && let Some(slot) = next.get_mut(at + 1)
                {
                    *slot = true;
                }
            }
        }
        reachable = next;
    }
    reachable.last() == Some(&true)
}

fn spread(from: &[bool], text: &[u8], to: &mut [bool], admits: impl Fn(u8) -> bool) {
    let mut alive = false;
    for (at, slot) in to.iter_mut().enumerate() {
        let goes_on = at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|byte| admits(*byte));
        alive = alive && goes_on || from.get(at) == Some(&true);
        *slot = alive;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_and_folders() {
        let check = |pattern: &str, path: &str| PathFilter::new(&[pattern.to_owned()]).admits(path);
        assert!(check("src", "src/main.rs"));
        assert!(check("src/", "src/a/b.rs"));
        assert!(check("src/*.rs", "src/main.rs"));
        assert!(!check("src/*.rs", "src/a/main.rs"));
        assert!(check("src/**/*.rs", "src/a/b/main.rs"));
        assert!(check("src/**/*.rs", "src/main.rs"));
        assert!(check("**/main.rs", "main.rs"));
        assert!(check("*.rs", "src/a/main.rs"));
        assert!(check("main.??", "src/main.rs"));
        assert!(!check("*.py", "src/main.rs"));
        assert!(!check("rc", "src/main.rs"));
        assert!(check("./docs/**", "docs/a/b"));
        assert!(PathFilter::default().admits("anything"));
    }
}
