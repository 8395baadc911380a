//! A repository with all that is odd: merges, an octopus, tags of tags, notes, the stash, a submodule, a replacement, a pointer of
//! git-lfs, empty commits, bytes that are no UTF-8, a signature.

use crate::tools;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const REPLACEMENTS: &str = "fake-value-7Hq2xLw9\nliteral:fake-second-value==>second\nregex:key=(\\w{8,})==>key=[\\1]\nglob:tok-*-end-of-token==>T\n";

const SCRIPT: &str = r#"
set -eu
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME='A U Thor' GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.com
time=1700000000
commit() { time=$((time + 100)); GIT_AUTHOR_DATE="$time +0130" GIT_COMMITTER_DATE="$time -0800" git commit -q --allow-empty "$@"; }
git init -q -b main .
mkdir -p src/deep/er
printf 'nothing\n' > src/deep/er/kept; git add -A; commit -m first
printf 'a\npassword fake-value-7Hq2xLw9\nb\n' > src/deep/er/app.env; git add -A; commit -m 'second: fake-value-7Hq2xLw9'
second=$(git rev-parse HEAD)
printf 'key=abcdefgh1 tok-1-end-of-token\r\n' > src/windows; printf '\0fake-value-7Hq2xLw9\0' > binary; git add -A; commit -m "third, see $second"
commit -m 'empty'
for branch in one two three; do git checkout -q -b $branch main; echo $branch > $branch; git add -A; commit -m "$branch of $(git rev-parse --short=9 main)"; done
git checkout -q main; echo m > m; git add -A; commit -m 'on main'
GIT_AUTHOR_DATE="1700005000 +0000" GIT_COMMITTER_DATE="1700005000 +0000" git merge -q -m octopus one two three
git rm -q src/deep/er/app.env; commit -m 'gone again'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n' > large.bin
ln -s fake-second-value link
printf 'caf\351 fake-second-value\n' > "$(printf 'caf\351')"; git add -A; printf 'caf\351 fake-value-7Hq2xLw9\n' > .git/message
git config i18n.commitEncoding ISO-8859-1; commit -F .git/message; git config --unset i18n.commitEncoding
git update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,module; commit -m submodule
git checkout -q -- . 2>/dev/null || true
git tag light $second; git tag -a -m 'tag of fake-second-value' annotated $second; git tag -a -m outer outer annotated
git tag -a -m 'a tree' tree 'HEAD^{tree}'
{ git cat-file commit HEAD | sed '/^committer /a\
gpgsig -----BEGIN PGP SIGNATURE-----\
 \
 fake signature\
 -----END PGP SIGNATURE-----'; } > .git/signed
signed=$(git hash-object -t commit -w .git/signed); git update-ref refs/heads/signed $signed
git notes add -m 'a note: fake-value-7Hq2xLw9' $second
other=$(git commit-tree "$second^{tree}" -p "$second^" -m replacement); git replace $second $other
git update-ref refs/pull/7/head $second
rm .git/signed .git/message
"#;

pub(super) fn make(folder: &Path) -> Result<PathBuf> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder)?;
    tools::succeed(Command::new("sh").current_dir(folder).args(["-c", SCRIPT]))?;
    Ok(folder.to_owned())
}
