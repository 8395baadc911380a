//! A real server process for tests: configured, started, initialised, unsealed, killed.

use crate::http::{Api, Endpoint, Trust};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_SECONDS_MAX: u64 = 60;

/// How to start a server.
pub(crate) struct Recipe {
    pub binary: PathBuf,
    pub dir: PathBuf,
    pub port: u16,
}

/// What `sys/init` gave, kept for every later start.
pub(crate) struct Keys {
    pub unseal: String,
    pub root_token: String,
}

impl Recipe {
    /// Writes the configuration into `dir`, for a free port on the loopback address. `{dir}` in it stands for the
    /// folder, `{port}` for the port.
    pub(crate) fn new(binary: &Path, config: &str, dir: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = config.replace("{dir}", &dir.display().to_string()).replace("{port}", &port.to_string());
        std::fs::write(dir.join("config.json"), &config)?;
        Ok(Self { binary: binary.to_owned(), dir: dir.to_owned(), port })
    }

    /// The configuration that our own server takes.
    pub(crate) fn default_config() -> String {
        json!({
            "storage": {"file": {"path": "{dir}/data"}},
            "listener": {"tcp": {"address": "127.0.0.1:{port}", "tls_disable": true}},
            "disable_mlock": true,
        })
        .to_string()
    }

    pub(crate) fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::parse(&format!("http://127.0.0.1:{}", self.port), Trust::Anything)
    }

    /// Starts the server and returns at once. What it prints goes to `log` in its folder.
    pub(crate) fn start(&self) -> Result<Running> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new(&self.binary)
            .arg("server")
            .arg(format!("--config={}", self.dir.join("config.json").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        Ok(Running { child })
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The end of what the server printed.
    pub(crate) fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(15)).copied().collect::<Vec<_>>().join("\n")
    }
}

/// A server process. It is killed when dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether the process ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the first answer, whatever it says.
pub(crate) async fn wait_for_answer(api: &mut Api, running: &mut Running) -> Result<Duration> {
    let start = Instant::now();
    loop {
        match api.call("GET", "sys/seal-status", None).await {
            Ok(_) => return Ok(start.elapsed()),
            Err(_) if running.has_ended()? => bail!("the server ended before it answered"),
            Err(error) if start.elapsed().as_secs() >= START_SECONDS_MAX => {
                return Err(error.context(format!("no answer within {START_SECONDS_MAX} s")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Initialises a new server with one share.
pub(crate) async fn initialise(api: &mut Api) -> Result<Keys> {
    let answer =
        api.must("PUT", "sys/init", Some(&json!({"secret_shares": 1, "secret_threshold": 1}))).await?;
    let text = |pointer: &str| -> Result<String> {
        Ok(answer
            .pointer(pointer)
            .and_then(Value::as_str)
            .context("an answer of sys/init in another form")?
            .to_owned())
    };
    Ok(Keys { unseal: text("/keys/0")?, root_token: text("/root_token")? })
}

/// Unseals, and waits until the server serves.
pub(crate) async fn unseal(api: &mut Api, keys: &Keys) -> Result<()> {
    api.token.clone_from(&keys.root_token);
    api.must("PUT", "sys/unseal", Some(&json!({"key": keys.unseal}))).await?;
    let start = Instant::now();
    while start.elapsed().as_secs() < START_SECONDS_MAX {
        if let (200, _) = api.call("GET", "sys/health", None).await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("unsealed, but not serving within {START_SECONDS_MAX} s")
}
