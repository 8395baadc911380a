//! `strongroom.toml`: which secrets a project needs, what they must look like, and where each environment gets them.
