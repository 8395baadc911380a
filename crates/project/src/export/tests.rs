use super::*;
use crate::manifest::Manifest;

const ODD: &str = "it's \"a\" $HOME ${X} `id` \\n 100% é\nline 2";

fn check(format: Format) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.toml");
    let text = "version = 1\n[secret]\nPLAIN = {}\nODD = {}\nPORT = { type = \"port\", sensitive = false }\nKEY = { as = \"file\" }\n";
    std::fs::write(&path, text).unwrap();
    let manifest = Manifest::load(&path).unwrap();
    let odd = if format == Format::Docker { "it's $X # y" } else { ODD };
    let values = [("PLAIN", "not-a-real-value"), ("ODD", odd), ("PORT", "8080"), ("KEY", "k")];
    let values: Vec<_> =
        values.map(|(name, value)| (name, SecretBytes::new(value.as_bytes().to_vec()))).into();
    let entries: Vec<_> =
        values.iter().map(|(name, value)| Entry { secret: manifest.secret(name).unwrap(), value }).collect();
    let options = Options {
        name: "shop",
        namespace: Some("web"),
        environment: "prod",
        protected: true,
        delimiter: "END_0",
    };
    match export(format, &entries, &options) {
        Ok(text) => String::from_utf8(text.expose().to_vec()).unwrap(),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    }
}

#[test]
fn formats_of_lines() {
    let all = [
        Format::Dotenv,
        Format::Yaml,
        Format::Toml,
        Format::Shell,
        Format::Fish,
        Format::PowerShell,
        Format::GithubEnv,
        Format::GithubMasks,
        Format::Docker,
        Format::Systemd,
        Format::Terraform,
    ];
    let shown: String = all.map(|format| format!("# {format:?}\n{}\n", check(format))).concat();
    insta::assert_snapshot!(shown);
}

#[test]
fn formats_with_structure() {
    let all = [Format::Json, Format::Gitlab, Format::Heroku, Format::Kubernetes];
    let shown: String = all.map(|format| format!("# {format:?}\n{}\n", check(format))).concat();
    insta::assert_snapshot!(shown);
    let json: serde_json::Value = serde_json::from_str(&check(Format::Json)).unwrap();
    assert_eq!(json["ODD"], ODD);
    assert!(serde_json::from_str::<serde_json::Value>(&check(Format::Gitlab)).unwrap()[1]["value"] == ODD);
    assert_eq!(toml::from_str::<toml::Table>(&check(Format::Toml)).unwrap()["ODD"].as_str(), Some(ODD));
}

#[test]
fn a_shell_reads_back_what_was_written() {
    let script = check(Format::Shell) + "printf %s \"$ODD\"";
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), ODD);
}

#[test]
fn what_a_format_cannot_carry_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.toml");
    std::fs::write(&path, "version = 1\n[secret]\nA = {}\n").unwrap();
    let manifest = Manifest::load(&path).unwrap();
    let options = Options { name: "x", namespace: None, environment: "e", protected: false, delimiter: "D" };
    let refused = |format, bytes: &[u8]| {
        let value = SecretBytes::new(bytes.to_vec());
        let entry = Entry { secret: manifest.secret("A").unwrap(), value: &value };
        export(format, &[entry], &options).map(drop).unwrap_err().first().unwrap().to_string()
    };
    assert_eq!(refused(Format::Docker, b"a\nb"), "A has several lines, and this format has no way to say so");
    assert!(refused(Format::Json, b"\xff").starts_with("A is not UTF-8"));
    assert!(refused(Format::Shell, b"a\0").starts_with("A holds a NUL"));
}

#[test]
fn an_external_secret_has_no_values() {
    let options =
        Options { name: "shop", namespace: None, environment: "e", protected: false, delimiter: "D" };
    let reference = RemoteReference {
        name: "STRIPE_KEY".to_owned(),
        path: "kv/pay".to_owned(),
        key: Some("stripe".to_owned()),
        version: None,
    };
    insta::assert_snapshot!(external_secret(&[reference], "vault", &options));
}
