//! Documents that keep every byte: JSON, YAML, TOML and INI. A change touches the lines that it is about.
