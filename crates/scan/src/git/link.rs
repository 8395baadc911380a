use strongroom_detect::Place;

/// Where a remote's pages are, if it is a host whose addresses are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress {
    base: String,
    host: Host,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    GitHub,
    GitLab,
    AzureDevOps,
    Gitea,
    Bitbucket,
}

impl WebAddress {
    /// From a remote's URL: `https://…`, `ssh://…`, `git@host:path`. What it holds of passwords is dropped.
    pub fn of_remote(remote: &str) -> Option<Self> {
        let rest = match remote.split_once("://") {
            Some((_, rest)) => rest.to_owned(),
            None => remote.split_once(':').map(|(host, path)| format!("{host}/{path}"))?,
        };
        let (authority, path) = rest.split_once('/')?;
        let host_port = authority.rsplit('@').next()?;
        let host_name = host_port.split(':').next()?.to_ascii_lowercase();
        let host = match host_name.as_str() {
            "github.com" => Host::GitHub,
            "gitlab.com" => Host::GitLab,
            "dev.azure.com" | "ssh.dev.azure.com" => Host::AzureDevOps,
            "codeberg.org" | "gitea.com" => Host::Gitea,
            "bitbucket.org" => Host::Bitbucket,
            name if name.starts_with("gitlab.") => Host::GitLab,
            name if name.starts_with("github.") => Host::GitHub,
            _ => return None,
        };
        let path = path.trim_end_matches('/').trim_end_matches(".git");
        Some(Self { base: format!("https://{host_name}/{path}"), host })
    }

    /// The page of a line of a file, as it was at a commit.
    pub fn line(&self, commit: &str, path: &str, place: &Place) -> String {
        let Self { base, host } = self;
        // A page shows the archive, not what is in it.
        let file = escape(path.split('!').next().unwrap_or_default());
        let (start, end) = (place.start_line, place.end_line);
        let several = end > start && !path.contains('!');
        match (host, several) {
            (Host::GitHub, false) => format!("{base}/blob/{commit}/{file}#L{start}"),
            (Host::GitHub, true) => format!("{base}/blob/{commit}/{file}#L{start}-L{end}"),
            (Host::GitLab, false) => format!("{base}/blob/{commit}/{file}#L{start}"),
            (Host::GitLab, true) => format!("{base}/blob/{commit}/{file}#L{start}-{end}"),
            (Host::AzureDevOps, _) => format!(
                "{base}/commit/{commit}?path=/{file}&line={start}&lineEnd={}&lineStartColumn={}&lineEndColumn={}\
                 &type=2&lineStyle=plain&_a=files",
                if several { end } else { start },
                place.start_column,
                place.end_column
            ),
            (Host::Gitea, false) => format!("{base}/src/commit/{commit}/{file}#L{start}"),
            (Host::Gitea, true) => format!("{base}/src/commit/{commit}/{file}#L{start}-L{end}"),
            (Host::Bitbucket, false) => format!("{base}/src/{commit}/{file}#lines-{start}"),
            (Host::Bitbucket, true) => format!("{base}/src/{commit}/{file}#lines-{start}:{end}"),
        }
    }
}

fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_lines() {
        let check = |remote: &str| {
            let place = Place { start_line: 3, start_column: 1, end_line: 4, end_column: 2 };
            WebAddress::of_remote(remote).map(|web| web.line("c0ffee", "a b/c.txt", &place))
        };
        let github = Some("https://github.com/o/r/blob/c0ffee/a%20b/c.txt#L3-L4".to_owned());
        assert_eq!(check("git@github.com:o/r.git"), github);
        assert_eq!(check("https://user:password@github.com/o/r"), github);
        assert_eq!(check("ssh://git@github.com:22/o/r.git"), github);
        let gitlab = "https://gitlab.example.org/g/s/r/blob/c0ffee/a%20b/c.txt#L3-4";
        assert_eq!(check("https://gitlab.example.org/g/s/r.git").as_deref(), Some(gitlab));
        assert_eq!(check("/srv/git/r.git"), None);
        assert_eq!(check("https://example.org/r.git"), None);
    }
}
