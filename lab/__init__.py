"""Studies, benchmarks, peers and releases: what the repository needs and no user installs."""
