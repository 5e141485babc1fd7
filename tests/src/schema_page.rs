//! `core/schema.json`: every command, call, receipt and answer, and every denial and error with its codes. The bindings are generated
//! from it.

/// Where the page lies in the repository.
pub const PATH: &str = "core/schema.json";

/// The whole page.
#[must_use]
pub fn page() -> String {
    let page = drawdown::schema::page();
    let mut text = serde_json::to_string_pretty(&page).unwrap_or_default();
    text.push('\n');
    text
}
