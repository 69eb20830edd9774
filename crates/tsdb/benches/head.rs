//! Placeholder until the head stands.
fn main() {}
