//! The `floe-loadtest` command.

fn main() {}
