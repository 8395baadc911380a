/// What to look for, in the order of the configuration.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub title: String,
    pub rules: Vec<Rule>,
    pub allowlists: Vec<Allowlist>,
}

/// One kind of secret. The words are those of gitleaks' configuration.
#[derive(Debug, Default)]
pub struct Rule {
    pub id: String,
    pub description: String,
}

/// What is not a finding after all.
#[derive(Debug, Default)]
pub struct Allowlist {
    pub description: String,
}
