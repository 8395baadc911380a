use super::*;
use std::process::Command;

const MANIFEST: &str = r#"version = 1
[secret]
DATABASE_URL = { type = "url", schemes = ["postgres"], doc = "Where the \"data\" is", compose = "postgres://app:${DB_PASSWORD|url}@db/shop" }
DB_PASSWORD = { internal = true, min = 24 }
PORT = { type = "port", sensitive = false, default = 8080 }
DEBUG = { type = "bool", sensitive = false, optional = true }
LEVEL = { type = "enum", values = ["debug", "info"], sensitive = false, example = "info" }
KEY = { type = "token", example = "key_000" }
CERT = { type = "pem", as = "file", optional = true }
TYPE = { sensitive = false, required = false }
"#;

fn manifest() -> Manifest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.toml");
    std::fs::write(&path, MANIFEST).unwrap();
    Manifest::load(&path).unwrap()
}

#[test]
fn an_example_of_an_env_file() {
    insta::assert_snapshot!(text_of(&manifest(), "env-example"));
}

#[test]
fn typed_settings() {
    let manifest = manifest();
    insta::assert_snapshot!(text_of(&manifest, "python"));
    for what in ["typescript", "go", "rust"] {
        assert!(text_of(&manifest, what).contains("DATABASE_URL"), "{what}");
        assert!(!text_of(&manifest, what).contains("DB_PASSWORD"), "{what}");
    }
}

#[test]
fn the_rust_module_compiles_and_reads() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.rs");
    let program = "fn main() {
        let one = |name: &str| match name { \"DATABASE_URL\" => Some(\"u\".to_owned()), \"PORT\" => Some(\"80\".to_owned()), \
         \"LEVEL\" => Some(\"info\".to_owned()), \"KEY\" => Some(\"k\".to_owned()), _ => None };
        let settings = settings::Settings::read(one).unwrap();
        assert_eq!((settings.port, settings.key.expose(), settings.debug), (80, \"k\", None));
        assert!(format!(\"{settings:?}\").contains(\"key: [redacted]\"));
        let wrong = settings::Settings::read(|name| (name == \"PORT\").then(|| \"x\".to_owned())).unwrap_err();
        assert_eq!(wrong, \"DATABASE_URL is missing, PORT is not valid, LEVEL is missing, KEY is missing\");
    }";
    std::fs::write(&main, format!("mod settings;\n{program}")).unwrap();
    std::fs::write(folder.path().join("settings.rs"), text_of(&manifest(), "rust")).unwrap();
    let binary = folder.path().join("main");
    let built =
        Command::new("rustc").args(["--edition=2021", "-o"]).arg(&binary).arg(&main).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(binary).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_python_class_is_python() {
    let text = text_of(&manifest(), "python");
    let parsed = Command::new("python3")
        .args(["-c", "import ast, sys; ast.parse(sys.argv[1])", &text])
        .output()
        .unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
}
