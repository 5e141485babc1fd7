//! What a price book knows, for the denial of what it does not.

use crate::denial::{Denial, DenialKind, shown};

/// The most names that a denial lists.
const MAX_LISTED: usize = 20;

/// The denial of a name that is none of these.
pub(super) fn not_among<'a>(kind: DenialKind, field: &str, given: &str, names: impl Iterator<Item = &'a str>) -> Denial {
    let mut known: Vec<&str> = names.collect();
    let total = known.len();
    if total > MAX_LISTED {
        // A book can have very many, and only the first are sorted.
        known.select_nth_unstable(MAX_LISTED);
        known.truncate(MAX_LISTED);
    }
    known.sort_unstable();
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
