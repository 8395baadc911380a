//! Every key that a manifest may have, with its shape and one line about it. The checks of files, the JSON Schema
//! (`schema`) and the tables of docs/manifest.md come from here, so they cannot say different things.

use super::shape::{Key, Shape};
use crate::provider::KINDS;
use crate::value_type::ValueType;

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

const TEXTS: Shape = Shape::Either(&[Shape::Text, Shape::List(&Shape::Text)]);

pub(crate) static MANIFEST: &[Key] = &[
    key("version", Shape::Integer, "The version of this format: 1."),
    key("project", Shape::Name, "The name of the project: {project} in paths."),
    key(
        "default-env",
        Shape::Name,
        "The environment without -E: otherwise the one named \"default\", or the only one.",
    ),
    key("extends", TEXTS, "Manifests that this one builds on, relative to it. What stands here wins."),
    key("include", TEXTS, "More files of this manifest, relative to it. Nothing may be declared twice."),
    key("env", Shape::Map(&Shape::Table(ENVIRONMENT)), "The environments."),
    key("provider", Shape::Map(&Shape::Provider), "Where values are kept."),
    key(
        "secret",
        Shape::Map(&Shape::Either(&[Shape::Choice(ValueType::WORDS), Shape::Table(SECRET)])),
        "What the project needs: a table, or just a type.",
    ),
    key("scope", Shape::Map(&Shape::List(&Shape::Text)), "Named sets of secrets, for `run --scope`."),
    key("group", Shape::Map(&Shape::Table(GROUP)), "Secrets that stand for each other."),
    key(
        "generate",
        Shape::Table(GENERATED),
        "Files made from the manifest by `strongroom generate`, verified by `check --frozen`.",
    ),
    key("guard", Shape::Table(GUARD), "What keeps values out of the repository."),
];

pub(crate) static ENVIRONMENT: &[Key] = &[
    key(
        "order",
        Shape::List(&Shape::Text),
        "Providers, first to last: the first that has a secret gives it. \"process\" and \"dotenv\" need no declaration.",
    ),
    key(
        "inherits",
        Shape::Name,
        "The environment whose order, defaults and requirements hold where this one has none.",
    ),
    key("protected", Shape::Flag, "Changing values here asks for --yes."),
    key("doc", Shape::Text, "What it is for."),
];

pub(crate) static SECRET: &[Key] = &[
    key("type", Shape::Choice(ValueType::WORDS), "What a value must look like. Without it: string."),
    key("doc", Shape::Text, "What it is for."),
    key("example", Shape::Scalar, "A made-up value, for .env.example."),
    key("sensitive", Shape::Flag, "Whether the value is secret. Without it: true."),
    key(
        "required",
        Shape::Either(&[Shape::Flag, Shape::Table(REQUIRED)]),
        "Whether it must have a value, and where. Without it: true, unless there is a default.",
    ),
    key("optional", Shape::Flag, "The opposite of required."),
    key(
        "default",
        Shape::Either(&[
            Shape::Scalar,
            Shape::List(&Shape::Scalar),
            Shape::Map(&Shape::Either(&[Shape::Scalar, Shape::List(&Shape::Scalar)])),
        ]),
        "The value where no provider has one; a table gives one for each environment. Not for secret values.",
    ),
    key("compose", Shape::Text, "Made of others: text with ${NAME} or ${NAME|encoding}; $$ is a dollar."),
    key("internal", Shape::Flag, "Resolved, but never given to a program."),
    key(
        "as",
        Shape::Choice(&["variable", "file"]),
        "How a program gets it: as the variable itself, or as a file that the variable names.",
    ),
    key(
        "min",
        Shape::Number,
        "The least length; the least value of an int, float or port; the fewest items of a list.",
    ),
    key("max", Shape::Number, "The greatest length, value or number of items."),
    key(
        "match",
        Shape::Text,
        "A regular expression that must match somewhere in the value: anchor it with ^ and $.",
    ),
    key("schemes", Shape::List(&Shape::Text), "The schemes that a url may have."),
    key("values", Shape::List(&Shape::Text), "What an enum may be."),
    key("items", Shape::Choice(ValueType::ITEM_WORDS), "What the items of a list are."),
    key("separator", Shape::Text, "What stands between the items of a list. Without it: a comma."),
    key(
        "generate",
        Shape::Either(&[Shape::Choice(GENERATORS), Shape::Table(GENERATE)]),
        "How `set --generate` makes a value.",
    ),
    key("rotate", Shape::Table(ROTATE), "How often it changes."),
    key("expires", Shape::Date, "The day from which `check` calls it expired."),
    key("scope", TEXTS, "Scopes that it belongs to, beside those that name it in [scope]."),
    key(
        "ref",
        Shape::Map(&Shape::Text),
        "Where it lies in a provider, if not under its own name: path, path#key or path?version=3#key.",
    ),
    key("allow", Shape::Table(ALLOW), "Who may have it."),
];

static REQUIRED: &[Key] = &[
    key("in", TEXTS, "Required in these environments alone."),
    key("unless", TEXTS, "Required everywhere but in these environments."),
];

pub(crate) static GENERATORS: &[&str] = &["password", "hex", "base64", "uuid", "digits"];

static GENERATE: &[Key] = &[
    key(
        "kind",
        Shape::Choice(GENERATORS),
        "password: letters, digits and - _ . ~; hex and base64: length counts bytes.",
    ),
    key("length", Shape::Integer, "Characters, or bytes for hex and base64. Without it: 32."),
];

static ROTATE: &[Key] = &[
    key("every", Shape::Duration, "How old a value may become."),
    key("via", Shape::Text, "What changes it at its source."),
    key("overlap", Shape::Duration, "How long the old value stays valid beside the new one."),
];

static ALLOW: &[Key] = &[key("read", Shape::List(&Shape::Text), "Teams and jobs, as team/pay or ci:deploy.")];

pub(crate) static GROUP: &[Key] = &[
    key("exactly-one", Shape::List(&Shape::Text), "Exactly one of these must have a value."),
    key("at-least-one", Shape::List(&Shape::Text), "One of these at least must have a value."),
    key("together", Shape::List(&Shape::Text), "All of these must have a value, or none."),
];

pub(crate) static GENERATED: &[Key] = &[
    key("env-example", Shape::Text, "An example of a .env file."),
    key("python", Shape::Text, "A pydantic-settings class."),
    key("typescript", Shape::Text, "A module with a typed, checked object."),
    key("go", Shape::Text, "A package with a struct and a function that fills it."),
    key("rust", Shape::Text, "A module with a struct and a function that fills it."),
    key("schema", Shape::Text, "The JSON Schema of manifests, for editors."),
];

pub(crate) static GUARD: &[Key] = &[
    key("gitignore", Shape::Flag, "`check` insists that git ignores files with values. Without it: true."),
    key("precommit", Shape::Flag, "`guard install` writes a hook that checks what is about to be committed."),
    key("fingerprints", Shape::Flag, "`lock` keeps keyed fingerprints beside version ids. Without it: true."),
];

/// Whether a text is a word of the manifest's language, and so no value.
pub(crate) fn is_word_of_ours(text: &str) -> bool {
    let generated = ["variable", "file", "process", "dotenv", "default"];
    text.is_empty()
        || ValueType::WORDS.contains(&text)
        || GENERATORS.contains(&text)
        || generated.contains(&text)
        || KINDS.iter().any(|kind| kind.name == text)
}
