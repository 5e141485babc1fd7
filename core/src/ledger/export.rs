//! x
/// s
pub fn export_csv() {}
/// s
pub fn export_json_lines() {}
