//! Writes the pages that are generated from the core. `make generate` runs it.

use std::fs;

use drawdown_tests::{errors_page, repository, schema_page};

fn main() -> std::io::Result<()> {
    for (path, page) in [(errors_page::PATH, errors_page::page()), (schema_page::PATH, schema_page::page())] {
        fs::write(repository::root().join(path), page)?;
        println!("wrote {path}");
    }
    Ok(())
}
