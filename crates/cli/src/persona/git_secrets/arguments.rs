//! git-secrets' command line, as `git rev-parse --parseopt` reads it.

use super::Ended;
use std::ffi::OsString;

pub(super) const USAGE: &str = "\
usage: git secrets --scan [-r|--recursive] [--cached] [--no-index] [--untracked] [<files>...]
   or: git secrets --scan-history
   or: git secrets --install [-f|--force] [<target-directory>]
   or: git secrets --list [--global]
   or: git secrets --add [-a|--allowed] [-l|--literal] [--global] <pattern>
   or: git secrets --add-provider [--global] <command> [arguments...]
   or: git secrets --register-aws [--global]
   or: git secrets --aws-provider [<credentials-file>]

    --scan                look for prohibited patterns in files
    --scan-history        look for prohibited patterns in the whole history
    --install             write hooks into a repository, or into a template folder
    --list                show the patterns
    --add                 add a prohibited or an allowed pattern, unless it is there
    --add-provider        add a command that prints patterns, one a line
    --aws-provider        print the credentials of an ini file as patterns
    --register-aws        add the patterns of AWS, and those of ~/.aws/credentials
    -r, --recursive       --scan goes into folders
    --cached              --scan looks at the index
    --no-index            --scan looks at files that git does not manage
    --untracked           --scan looks at files that are not tracked, too
    -f, --force           --install replaces hooks that are there
    -l, --literal         --add takes the pattern as a text
    -a, --allowed         --add adds an allowed pattern
    --global              the user's configuration, not the repository's
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Help,
    Scan,
    ScanHistory,
    Install,
    List,
    Add,
    AddProvider,
    RegisterAws,
    AwsProvider,
    CommitMessageHook,
    PreCommitHook,
    PrepareCommitMessageHook,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) verb: Verb,
    pub(super) words: Vec<OsString>,
    pub(super) recursive: bool,
    pub(super) cached: bool,
    pub(super) no_index: bool,
    pub(super) untracked: bool,
    pub(super) force: bool,
    pub(super) literal: bool,
    pub(super) allowed: bool,
    pub(super) global: bool,
}

const VERBS: [(&str, Verb); 11] = [
    ("--scan", Verb::Scan),
    ("--scan-history", Verb::ScanHistory),
    ("--install", Verb::Install),
    ("--list", Verb::List),
    ("--add", Verb::Add),
    ("--add-provider", Verb::AddProvider),
    ("--register-aws", Verb::RegisterAws),
    ("--aws-provider", Verb::AwsProvider),
    ("--commit_msg_hook", Verb::CommitMessageHook),
    ("--pre_commit_hook", Verb::PreCommitHook),
    ("--prepare_commit_msg_hook", Verb::PrepareCommitMessageHook),
];

pub(super) fn parse(words: &[OsString]) -> Result<Line, Ended> {
    let mut line = Line {
        verb: Verb::Help,
        words: Vec::new(),
        recursive: false,
        cached: false,
        no_index: false,
        untracked: false,
        force: false,
        literal: false,
        allowed: false,
        global: false,
    };
    let mut verb = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            line.words.extend(words.by_ref().cloned());
        } else if let Some((_, found)) = VERBS.iter().find(|(name, _)| *name == text) {
            verb.get_or_insert(*found);
        } else if text.len() > 1 && text.starts_with('-') {
            flag(&mut line, &text)?;
        } else {
            line.words.push(word.clone());
            // A provider's own flags are not ours.
            if verb == Some(Verb::AddProvider) {
                line.words.extend(words.by_ref().cloned());
            }
        }
    }
    line.verb = verb.unwrap_or(Verb::Help);
    check(&line)?;
    Ok(line)
}

fn flag(line: &mut Line, text: &str) -> Result<(), Ended> {
    match text {
        "-h" | "--help" => return Err(Ended(0, USAGE.to_owned())),
        "-r" | "--recursive" => line.recursive = true,
        "--cached" => line.cached = true,
        "--no-index" => line.no_index = true,
        "--untracked" => line.untracked = true,
        "-f" | "--force" => line.force = true,
        "-l" | "--literal" => line.literal = true,
        "-a" | "--allowed" => line.allowed = true,
        "--global" => line.global = true,
        unknown => {
            let name = unknown.trim_start_matches('-');
            let kind = if unknown.starts_with("--") { "option" } else { "switch" };
            return Err(Ended(129, format!("error: unknown {kind} `{name}'\n{USAGE}")));
        }
    }
    Ok(())
}

fn check(line: &Line) -> Result<(), Ended> {
    let of = |given: bool, name: &str, verb: Verb, command: &str| match given && line.verb != verb {
        true => Err(Ended::fatal(format_args!("{name} can only be supplied with the {command} subcommand"))),
        false => Ok(()),
    };
    of(line.force, "-f|--force", Verb::Install, "--install")?;
    of(line.recursive, "-r|--recursive", Verb::Scan, "--scan")?;
    of(line.allowed, "-a|--allowed", Verb::Add, "--add")?;
    of(line.literal, "-l|--literal", Verb::Add, "--add")?;
    of(line.cached, "--cached", Verb::Scan, "--scan")?;
    of(line.no_index, "--no-index", Verb::Scan, "--scan")?;
    of(line.untracked, "--untracked", Verb::Scan, "--scan")?;
    if line.recursive && (line.cached || line.no_index || line.untracked) {
        return Err(Ended::fatal(
            "-r|--recursive cannot be supplied with --cached, --no-index, or --untracked",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Line, String> {
        let words: Vec<_> = text.split(' ').map(OsString::from).collect();
        parse(&words).map_err(|ended| ended.1)
    }

    #[test]
    fn lines_of_the_readme() {
        assert_eq!(parsed("--scan -r dir").unwrap().words, ["dir"]);
        assert_eq!(parsed("--scan --cached").unwrap().verb, Verb::Scan);
        let add = parsed("--add --allowed --literal ex@mple").unwrap();
        assert!(add.allowed && add.literal && add.words == ["ex@mple"]);
        assert_eq!(parsed("--add-provider -- cat /x --y").unwrap().words, ["cat", "/x", "--y"]);
        assert_eq!(parsed("--pre_commit_hook -- a").unwrap().verb, Verb::PreCommitHook);
        assert_eq!(
            parsed("--scan -f").unwrap_err(),
            "-f|--force can only be supplied with the --install subcommand\n"
        );
        assert!(parsed("--scan -r --cached").unwrap_err().contains("cannot be supplied"));
    }
}
