//! SOPS files in the world: the keys that open them, the `.sops.yaml` that governs them, and the verbs.
