//! What we write for other tools, read by those tools. `cargo xtask test readers` installs them and runs these.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What goes wrong where quoting is careless.
const VALUES: [(&str, &str); 10] = [
    ("PLAIN", "postgres://app:p%40ss@db/shop?x=1&y=2"),
    ("QUOTES", "it's \"so\""),
    ("DOLLARS", "$HOME ${HOME} $(id) `id` !x"),
    ("BACKSLASHES", "a\\b \\n \\\\ end\\"),
    ("COMMENT", "a #b # c"),
    ("SPACES", "  two before, one after "),
    ("BRACES", "%{if} {{x}} %d ${x}"),
    ("LETTERS", "grün é 密 \u{1f511}"),
    ("TRUTH", "true"),
    ("NUMBER", "007"),
];
const LINES: (&str, &str) = ("CERTIFICATE", "-----BEGIN-----\na'b\"c\n\n$x\n-----END-----\n");

struct Project(TempDir);

impl Project {
    fn new(values: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        let declared: String = values.iter().map(|(name, _)| format!("{name} = {{}}\n")).collect();
        let manifest = format!(
            "version = 1\nproject = \"shop\"\n[env]\ndefault = {{ order = [\"file\"] }}\n[provider]\n\
             file = {{ type = \"json\", path = \"values.json\" }}\n[secret]\n{declared}"
        );
        let json: serde_json::Map<String, serde_json::Value> =
            values.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        fs::write(project.path().join("strongroom.toml"), manifest).unwrap();
        fs::write(project.path().join("values.json"), serde_json::Value::from(json).to_string()).unwrap();
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn strongroom(&self, words: &[&str]) -> Vec<u8> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(words).current_dir(self.path()).env_clear().env("HOME", self.path());
        let output = command.env("PATH", "/usr/bin:/bin").output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

fn installed(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    let is_there = found.unwrap().success();
    if !is_there {
        println!("skipped: {program} is not installed");
    }
    is_there
}

fn with_lines() -> Vec<(&'static str, &'static str)> {
    VALUES.into_iter().chain([LINES]).collect()
}

/// What a program prints for each value, with a NUL after it, after it has read our text from a file.
fn check_shell(shell: &str, export: &str, extension: &str, script: &str) {
    if !installed(shell) {
        return;
    }
    let values = with_lines();
    let project = Project::new(&values);
    let file = project.path().join(format!("values.{extension}"));
    fs::write(&file, project.strongroom(&["export", export])).unwrap();
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let names = names.join(" ");
    let script = script.replace("FILE", &file.display().to_string()).replace("NAMES", &names);
    let mut command = Command::new(shell);
    let output = command.args(["-c", &script]).current_dir(project.path()).output().unwrap();
    let expected: String = values.iter().map(|(_, value)| format!("{value}\0")).collect();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "needs other programs: cargo xtask test readers"]
fn shells_read_what_is_exported_for_them() {
    let posix = ". FILE; for n in NAMES; do eval \"printf '%s\\\\0' \\\"\\$$n\\\"\"; done";
    check_shell("dash", "shell", "sh", posix);
    check_shell("bash", "shell", "sh", posix);
    check_shell("zsh", "shell", "sh", ". FILE; for n in NAMES; do printf '%s\\0' \"${(P)n}\"; done");
    check_shell("fish", "fish", "fish", "source FILE; for n in NAMES; printf '%s\\0' $$n; end");
    let pwsh = ". FILE; foreach ($n in 'NAMES'.Split(' ')) { [Console]::Out.Write((Get-Item env:$n).Value + [char]0) }";
    check_shell("pwsh", "powershell", "ps1", pwsh);
}

/// A reader in Python, which prints the names and values as JSON.
fn check_python(export: &str, extension: &str, values: &[(&str, &str)], script: &str) {
    #[expect(clippy::disallowed_methods, reason = "cargo xtask says where its Python environment is")]
    let python = std::env::var("STRONGROOM_TEST_PYTHON")
        .expect("cargo xtask test readers sets STRONGROOM_TEST_PYTHON");
    let project = Project::new(values);
    let file = project.path().join(format!("values.{extension}"));
    fs::write(&file, project.strongroom(&["export", export])).unwrap();
    let script = format!("import json, sys, base64\npath = sys.argv[1]\n{script}\nprint(json.dumps(read))");
    let output = Command::new(python).args(["-c", &script]).arg(&file).output().unwrap();
    let read: BTreeMap<String, String> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{export}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    let expected: BTreeMap<String, String> =
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(read, expected, "{export}");
}

#[test]
#[ignore = "needs other programs: cargo xtask test readers"]
fn readers_of_files_read_what_is_exported_for_them() {
    let all = with_lines();
    check_python("json", "json", &all, "read = json.load(open(path))");
    check_python("heroku", "json", &all, "read = json.load(open(path))");
    check_python("gitlab", "json", &all, "read = {v['key']: v['value'] for v in json.load(open(path))}");
    check_python("yaml", "yaml", &all, "import yaml\nread = yaml.safe_load(open(path))");
    check_python("toml", "toml", &all, "import tomllib\nread = tomllib.load(open(path, 'rb'))");
    // What some reader of .env files would take otherwise (lines with quotes and dollars) is refused.
    let one_quote: Vec<_> =
        VALUES.into_iter().chain([("PEM", "-----BEGIN-----\nabc+/=\n-----END-----\n")]).collect();
    check_python("dotenv", "env", &one_quote, "import dotenv\nread = dotenv.dotenv_values(path)");
    let kubernetes = "import yaml\nsecret = yaml.safe_load(open(path))\nassert secret['kind'] == 'Secret'\n\
        read = {name: base64.b64decode(value).decode() for name, value in secret['data'].items()}";
    check_python("kubernetes", "yaml", &all, kubernetes);
    // Docker's own rules: a line is NAME=value, as it is; a line that begins with # is a comment.
    let docker = "lines = [line for line in open(path).read().split('\\n') if line and not line.startswith('#')]\n\
        read = dict(line.split('=', 1) for line in lines)";
    check_python("docker", "list", &VALUES, docker);
    let project = Project::new(&all);
    let text = String::from_utf8(project.strongroom(&["export", "terraform"])).unwrap();
    let read: BTreeMap<String, String> = hcl::eval::from_str(&text, &hcl::eval::Context::new()).unwrap();
    let expected: BTreeMap<String, String> =
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(read, expected, "terraform");
}

/// Goes into a project and out again, in a shell that evaluates what the hook prints at each prompt.
fn check_hook(shell: &str, script: &str) {
    if !installed(shell) {
        return;
    }
    let project = Project::new(&VALUES);
    let elsewhere = tempfile::tempdir().unwrap();
    let trust = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .arg("trust")
        .current_dir(project.path())
        .env_clear()
        .env("HOME", project.path())
        .status();
    assert!(trust.unwrap().success());
    let program = Path::new(env!("CARGO_BIN_EXE_strongroom"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let script = script.replace("PROJECT", &project.path().display().to_string());
    let mut command = Command::new(shell);
    command.args(["-c", &script]).current_dir(elsewhere.path()).env_clear().env("PATH", path);
    let output = command.env("HOME", project.path()).env("BRACES", "mine").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Fish tells the terminal at each prompt how it wants to be pasted to.
    let shown =
        String::from_utf8_lossy(&output.stdout).replace("\u{1b}[?2004h", "").replace("\u{1b}[?2004l", "");
    let quotes = VALUES[1].1;
    assert_eq!(shown, format!("[]\n[{quotes}|mine]\n[{quotes}|mine]\n[|mine]\n"), "{shell}: {said}");
    assert!(!said.contains("postgres://"), "{said}");
}

#[test]
#[ignore = "needs other programs: cargo xtask test readers"]
fn hooks_in_every_shell() {
    // Each shell's own event of a prompt, by the hook's own code.
    let bash = "eval \"$(strongroom hook bash)\"; p() { eval \"$PROMPT_COMMAND\"; }; p; echo \"[$QUOTES]\"; cd PROJECT; p; \
        echo \"[$QUOTES|$BRACES]\"; p; echo \"[$QUOTES|$BRACES]\"; cd /; p; echo \"[$QUOTES|$BRACES]\"";
    check_hook("bash", bash);
    let zsh = "eval \"$(strongroom hook zsh)\"; p() { for f in $precmd_functions; do $f; done; }; p; echo \"[$QUOTES]\"; \
        cd PROJECT; p; print -r -- \"[$QUOTES|$BRACES]\"; p; print -r -- \"[$QUOTES|$BRACES]\"; cd /; p; print -r -- \"[$QUOTES|$BRACES]\"";
    check_hook("zsh", zsh);
    let fish = "strongroom hook fish | source; emit fish_prompt; echo \"[$QUOTES]\"; cd PROJECT; emit fish_prompt; \
        echo \"[$QUOTES|$BRACES]\"; emit fish_prompt; echo \"[$QUOTES|$BRACES]\"; cd /; emit fish_prompt; echo \"[$QUOTES|$BRACES]\"";
    check_hook("fish", fish);
}
