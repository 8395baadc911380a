use super::*;
use std::fs;

/// Loads files given as `--- name` sections, the first of them being the manifest, and shows what is wrong.
fn check(files: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut first = None;
    for part in files.split("--- ").filter(|part| !part.trim().is_empty()) {
        let (name, text) = part.split_once('\n').unwrap();
        let path = folder.path().join(name.trim());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        first.get_or_insert(path);
    }
    let problems = match Manifest::load(&first.unwrap()) {
        Ok(manifest) => manifest.warnings,
        Err(problems) => problems,
    };
    let text: String = problems.iter().map(Problem::render).collect();
    text.replace(&format!("{}/", folder.path().display()), "")
}

fn load(text: &str) -> Manifest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, text).unwrap();
    Manifest::load(&path)
        .map_err(|problems| panic!("{}", problems.iter().map(Problem::render).collect::<String>()))
        .unwrap()
}

#[test]
fn all_problems_at_once_with_places_and_hints() {
    let text = r#"--- strongroom.toml
version = 1
projct = "shop"

[env]
dev = { inherits = "defualt" }
default = { order = ["process", "rapo"] }

[secret]
KEY = "sk_live_not_a_real_key"
PORT = { type = "prot", default = "hunter2-is-a-value" }
A = { type = "int", min = 5, max = 3, schemes = ["x"] }
B = { type = "enum" }
C = { match = "(", required = { in = ["prood"] }, value = "hunter2" }
D = 5
bad-name = "string"

[scope]
web = ["PRT"]
"#;
    insta::assert_snapshot!(check(text));
}

#[test]
fn syntax_errors_do_not_hide_each_other_nor_show_values() {
    let shown = check("--- strongroom.toml\nversion = 1\n[secret]\nA = \"hunter2\nB = { type = }\n[x\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("strongroom.toml:3:13"), "{shown}");
    assert!(shown.contains("strongroom.toml:4:"), "{shown}");
}

#[test]
fn circles_are_found() {
    let text = r#"--- strongroom.toml
version = 1
include = ["more.toml"]
[env]
a = { inherits = "b" }
b = { inherits = "a" }
[secret]
X = { compose = "${Y}" }
Y = { compose = "-${Z|url}" }
Z = { compose = "${X} ${NOPE}" }
--- more.toml
version = 1
include = ["strongroom.toml"]
"#;
    insta::assert_snapshot!(check(text));
}

#[test]
fn a_file_builds_on_others() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("app")).unwrap();
    write(
        "base.toml",
        "version = 1\nproject = \"base\"\n[secret]\nA = { type = \"int\", doc = \"first\" }\nB = \"url\"\n",
    );
    write("app/more.toml", "version = 1\n[secret]\nC = {}\n");
    write(
        "app/strongroom.toml",
        "version = 1\nproject = \"shop\"\nextends = \"../base.toml\"\ninclude = [\"more.toml\"]\n[secret.A]\nmin = 3\n[secret.B]\noptional = true\n",
    );
    write("app/strongroom.local.toml", "version = 1\n[secret.A]\nmin = 4\n");
    let manifest = Manifest::load(&folder.path().join("app/strongroom.toml")).unwrap();
    let names: Vec<&str> = manifest.secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!((manifest.project.as_str(), names), ("shop", vec!["A", "B", "C"]));
    let a = manifest.secret("A").unwrap();
    assert_eq!(
        (a.value_type, a.constraints.min, a.doc.as_deref()),
        (ValueType::Int, Some(4.0), Some("first"))
    );
    let b = manifest.secret("B").unwrap();
    assert_eq!((b.value_type, &b.required), (ValueType::Url, &Required::Never));
    assert_eq!(manifest.files().len(), 4);
}

#[test]
fn two_included_files_may_not_declare_the_same() {
    let text = "--- strongroom.toml\nversion = 1\ninclude = [\"a.toml\"]\n[secret]\nX = {}\n--- a.toml\n[secret]\nX = {}\n";
    insta::assert_snapshot!(check(text), @r#"
    error: secret.X is declared twice
      --> a.toml:2:1
         |
       2 | X = {}
         | ^
      hint: the other stands at strongroom.toml:4:1
    "#);
}

#[test]
fn environments_inherit() {
    let manifest = load(
        "version = 1\n[env]\nbase = { order = [\"process\"] }\ndev = { inherits = \"base\" }\nci = { inherits = \"dev\", protected = true }\n\
         [secret]\nA = { sensitive = false, default = { base = 1, ci = 2 } }\nB = { required = { in = [\"dev\"] } }\nC = { required = { unless = [\"dev\"] } }\n",
    );
    let environment = |name: &str| manifest.environment(Some(name)).unwrap();
    assert_eq!(environment("ci").order, ["process"]);
    assert_eq!(environment("ci").lineage, ["ci", "dev", "base"]);
    let default = |name: &str| manifest.secret("A").unwrap().default_in(environment(name)).map(str::to_owned);
    assert_eq!((default("dev").as_deref(), default("ci").as_deref()), (Some("1"), Some("2")));
    let required =
        |secret: &str, name: &str| manifest.secret(secret).unwrap().is_required_in(environment(name));
    assert_eq!((required("B", "base"), required("B", "ci")), (false, true));
    assert_eq!((required("C", "base"), required("C", "ci")), (true, false));
    assert!(manifest.environment(None).unwrap_err()[0].render().contains("which environment?"));
    assert!(manifest.environment(Some("prod")).unwrap_err()[0].render().contains("there is: base, ci, dev"));
}

#[test]
fn the_published_schema_is_the_one_of_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/strongroom.schema.json");
    assert_eq!(
        fs::read_to_string(path).unwrap_or_default(),
        json_schema(),
        "write it anew: strongroom init --schema > docs/strongroom.schema.json"
    );
}

#[test]
fn the_reference_holds_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manifest.md");
    let text = fs::read_to_string(path).unwrap_or_default();
    for line in reference_tables().lines() {
        assert!(
            text.contains(line),
            "docs/manifest.md lacks this line of `strongroom init --reference`:\n{line}"
        );
    }
}
