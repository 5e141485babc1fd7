//! What a price book knows, for the denial of what it does not.

use crate::denial::{Denial, DenialKind, shown};

/// The most names that a denial lists.
const MAX_LISTED: usize = 20;

/// The denial of a name that is none of these.
pub(super) fn not_among<'a>(kind: DenialKind, field: &str, given: &str, names: impl Iterator<Item = &'a str>) -> Denial {
    let mut known: Vec<&str> = names.collect();
    known.sort_unstable();
    let total = known.len();
    known.truncate(MAX_LISTED);
    let allowed = match total {
        0 => "nothing: the price book has none".to_owned(),
        1..=MAX_LISTED => format!("one of {}", known.join(", ")),
        _ => format!("one of {}, … ({total} in all)", known.join(", ")),
    };
    let given = shown(given);
    Denial::new(kind, format!("`{field}` cannot be `{given}`: it takes {allowed}"))
        .with("field", field)
        .with("given", given)
        .with("allowed", allowed)
        .with("known", known)
        .with("known_total", total)
}
