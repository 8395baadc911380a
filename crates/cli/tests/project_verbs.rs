//! `edit`, `doctor`, `import`, `template` and `init` on the real binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const MANIFEST: &str = r#"version = 1
project = "shop"
[env]
default = { order = ["process", "dotenv"] }
prod = { order = ["dotenv"], protected = true }
[secret]
API_KEY = { type = "token", min = 8 }
PORT = { type = "port", sensitive = false, default = 8080 }
NAME = { optional = true }
URL = { type = "url", compose = "https://${API_KEY|url}@api/" }
"#;

struct Project(TempDir);

impl Project {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn new() -> Self {
        let project = Self::empty();
        project.write("strongroom.toml", MANIFEST);
        project.write(".env", "# ours\nAPI_KEY=not-a-real-key\nPORT=81 # local\n");
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(words).current_dir(self.path()).env_clear().env("HOME", self.path());
        command.env("PATH", "/usr/bin:/bin").env("TMPDIR", self.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn stdout(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// `edit` with an editor that is this script; `$1` is the file.
    fn edit(&self, words: &[&str], script: &str) -> Output {
        self.write("editor", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.path().join("editor"), fs::Permissions::from_mode(0o700)).unwrap();
        let editor = self.path().join("editor");
        self.command(words).env("EDITOR", format!("{} --flag", editor.display())).output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_editor_sees_what_is_there_and_what_changes_goes_back() {
    let project = Project::new();
    let script = "[ \"$1\" = --flag ] && shift; cp \"$1\" seen; stat -c %a \"$1\" > mode; \
        sed -i -e 's/not-a-real-key/not-a-real-key-2/' -e '/^PORT/d' -e 's/^# NAME=/NAME=\"two words\"/' \"$1\"";
    let output = project.edit(&["edit"], script);
    assert!(output.status.success(), "{}", stderr(&output));
    let seen = project.read("seen");
    assert!(
        seen.contains("API_KEY=not-a-real-key\n") && seen.contains("# NAME=\n") && !seen.contains("URL"),
        "{seen}"
    );
    assert_eq!(project.read("mode"), "600\n");
    assert_eq!(project.read(".env"), "# ours\nAPI_KEY=not-a-real-key-2\nNAME='two words'\n");
    let said = stderr(&output);
    assert!(
        said.contains("API_KEY is kept in dotenv") && said.contains("PORT is no longer in dotenv"),
        "{said}"
    );
    assert!(!said.contains("not-a-real"), "{said}");
    let left: Vec<_> =
        fs::read_dir(project.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("strongroom-")), "{left:?}");
}

#[test]
fn an_edit_that_is_wrong_changes_nothing() {
    let project = Project::new();
    let before = project.read(".env");
    let wrong = "shift; printf 'API_KEY=short\\nPORT=http\\nAPI_KAY=x\\n' > \"$1\"";
    let output = project.edit(&["edit"], wrong);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in ["API_KEY ", "PORT ", "did you mean \"API_KEY\"", "nothing was changed"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("short"), "{said}");
    let failing = project.edit(&["edit"], "exit 1");
    assert_eq!(failing.status.code(), Some(1));
    let protected = project.edit(&["-E", "prod", "edit"], "touch ran");
    assert_eq!(protected.status.code(), Some(2), "{}", stderr(&protected));
    let nothing = project.edit(&["edit"], "true");
    assert!(nothing.status.success() && stderr(&nothing).is_empty(), "{}", stderr(&nothing));
    assert_eq!(project.read(".env"), before);
    assert!(!project.path().join("ran").exists());
}

#[test]
fn the_doctor_says_what_is_fine_and_what_is_not() {
    let project = Project::new();
    let fine = project.stdout(&["doctor"]);
    assert!(
        fine.contains("ok    provider dotenv") && fine.contains("ok    values: all that are required"),
        "{fine}"
    );
    project.write(".env", "API_KEY=short\n");
    let bad = project.run(&["doctor", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!((bad.status.code(), said["ok"].as_bool()), (Some(1), Some(false)));
    assert!(!said.to_string().contains("short"), "{said}");
    project.write("strongroom.toml", "version = 1\n[sercet]\n");
    let stopped = project.run(&["doctor"]);
    assert_eq!(stopped.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("did you mean"), "{stopped:?}");
    let nowhere = Project::empty().run(&["doctor"]);
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nowhere.stdout).contains("strongroom init"), "{nowhere:?}");
}

#[test]
fn values_are_imported_and_what_is_new_is_declared() {
    let project = Project::new();
    project.write("heroku.txt", "=== shop Config Vars\nAPI_KEY:    not-a-real-key-3\nSENTRY_DSN: https://k@sentry.test/1\nNAME: changeme\n");
    let dry = project.run(&["import", "heroku.txt", "--dry-run"]);
    assert!(stderr(&dry).contains("API_KEY would be written"), "{}", stderr(&dry));
    assert!(project.read(".env").contains("API_KEY=not-a-real-key\n"));
    let plain = project.run(&["import", "heroku.txt"]);
    assert!(
        plain.status.success() && stderr(&plain).contains("SENTRY_DSN is not declared"),
        "{}",
        stderr(&plain)
    );
    assert_eq!(project.stdout(&["get", "API_KEY"]), "not-a-real-key-3");
    assert!(project.run(&["import", "heroku.txt", "--declare"]).status.success());
    assert_eq!(project.stdout(&["get", "SENTRY_DSN"]), "https://k@sentry.test/1");
    assert!(project.read("strongroom.toml").contains("SENTRY_DSN"));
    project.write(
        "wrong.json",
        "{\"PORT\": \"http\", \"API_KEY\": \"short\", \"URL\": \"https://other.test/\"}",
    );
    let wrong = project.run(&["import", "wrong.json"]);
    let said = stderr(&wrong);
    assert_eq!(wrong.status.code(), Some(3), "{said}");
    assert!(said.contains("PORT (wrong.json)") && said.contains("URL (wrong.json) is composed"), "{said}");
    assert!(said.contains("nothing was written") && !said.contains("short"), "{said}");
    let missing = project.run(&["import", "nowhere.env"]);
    assert_eq!(missing.status.code(), Some(3), "{}", stderr(&missing));
}

#[test]
fn templates_are_filled_whole_or_not_at_all() {
    let project = Project::new();
    project.write("app.in", "key = \"{{API_KEY|json}}\" # {{ PORT }}\nurl = {{URL}}\n");
    assert_eq!(
        project.stdout(&["template", "app.in"]),
        "key = \"not-a-real-key\" # 81\nurl = https://not-a-real-key@api/\n"
    );
    assert!(project.run(&["template", "app.in", "-o", "app.conf"]).status.success());
    let mode = fs::metadata(project.path().join("app.conf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    project.write("helm.in", "{{ .Values.x }} <%API_KEY%>\n");
    let marks = project.stdout(&["template", "helm.in", "--marks", "<%,%>"]);
    assert_eq!(marks, "{{ .Values.x }} not-a-real-key\n");
    project.write("bad.in", "a\n{{API_KAY}}\n");
    let unknown = project.run(&["template", "bad.in", "-o", "app.conf"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(stderr(&unknown).contains("did you mean \"API_KEY\""), "{}", stderr(&unknown));
    project.write("open.in", "a\n{{API_KEY\n");
    let open = project.run(&["template", "open.in", "-o", "app.conf"]);
    assert_eq!(open.status.code(), Some(2));
    assert!(stderr(&open).contains("open.in:2"), "{}", stderr(&open));
    project.write("none.in", "{{NAME}}");
    assert_eq!(project.run(&["template", "none.in"]).status.code(), Some(3));
    assert!(project.read("app.conf").starts_with("key ="));
}

#[test]
fn what_is_taken_away_was_there_or_not() {
    let project = Project::new();
    let gone = project.run(&["unset", "PORT"]);
    assert!(stderr(&gone).starts_with("PORT is no longer in dotenv (.env, .env.local"), "{}", stderr(&gone));
    let again = project.run(&["unset", "PORT"]);
    assert!(
        again.status.success() && stderr(&again).contains("PORT was not in dotenv"),
        "{}",
        stderr(&again)
    );
    let typo = project.run(&["unset", "API_KAY"]);
    assert!(stderr(&typo).contains("did you mean \"API_KEY\"?"), "{}", stderr(&typo));
    let explained = project.stdout(&["explain", "API_KEY"]);
    assert!(explained.contains("dotenv: API_KEY in .env, .env.local"), "{explained}");
}

#[test]
fn files_that_are_in_the_midst_of_something() {
    let project = Project::new();
    project.write(
        ".env",
        "<<<<<<< HEAD\nAPI_KEY=not-a-real-key\n=======\nAPI_KEY=not-a-real-kay\n>>>>>>> branch\n",
    );
    for words in [&["run", "--", "true"][..], &["check"], &["set", "PORT", "81"]] {
        let output = project.run(words);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(".env:1: a merge conflict is not resolved"), "{}", stderr(&output));
    }
    fs::remove_file(project.path().join(".env")).unwrap();
    std::os::unix::fs::symlink("nowhere.env", project.path().join(".env")).unwrap();
    let check = project.run(&["check"]);
    assert!(
        stderr(&check).contains(".env is a link to nowhere.env, which is not there"),
        "{}",
        stderr(&check)
    );
    let set = project.run(&["set", "PORT", "81"]);
    assert!(stderr(&set).contains("is a link to nowhere.env, which is not there"), "{}", stderr(&set));
    assert!(!project.path().join("nowhere.env").exists());
}

#[test]
fn all_services_that_fail_are_named() {
    let project = Project::empty();
    let closed = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (one, other) = (closed(), closed());
    let manifest = format!(
        "version = 1\n[env]\ndefault = {{ order = [\"one\", \"other\"] }}\n[provider]\n\
         one = {{ type = \"vault\", address = \"http://{one}\", path = \"secret/x\", retries = 0 }}\n\
         other = {{ type = \"heroku\", app = \"x\", endpoint = \"http://{other}\", retries = 0 }}\n[secret]\nA = {{}}\n"
    );
    project.write("strongroom.toml", &manifest);
    let mut command = project.command(&["check", "--yes"]);
    let output = command
        .env("VAULT_TOKEN", "not-a-real-token")
        .env("HEROKU_API_KEY", "not-a-real-key")
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains(&one.to_string()) && said.contains("other: nothing listens there"), "{said}");
    assert!(!said.contains("not-a-real"), "{said}");
}

/// What `init` declares in a project that looks like one.
fn init(files: &[(&str, &str)], expected: &[&str]) -> String {
    let project = Project::empty();
    for (name, text) in files {
        project.write(name, text);
    }
    let output = project.run(&["init", "--project", "shop"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let manifest = project.read("strongroom.toml");
    for line in expected {
        assert!(manifest.lines().any(|known| known == *line), "{line}\n{manifest}");
    }
    assert!(!manifest.contains("not-a-real") && !manifest.contains("hunter2"), "{manifest}");
    let check = project.run(&["check"]);
    assert_ne!(check.status.code(), Some(2), "{}", stderr(&check));
    manifest
}

#[test]
fn a_django_project_with_compose() {
    let compose = "x-env: &env\n  REDIS_URL: redis://cache:6379/0\nservices:\n  web:\n    build: .\n    env_file:\n      - web.env\n    \
        environment:\n      <<: *env\n      DEBUG: \"false\"\n      SECRET_KEY: ${DJANGO_SECRET_KEY}\n  db:\n    image: postgres:${POSTGRES_TAG:-17}\n    \
        environment:\n      - POSTGRES_USER=shop\n      - POSTGRES_PASSWORD\n";
    let settings = "import os\nSECRET_KEY = os.environ['SECRET_KEY']\nEMAIL = os.getenv(\n    'ADMIN_EMAIL',\n    'x@y.z',\n)\n";
    init(
        &[
            ("docker-compose.yml", compose),
            ("web.env", "STRIPE_KEY=sk_test_not-a-real-key-0001\n"),
            ("shop/settings.py", settings),
        ],
        &[
            "REDIS_URL = { type = \"url\", schemes = [\"redis\"], sensitive = false }",
            "DEBUG = { type = \"bool\", sensitive = false }",
            "SECRET_KEY = { type = \"string\", optional = true }",
            "DJANGO_SECRET_KEY = { type = \"string\", optional = true }",
            "STRIPE_KEY = { type = \"token\" }",
            "POSTGRES_USER = { type = \"string\", sensitive = false }",
            "POSTGRES_PASSWORD = { type = \"string\", optional = true }",
            "ADMIN_EMAIL = { type = \"email\", sensitive = false, optional = true }",
        ],
    );
}

#[test]
fn a_fastapi_and_a_node_project() {
    let settings = "from pydantic_settings import BaseSettings, SettingsConfigDict\n\nclass Settings(BaseSettings):\n    \
        \"\"\"What we need.\"\"\"\n\n    model_config = SettingsConfigDict(env_prefix=\"SHOP_\", env_file=\".env\")\n\n    \
        database_url: PostgresDsn\n    workers: int = 4\n    api_key: SecretStr = Field(alias=\"API_KEY\")\n";
    init(
        &[
            ("app/config.py", settings),
            (".env.example", "# Where the data is\nSHOP_DATABASE_URL=\nSHOP_WORKERS=4\n"),
        ],
        &[
            "SHOP_DATABASE_URL = { type = \"url\", doc = \"Where the data is\" }",
            "SHOP_WORKERS = { type = \"int\", sensitive = false, example = \"4\" }",
            "API_KEY = { type = \"string\", optional = true }",
        ],
    );
    let node = "const {\n  DATABASE_URL,\n  PORT = '3000',\n} = process.env;\nexport const key = process.env.STRIPE_SECRET_KEY!;\n";
    init(
        &[
            ("src/config.ts", node),
            ("node_modules/x/index.js", "process.env.HIDDEN"),
            ("src/main.rs", "fn main() { std::env::var(\"RUST_SIDE\").unwrap(); }"),
        ],
        &[
            "DATABASE_URL = { type = \"url\", optional = true }",
            "PORT = { type = \"port\", sensitive = false, optional = true }",
            "STRIPE_SECRET_KEY = { type = \"string\", optional = true }",
            "RUST_SIDE = { type = \"string\", optional = true }",
        ],
    );
}

#[test]
fn a_dump_of_herokus_and_json() {
    let project = Project::empty();
    project.write(
        "heroku.txt",
        "=== shop Config Vars\nDATABASE_URL:  postgres://u:hunter2@h:5432/d\nWEB_CONCURRENCY: 2\n",
    );
    project.write(
        "config.json",
        "{\"db\": {\"HOST\": \"h\", \"PASSWORD\": \"hunter2\"}, \"SENTRY_DSN\": \"https://a@b.c/1\"}",
    );
    let made = project.stdout(&["init", "--from", "heroku.txt", "--from", "config.json", "--dry-run"]);
    for line in [
        "DATABASE_URL = { type = \"url\", schemes = [\"postgres\"] }",
        "WEB_CONCURRENCY = { type = \"int\", sensitive = false }",
        "db__HOST = { type = \"string\", sensitive = false }",
        "db__PASSWORD = { type = \"string\" }",
        "SENTRY_DSN = { type = \"url\", schemes = [\"https\"] }",
    ] {
        assert!(made.lines().any(|known| known == line), "{line}\n{made}");
    }
    assert!(!made.contains("hunter2"));
    project.write("broken.yml", "services: [\n");
    let broken = project.run(&["init", "--from", "broken.yml"]);
    assert_eq!(broken.status.code(), Some(3));
    assert!(stderr(&broken).contains("broken.yml: line"), "{}", stderr(&broken));
}

/// A vault of Azure's that asks for a token, and answers with the one that it is shown.
fn azure_vault() -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let token = head.iter().find_map(|line| {
                line.to_lowercase().strip_prefix("authorization: bearer ").map(str::to_owned)
            });
            let answer = match token {
                Some(token) => {
                    let body =
                        serde_json::json!({"value": token, "id": "https://v/secrets/x/v1"}).to_string();
                    format!("200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }
                None => "401 No\r\nWWW-Authenticate: Bearer authorization=\"https://login.test\", \
                    resource=\"https://vault.azure.net\"\r\nContent-Length: 0\r\n\r\n"
                    .to_owned(),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {}",
                answer.replace("\r\nContent-Length", "\r\nConnection: close\r\nContent-Length")
            );
        }
    });
    url
}

/// `az` is asked as Azure's own library asks it (`crates/project/tests/recorded/credentials.py`), and its answer is taken.
#[test]
fn azure_by_the_program_az() {
    let recorded = include_str!("../../project/tests/recorded/credentials.json");
    let recorded = serde_json::from_str::<serde_json::Value>(recorded).unwrap()["azure cli"].take();
    let project = Project::empty();
    let manifest = format!(
        "version = 1\n[env]\ndefault = {{ order = [\"azure\"] }}\n[provider]\nazure = {{ type = \"azure-key-vault\", \
         vault = {:?}, challenge = \"unchecked\", retries = 0 }}\n[secret]\nA = {{}}\n",
        azure_vault()
    );
    project.write("strongroom.toml", &manifest);
    let run = |script: &str| {
        project.write("bin/az", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(project.path().join("bin/az"), fs::Permissions::from_mode(0o700)).unwrap();
        let path = format!("{}:/usr/bin:/bin", project.path().join("bin").display());
        let mut command = project.command(&["get", "--yes", "A"]);
        command.env("PATH", path).env("AZURE_TOKEN_CREDENTIALS", "dev").output().unwrap()
    };
    let output = run(&format!("echo \"$@\" > asked; echo '{}'", recorded["printed"]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "not-a-real-token", "{}", stderr(&output));
    let arguments: Vec<&str> =
        recorded["arguments"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(project.read("asked").trim(), arguments.join(" "));
    let expired = run("echo 'AADSTS70043: The refresh token has expired' >&2; exit 1");
    assert_eq!(expired.status.code(), Some(4), "{}", stderr(&expired));
    assert!(stderr(&expired).contains("az login"), "{}", stderr(&expired));
}
