//! Writes the pages that are generated from the core. `make generate` runs it.

use std::fs;

use drawdown_tests::{errors_page, repository};

fn main() -> std::io::Result<()> {
    let path = repository::root().join(errors_page::PATH);
    fs::write(&path, errors_page::page())?;
    println!("wrote {}", errors_page::PATH);
    Ok(())
}
