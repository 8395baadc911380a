//! `run` where it stays with its program, on the real binary: change, leases, files, output.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

struct Project(TempDir);

impl Project {
    fn new(manifest: &str, dotenv: &str) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.write("strongroom.toml", manifest);
        project.write(".env", dotenv);
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let (path, new) = (self.path().join(name), self.path().join(format!("{name}.new")));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        // Whole, as an editor would.
        fs::rename(&new, &path).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(words).current_dir(self.path()).env_clear().env("HOME", self.path());
        command.env("PATH", "/usr/bin:/bin").env("TMPDIR", self.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn wait_for(&self, name: &str, text: &str) {
        until(&format!("{name} to hold {text:?}, not {:?}", self.read(name)), || self.read(name) == text);
    }

    /// The folders of files that are there.
    fn secret_folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir() && path.to_string_lossy().contains("/strongroom-")).collect()
    }
}

/// As long as it takes, within reason.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let happened = (0..1200).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        is_so()
    });
    assert!(happened, "waited for {what}");
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const FILES: &str =
    "version = 1\n[env]\ndefault = { order = [\"dotenv\"] }\n[secret]\nCERT = { as = \"file\" }\nKEY = {}\n";

#[test]
fn a_program_is_told_by_signal_and_finds_new_values_in_its_files() {
    for files in ["memory", "temporary"] {
        let project = Project::new(FILES, "CERT=certificate-1\nKEY=key-1\n");
        let script = "trap 'cat $CERT >> seen; echo \" $KEY\" >> seen' HUP; cat $CERT > seen; echo \" $KEY\" >> seen; \
            while :; do sleep 0.02; done";
        let words =
            ["run", "--watch", "--watch-signal", "SIGHUP", "--files", files, "--", "sh", "-c", script];
        let child = project.command(&words).spawn().unwrap();
        project.wait_for("seen", "certificate-1 key-1\n");
        project.write(".env", "CERT=certificate-2\nKEY=key-2\n");
        project.wait_for("seen", "certificate-1 key-1\ncertificate-2 key-1\n");
        signal(&child, "TERM");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(143));
        assert!(
            stderr(&output).contains("KEY: a running program keeps its variables"),
            "{}",
            stderr(&output)
        );
        assert!(project.secret_folders().is_empty());
    }
    let project = Project::new(FILES, "CERT=c\nKEY=k\n");
    let wrong =
        project.command(&["run", "--watch", "--watch-signal", "NOPE", "--", "true"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("known signals are HUP"), "{}", stderr(&wrong));
}

#[test]
fn a_program_that_ends_when_it_is_told_is_started_again() {
    let project = Project::new(FILES, "CERT=certificate-1\nKEY=key-1\n");
    let script = "cat $CERT >> seen; echo \" $KEY\" >> seen; exec sleep 600";
    let words = ["run", "--watch", "--watch-signal", "HUP", "--", "sh", "-c", script];
    let child = project.command(&words).spawn().unwrap();
    project.wait_for("seen", "certificate-1 key-1\n");
    project.write(".env", "CERT=certificate-2\nKEY=key-2\n");
    project.wait_for("seen", "certificate-1 key-1\ncertificate-2 key-2\n");
    signal(&child, "INT");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn a_program_that_does_not_end_is_killed_after_the_grace_and_the_manifest_is_watched_too() {
    let project = Project::new(FILES, "CERT=c\nKEY=key-1\n");
    let script = "trap '' TERM; echo \"$KEY$MORE\" >> seen; until [ -e enough ]; do sleep 0.02; done";
    let words = ["run", "--watch", "--grace", "100ms", "--", "sh", "-c", script];
    let said = fs::File::create(project.path().join("said")).unwrap();
    let mut child = project.command(&words).stderr(said).spawn().unwrap();
    project.wait_for("seen", "key-1\n");
    project.write("strongroom.toml", &format!("{FILES}MORE = {{ default = \"-and-more\" }}\n"));
    project.wait_for("seen", "key-1\nkey-1-and-more\n");
    // What cannot be read leaves the program as it is.
    project.write("strongroom.toml", "version = \n");
    until("the note", || project.read("said").contains("strongroom.toml:1"));
    project.write("strongroom.toml", FILES);
    project.wait_for("seen", "key-1\nkey-1-and-more\nkey-1\n");
    project.write("enough", "");
    assert!(child.wait().unwrap().success());
}

#[test]
fn files_go_even_if_we_are_killed() {
    let project = Project::new(FILES, "CERT=not-a-real-certificate\nKEY=k\n");
    let script = "cat $CERT > seen; echo $CERT > where; echo $$ > pid; exec sleep 600";
    let mut child =
        project.command(&["run", "--files", "temporary", "--", "sh", "-c", script]).spawn().unwrap();
    until("a pid", || project.read("pid").ends_with('\n'));
    assert_eq!(project.read("seen"), "not-a-real-certificate");
    let file = PathBuf::from(project.read("where").trim());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = file.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    signal(&child, "KILL");
    child.wait().unwrap();
    until("the folder to go", || !folder.exists());
    let pid = project.read("pid");
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    // The program alone is killed: we clean up and say how it ended.
    fs::remove_file(project.path().join("pid")).unwrap();
    let child = project.command(&["run", "--files", "temporary", "--", "sh", "-c", script]).spawn().unwrap();
    until("a pid", || project.read("pid").ends_with('\n'));
    assert!(Command::new("kill").args(["-KILL", project.read("pid").trim()]).status().unwrap().success());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(137));
    assert!(project.secret_folders().is_empty());
}

#[test]
fn output_is_redacted_however_it_is_cut_and_after_a_change() {
    let manifest =
        "version = 1\n[env]\ndefault = { order = [\"dotenv\"] }\n[secret]\nCERT = { as = \"file\" }\n";
    let project = Project::new(manifest, "CERT=not-a-real-secret-1\n");
    // Half of it, a pause, the other half; the same to the other stream; and once more after the change.
    let say = "v=$(cat $CERT); printf '<%.9s' \"$v\"; sleep 0.1; printf '%s>\\n' \"${v#?????????}\"; echo \"$v\" >&2";
    let script = format!(
        "say() {{ {say}; }}; trap 'say; exit 0' USR1; say; touch started; while :; do sleep 0.02; done"
    );
    let words =
        ["run", "--redact", "--watch", "--watch-signal", "USR1", "--grace", "0s", "--", "sh", "-c", &script];
    let child = project.command(&words).spawn().unwrap();
    until("the start", || project.path().join("started").exists());
    project.write(".env", "CERT=not-a-real-secret-2\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "<***>\n<***>\n");
    assert!(!stderr(&output).contains("not-a-real"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

/// A server of the Vault API that lends accounts for a second, and remembers what it was asked.
struct Lender {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Lender {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &asked));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.ends_with(path)).count()
    }
}

fn serve(stream: &TcpStream, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let path = first.split_whitespace().nth(1).unwrap().trim_start_matches("/v1/").to_owned();
        let answer = match path.as_str() {
            "auth/userpass/login/ann" => {
                r#"{"auth": {"client_token": "hvs.not-a-real-token", "lease_duration": 3600, "renewable": true}}"#
            }
            "db/creds/app" => {
                r#"{"lease_id": "db/creds/app/1", "lease_duration": 1, "renewable": true, "data": {"password": "not-a-real-password"}}"#
            }
            "sys/leases/renew" => r#"{"lease_id": "db/creds/app/1", "lease_duration": 2, "renewable": true}"#,
            _ => "{}",
        };
        asked.lock().unwrap().push(path);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
        let mut stream = stream;
        write!(stream, "{head}: {}\r\n\r\n{answer}", answer.len()).unwrap();
    }
}

fn lent(server: &Lender) -> Project {
    let manifest = format!(
        "version = 1\n[env]\ndefault = {{ order = [\"vault\"] }}\n[provider.vault]\ntype = \"vault\"\naddress = {:?}\n\
         kv = \"no\"\nauth = \"userpass\"\nuser = \"ann\"\ncredential = \"ANNS_PASSWORD\"\nretries = 0\n\
         [secret]\nDB_PASSWORD = {{ ref = {{ vault = \"db/creds/app#password\" }} }}\n",
        server.url
    );
    Project::new(&manifest, "")
}

#[test]
fn leases_live_as_long_as_the_program() {
    let server = Lender::start();
    let project = lent(&server);
    let script = "echo \"$DB_PASSWORD[$ANNS_PASSWORD]\"; until [ -e enough ]; do sleep 0.02; done; exit 3";
    let words = ["run", "--yes", "--", "sh", "-c", script];
    let child = project.command(&words).env("ANNS_PASSWORD", "not-a-real-password-of-ours").spawn().unwrap();
    until("two renewals", || server.count("sys/leases/renew") >= 2);
    assert_eq!(server.count("revoke-self"), 0);
    project.write("enough", "");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "not-a-real-password[]\n");
    assert_eq!(stderr(&output), "");
    let asked = server.asked();
    assert_eq!(asked.first().unwrap(), "auth/userpass/login/ann");
    assert_eq!(asked.last().unwrap(), "auth/token/revoke-self");
    assert_eq!(server.count("db/creds/app"), 1);
}

#[test]
fn a_command_that_reads_leaves_no_login_behind() {
    let server = Lender::start();
    let project = lent(&server);
    project.write(
        "strongroom.toml",
        &project
            .read("strongroom.toml")
            .replace("db/creds/app#password", "kv/app#optional")
            .replace(" } }", " }, optional = true }"),
    );
    for words in
        [&["run", "--yes", "--", "true"][..], &["check", "--yes"], &["list", "--yes"], &["export", "--yes"]]
    {
        let before = server.asked().len();
        let output = project.command(words).env("ANNS_PASSWORD", "not-a-real-password").output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        let asked = server.asked().split_off(before);
        let logins = asked.iter().filter(|path| path.contains("login")).count();
        let ends = asked.iter().filter(|path| path.ends_with("revoke-self")).count();
        assert_eq!((logins, ends), (1, 1), "{words:?}: {asked:?}");
    }
}

#[test]
fn a_command_that_only_looks_gives_back_what_it_was_lent() {
    let server = Lender::start();
    let project = lent(&server);
    let own = project.read("strongroom.toml");
    let given = own.replace("auth = \"userpass\"\nuser = \"ann\"\ncredential = \"ANNS_PASSWORD\"\n", "");
    let words: [&[&str]; 6] = [
        &["check"],
        &["list"],
        &["explain", "DB_PASSWORD"],
        &["doctor"],
        &["lock"],
        &["diff", "default", "default"],
    ];
    for (manifest, end) in [(own, "auth/token/revoke-self"), (given, "sys/leases/revoke")] {
        project.write("strongroom.toml", &manifest);
        for words in words {
            let before = server.asked().len();
            let mut command = project.command(words);
            command
                .args(["--yes"])
                .env("ANNS_PASSWORD", "not-a-real-password")
                .env("VAULT_TOKEN", "not-a-real-token");
            let output = command.output().unwrap();
            assert!(output.status.success() || words == ["doctor"], "{words:?}: {}", stderr(&output));
            let asked = server.asked().split_off(before);
            let lent = asked.iter().filter(|path| path.as_str() == "db/creds/app").count();
            assert!(lent >= 1 && asked.last().unwrap() == end, "{words:?}: {asked:?}");
        }
        // What is printed is for somebody who uses it.
        let output = project
            .command(&["get", "--yes", "DB_PASSWORD"])
            .env("ANNS_PASSWORD", "not-a-real-password")
            .env("VAULT_TOKEN", "not-a-real-token")
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"not-a-real-password");
        assert_eq!(server.asked().last().unwrap(), "db/creds/app");
    }
    assert!(
        !project.read("strongroom.lock").contains("DB_PASSWORD"),
        "what is lent is another value each time"
    );
}

#[test]
fn services_are_asked_again_and_lent_values_are_no_change() {
    let server = Lender::start();
    let project = lent(&server);
    let script = "echo start >> seen; until [ -e enough ]; do sleep 0.02; done";
    let words = ["run", "--yes", "--watch", "--watch-every", "100ms", "--", "sh", "-c", script];
    let child = project.command(&words).env("ANNS_PASSWORD", "not-a-real-password").spawn().unwrap();
    until("three renewals", || server.count("sys/leases/renew") >= 3);
    project.write("enough", "");
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(project.read("seen"), "start\n");
    assert_eq!(server.count("db/creds/app"), 1, "no second account is lent only to look for changes");
}
