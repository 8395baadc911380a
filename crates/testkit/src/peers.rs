//! Real databases for tests: started in a folder of their own on a free port, and gone with the value that stands for them.
//! None where the machine does not have them; with `STRONGROOM_TEST_PEERS=required` that fails the test.

#![expect(
    clippy::disallowed_methods,
    reason = "real programs run in real time, and are found by the real environment"
)]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Of the account that may do everything. Visibly no secret.
pub const PASSWORD: &str = "not-a-real-password";

/// A database that runs.
pub struct Peer {
    pub kind: Kind,
    pub port: u16,
    folder: PathBuf,
    /// Of its command line, behind what every test has.
    arguments: Vec<String>,
    child: Option<Child>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Mariadb,
    Redis,
}

impl Kind {
    /// Whether the machine has it.
    pub fn is_here(self) -> bool {
        program(self).is_some()
    }
}

impl Peer {
    /// Starts one; None if the machine has no such program.
    pub fn start(kind: Kind) -> Option<Self> {
        Self::start_with(kind, &[])
    }

    /// The same with more on its command line.
    pub fn start_with(kind: Kind, arguments: &[&str]) -> Option<Self> {
        Self::start_as(kind, arguments, None)
    }

    /// PostgreSQL or MariaDB with a certificate.
    pub fn start_encrypted(kind: Kind, identity: &Identity) -> Option<Self> {
        Self::start_as(kind, &[], Some(identity))
    }

    fn start_as(kind: Kind, arguments: &[&str], identity: Option<&Identity>) -> Option<Self> {
        let Some(program) = program(kind) else {
            let required = std::env::var("STRONGROOM_TEST_PEERS").is_ok_and(|value| value == "required");
            assert!(!required, "{kind:?} is not on this machine");
            eprintln!("SKIPPED: {kind:?} is not on this machine");
            return None;
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("strongroom-peer-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let mut arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        if let Some(identity) = identity {
            arguments.extend(identity.install(kind, &folder));
        }
        let mut peer = Self { kind, port: free_port(), folder, arguments, child: None };
        peer.prepare(&program);
        peer.run();
        Some(peer)
    }

    /// Starts it again on its data, after `stop`.
    pub fn run(&mut self) {
        let program = program(self.kind).expect("it was there before");
        self.child = Some(self.server(&program).spawn().expect("the server starts"));
        let begun = Instant::now();
        while !self.is_ready() {
            let exited = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let waited = begun.elapsed();
            assert!(exited.is_none() && waited < Duration::from_secs(60), "{:?}: {}", self.kind, self.log());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Stops it where it is, with all its processes.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        succeed(Command::new("sh").args(["-c", "kill -$1 $2 $(pgrep -P $2)", "sh", name, &id]));
    }

    /// Kills it, as a machine that loses power does.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Runs statements as somebody, by the database's own client.
    pub fn client(&self, user: &str, password: &str, statement: &str) -> Output {
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = Command::new(beside(&program(self.kind).expect("it runs"), "psql"));
                command.args([
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &port,
                    "-U",
                    user,
                    "-d",
                    "postgres",
                    "-XtAqc",
                    statement,
                ]);
                command.env("PGPASSWORD", password);
                command
            }
            Kind::Mariadb => {
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "-h127.0.0.1", "-P", &port, "-u", user, "-NBe", statement]);
                command.env("MYSQL_PWD", password);
                command
            }
            Kind::Redis => {
                let mut command = Command::new("redis-cli");
                command.args(["-h", "127.0.0.1", "-p", &port, "--user", user]);
                command.args(statement.split_whitespace()).env("REDISCLI_AUTH", password);
                command
            }
        };
        command.output().expect("the client runs")
    }

    /// What statements of the account that may do everything say.
    pub fn ask(&self, statement: &str) -> String {
        let output = self.client(self.administrator(), PASSWORD, statement);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn administrator(&self) -> &'static str {
        match self.kind {
            Kind::Postgres => "postgres",
            Kind::Mariadb => "vault",
            Kind::Redis => "default",
        }
    }

    /// Whether somebody can log in.
    pub fn lets_in(&self, user: &str, password: &str) -> bool {
        let statement = if self.kind == Kind::Redis { "ACL WHOAMI" } else { "SELECT 1" };
        let output = self.client(user, password, statement);
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success() && (self.kind != Kind::Redis || text.trim() == user)
    }

    fn prepare(&self, program: &Path) {
        let folder = self.folder.display().to_string();
        match self.kind {
            Kind::Postgres => {
                let password_file = self.folder.join("password");
                std::fs::write(&password_file, PASSWORD).expect("a file can be written");
                self.give_away("postgres");
                let mut command = as_user("postgres", &beside(program, "initdb"));
                command.args([
                    "-D",
                    &format!("{folder}/data"),
                    "-U",
                    "postgres",
                    "-A",
                    "scram-sha-256",
                    "-N",
                ]);
                succeed(command.args(["--pwfile", &format!("{folder}/password"), "--encoding", "UTF8"]));
            }
            Kind::Mariadb => {
                let text = format!(
                    "CREATE USER 'vault'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO 'vault'@'%' WITH GRANT OPTION;\n"
                );
                std::fs::write(self.folder.join("init.sql"), text).expect("a file can be written");
                self.give_away("mysql");
                let mut command = as_user("mysql", Path::new("mariadb-install-db"));
                command.args(["--no-defaults", &format!("--datadir={folder}/data")]);
                succeed(command.args([
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    &format!("--tmpdir={folder}"),
                ]));
            }
            Kind::Redis => {
                let text = format!(
                    "port {}\nbind 127.0.0.1\nsave \"\"\nappendonly no\ndir {folder}\nuser default on >{PASSWORD} ~* &* +@all\n",
                    self.port
                );
                std::fs::write(self.folder.join("redis.conf"), text).expect("a file can be written");
            }
        }
    }

    fn server(&self, program: &Path) -> Command {
        let folder = self.folder.display().to_string();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = as_user("postgres", program);
                command.args(["-D", &format!("{folder}/data"), "-p", &self.port.to_string(), "-k", &folder]);
                command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-F"]);
                command
            }
            Kind::Mariadb => {
                let mut command = as_user("mysql", program);
                command.args([
                    "--no-defaults",
                    &format!("--datadir={folder}/data"),
                    "--bind-address=127.0.0.1",
                ]);
                command.arg(format!("--port={}", self.port)).arg(format!("--socket={folder}/socket"));
                command.arg(format!("--pid-file={folder}/pid")).arg(format!("--tmpdir={folder}"));
                if !self.folder.join("data/begun").exists() {
                    command.arg(format!("--init-file={folder}/init.sql"));
                }
                command
            }
            Kind::Redis => {
                let mut command = Command::new(program);
                command.arg(format!("{folder}/redis.conf"));
                command
            }
        };
        command.args(&self.arguments);
        let log = std::fs::File::create(self.folder.join("log")).expect("a file can be made");
        let also = log.try_clone().expect("a file can be shared");
        command.stdin(Stdio::null()).stdout(log).stderr(also);
        command
    }

    fn is_ready(&self) -> bool {
        let is_listening = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        let is_ready = is_listening && self.lets_in(self.administrator(), PASSWORD);
        if is_ready && self.kind == Kind::Mariadb {
            drop(std::fs::write(self.folder.join("data/begun"), ""));
        }
        is_ready
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Servers that refuse to run as root have their own user, who must own the folder.
    fn give_away(&self, user: &str) {
        if is_root() {
            succeed(Command::new("chown").arg("-R").arg(user).arg(&self.folder));
        }
    }
}

/// What a server shows who it is by, in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    /// Writes it, and says how a server is told of it.
    fn install(&self, kind: Kind, folder: &Path) -> Vec<String> {
        let [certificate, key] =
            [("server.crt", &self.certificate), ("server.key", &self.key)].map(|(name, text)| {
                let path = folder.join(name);
                std::fs::write(&path, text).expect("a file can be written");
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                    .expect("a file can be guarded");
                path.display().to_string()
            });
        match kind {
            Kind::Postgres => {
                ["ssl=on".to_owned(), format!("ssl_cert_file={certificate}"), format!("ssl_key_file={key}")]
                    .into_iter()
                    .flat_map(|setting| ["-c".to_owned(), setting])
                    .collect()
            }
            Kind::Mariadb => vec![format!("--ssl-cert={certificate}"), format!("--ssl-key={key}")],
            Kind::Redis => panic!("Redis has another port for TLS"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop();
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    // It ends with the test, however that ends.
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig", "KILL"]).arg(program);
    command
}

fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("a program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The server's program: the newest PostgreSQL of a Debian, or what is in the path.
fn program(kind: Kind) -> Option<PathBuf> {
    let names: &[&str] = match kind {
        Kind::Postgres => {
            let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path().join("bin/postgres")))
                .filter(|path| path.exists())
                .collect();
            versions.sort();
            if let Some(newest) = versions.pop() {
                return Some(newest);
            }
            &["postgres"]
        }
        Kind::Mariadb => &["mariadbd"],
        Kind::Redis => &["redis-server", "valkey-server"],
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/libexec".into()]);
    folders.flat_map(|folder| names.iter().map(move |name| folder.join(name))).find(|path| path.exists())
}

fn beside(program: &Path, name: &str) -> PathBuf {
    let found = program.parent().map(|folder| folder.join(name)).filter(|path| path.exists());
    found.unwrap_or_else(|| name.into())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
