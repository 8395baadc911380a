//! Brings texts to the detector, from files, git histories, archives and streams; reports, baselines.
