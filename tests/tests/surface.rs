//! The table of codes, against the documents of the surfaces row by row.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use drawdown::{CodeLength, DenialKind, Error, ErrorKind, Surface, SurfaceCode, UsedBy};

/// name, call, platform, entitlements, enterprise and image; `-` where there is none.
const DOCUMENTED: &[(&str, UsedBy, &str, &str, &str)] = &[
    ("unauthenticated", UsedBy::Write, "40101 401", "ENTITLEMENT_UNAUTHENTICATED 401", "UNAUTHENTICATED 401"),
    ("api_key_invalid", UsedBy::Write, "40101 401", "ENTITLEMENT_UNAUTHENTICATED 401", "API_KEY_INVALID 401"),
    ("payload_invalid", UsedBy::Write, "42201 422", "ENTITLEMENT_INVALID_REQUEST 422", "INVALID_REQUEST 400"),
    ("amount_invalid", UsedBy::Write, "42201 422", "ENTITLEMENT_INVALID_REQUEST 422", "INVALID_REQUEST 400"),
    ("config_invalid", UsedBy::Write, "42201 422", "ENTITLEMENT_INVALID_CONFIG 422", "-"),
    ("owner_invalid", UsedBy::Write, "42201 422", "ENTITLEMENT_INVALID_REQUEST 422", "OWNER_INVALID 400"),
    ("payload_too_large", UsedBy::Write, "42201 413", "ENTITLEMENT_INVALID_REQUEST 413", "PAYLOAD_TOO_LARGE 413"),
    ("not_a_member", UsedBy::Write, "40302 403", "ENTITLEMENT_FORBIDDEN 403", "NOT_A_MEMBER 403"),
    ("ip_not_allowed", UsedBy::Write, "40302 403", "ENTITLEMENT_FORBIDDEN 403", "IP_NOT_ALLOWED 403"),
    ("blocked", UsedBy::Write, "40302 403", "ENTITLEMENT_FORBIDDEN 403", "BLOCKED 403"),
    ("member_limit_exceeded", UsedBy::Write, "2901 429", "ENTITLEMENT_RATE_LIMIT 429", "MEMBER_LIMIT_EXCEEDED 429"),
    ("authorization_missing", UsedBy::Write, "40302 403", "-", "-"),
    ("authorization_not_found", UsedBy::Write, "40401 404", "-", "-"),
    ("authorization_revoked", UsedBy::Write, "40302 403", "-", "-"),
    ("daily_quota_exceeded", UsedBy::Write, "40303 403", "-", "-"),
    ("quota_exceeded", UsedBy::Write, "40303 403", "-", "-"),
    ("template_not_found", UsedBy::Write, "0401 404", "-", "-"),
    ("model_unknown", UsedBy::Write, "0401 404", "-", "MODEL_UNKNOWN 400"),
    ("version_conflict", UsedBy::Write, "40904 409", "ENTITLEMENT_CONFLICT 409", "VERSION_CONFLICT 409"),
    ("account_not_found", UsedBy::Write, "40401 404", "ENTITLEMENT_NOT_FOUND 404", "NOT_FOUND 404"),
    ("pre_deduct_not_found", UsedBy::Write, "40401 404", "ENTITLEMENT_NOT_FOUND 404", "NOT_FOUND 404"),
    ("task_not_found", UsedBy::Write, "40401 404", "ENTITLEMENT_NOT_FOUND 404", "NOT_FOUND 404"),
    ("grant_not_found", UsedBy::Write, "40401 404", "ENTITLEMENT_NOT_FOUND 404", "NOT_FOUND 404"),
    ("batch_not_found", UsedBy::Write, "40401 404", "ENTITLEMENT_NOT_FOUND 404", "NOT_FOUND 404"),
    ("config_not_found", UsedBy::Write, "40401 404", "ENTITLEMENT_NOT_FOUND 404", "NOT_FOUND 404"),
    ("insufficient_balance", UsedBy::Write, "40201 402", "ENTITLEMENT_INSUFFICIENT 402", "INSUFFICIENT_CREDITS 402"),
    ("insufficient_balance", UsedBy::WriteAllExpired, "40201 402", "ENTITLEMENT_EXPIRED 402", "INSUFFICIENT_CREDITS 402"),
    ("insufficient_balance", UsedBy::Hold, "40302 403", "ENTITLEMENT_INSUFFICIENT 402", "INSUFFICIENT_CREDITS 402"),
    ("estimate_rate_limited", UsedBy::Read, "2901 429", "ENTITLEMENT_RATE_LIMIT 429", "RATE_LIMIT_EXCEEDED 429"),
    ("charge_rate_limited", UsedBy::Write, "2901 429", "ENTITLEMENT_RATE_LIMIT 429", "RATE_LIMIT_EXCEEDED 429"),
    ("cap_exceeded", UsedBy::Write, "2901 429", "ENTITLEMENT_RATE_LIMIT 429", "RATE_LIMIT_EXCEEDED 429"),
    ("batch_too_large", UsedBy::Write, "-", "-", "BATCH_TOO_LARGE 413"),
    ("pre_deduct_already_processed", UsedBy::Hold, "40901 409", "-", "ALREADY_PROCESSED 409"),
    ("hold_exceeded", UsedBy::Hold, "40902 409", "-", "HOLD_EXCEEDED 409"),
    ("idempotency_conflict", UsedBy::Write, "0901 409", "ENTITLEMENT_DUPLICATE 409", "IDEMPOTENCY_CONFLICT 409"),
    ("grant_duplicate", UsedBy::Write, "-", "ENTITLEMENT_DUPLICATE 409", "-"),
    ("invalid_refund_amount", UsedBy::Write, "40003 400", "ENTITLEMENT_INVALID_REQUEST 422", "INVALID_REQUEST 400"),
    ("refund_duplicate", UsedBy::Write, "0903 409", "ENTITLEMENT_DUPLICATE 409", "ALREADY_PROCESSED 409"),
    ("refund_not_allowed", UsedBy::Write, "0305 403", "ENTITLEMENT_FORBIDDEN 403", "NOT_ALLOWED 403"),
    ("pricing_unavailable", UsedBy::Write, "50301 503", "ENTITLEMENT_UNAVAILABLE 503", "PRICING_UNAVAILABLE 503"),
    ("ledger_unavailable", UsedBy::Write, "0302 503", "ENTITLEMENT_UNAVAILABLE 503", "UNAVAILABLE 503"),
    ("ledger_service_unavailable", UsedBy::Read, "0303 503", "ENTITLEMENT_UNAVAILABLE 503", "UNAVAILABLE 503"),
    ("license_service_unavailable", UsedBy::Write, "0304 503", "ENTITLEMENT_UNAVAILABLE 503", "UNAVAILABLE 503"),
    ("model_failed", UsedBy::Write, "-", "-", "MODEL_FAILED 502"),
    ("model_timed_out", UsedBy::Write, "-", "-", "MODEL_TIMED_OUT 504"),
    ("internal", UsedBy::Write, "50000 500", "ENTITLEMENT_INTERNAL 500", "INTERNAL 500"),
];

/// Ours alone: the documents know neither structural limits nor how long events are retained.
const UNDOCUMENTED: &[(&str, UsedBy, &str, &str, &str)] = &[
    ("cursor_expired", UsedBy::Read, "41001 410", "-", "-"),
    ("capacity_exceeded", UsedBy::Write, "42201 422", "ENTITLEMENT_INVALID_REQUEST 422", "CAPACITY_EXCEEDED 409"),
];

fn code_of(name: &str, surface: Surface, used_by: UsedBy) -> Option<SurfaceCode> {
    let denial = DenialKind::ALL.iter().find(|kind| kind.name() == name);
    let error = ErrorKind::ALL.iter().find(|kind| kind.name() == name);
    match (denial, error) {
        (Some(kind), None) => kind.code(surface, used_by),
        (None, Some(kind)) => kind.code(surface),
        _ => panic!("`{name}` is not the name of one denial or one error"),
    }
}

fn shown(code: Option<SurfaceCode>) -> String {
    code.map_or_else(|| "-".to_owned(), |code| format!("{} {}", code.code, code.http_status))
}

#[test]
fn every_documented_row_holds() {
    for (name, used_by, platform, entitlements, others) in DOCUMENTED.iter().chain(UNDOCUMENTED) {
        assert_eq!(shown(code_of(name, Surface::Platform, *used_by)), *platform, "{name} on the platform");
        assert_eq!(shown(code_of(name, Surface::Entitlements, *used_by)), *entitlements, "{name} for entitlements");
        assert_eq!(shown(code_of(name, Surface::Enterprise, *used_by)), *others, "{name} for enterprise");
        assert_eq!(shown(code_of(name, Surface::Image, *used_by)), *others, "{name} for images");
    }
}

#[test]
fn every_name_has_a_row() {
    let rows: Vec<&str> = DOCUMENTED.iter().chain(UNDOCUMENTED).map(|row| row.0).collect();
    for kind in DenialKind::ALL {
        assert!(rows.contains(&kind.name()), "no row for the denial `{}`", kind.name());
        assert!(Surface::ALL.iter().any(|surface| kind.code(*surface, UsedBy::Write).is_some()), "no code for `{}`", kind.name());
        let json = serde_json::to_value(kind).unwrap();
        assert_eq!(json, kind.name(), "the name on the wire is the name");
    }
    for kind in ErrorKind::ALL {
        assert!(rows.contains(&kind.name()), "no row for the error `{}`", kind.name());
    }
}

#[test]
fn only_the_balance_depends_on_the_call() {
    for kind in DenialKind::ALL.iter().filter(|kind| **kind != DenialKind::InsufficientBalance) {
        for surface in Surface::ALL {
            for used_by in UsedBy::ALL {
                assert_eq!(kind.code(*surface, *used_by), kind.code(*surface, UsedBy::Write), "{kind:?} {surface:?}");
            }
        }
    }
}

#[test]
fn a_short_code_is_the_long_one_without_its_first_digit() {
    let codes = DenialKind::ALL.iter().flat_map(|kind| Surface::ALL.iter().filter_map(|s| kind.code(*s, UsedBy::Write)));
    let codes = codes.chain(ErrorKind::ALL.iter().flat_map(|kind| Surface::ALL.iter().filter_map(|s| kind.code(*s))));
    let mut shortened = Vec::new();
    for code in codes {
        assert_eq!(code.text(CodeLength::Short), code.code);
        let long = code.text(CodeLength::Long);
        if code.code.len() == 4 && code.code.bytes().all(|b| b.is_ascii_digit()) {
            assert_eq!(long.len(), 5, "{code:?}");
            assert_eq!(long.get(1..), Some(code.code));
            assert_eq!(long.get(..1), code.http_status.to_string().get(..1), "the first digit is the status's: {code:?}");
            shortened.push(code.code);
        } else {
            assert_eq!(long, code.code);
        }
    }
    shortened.sort_unstable();
    shortened.dedup();
    assert_eq!(shortened, ["0302", "0303", "0304", "0305", "0401", "0901", "0903", "2901"]);
}

#[test]
fn an_error_is_unavailable_unless_waiting_does_not_help() {
    let busy = Error::Busy("the queue is full".to_owned());
    assert_eq!(busy.kind(UsedBy::Write), ErrorKind::LedgerUnavailable);
    assert_eq!(busy.kind(UsedBy::Hold), ErrorKind::LedgerUnavailable);
    assert_eq!(busy.kind(UsedBy::Read), ErrorKind::LedgerServiceUnavailable);
    assert_eq!(busy.kind(UsedBy::Check), ErrorKind::LicenseServiceUnavailable);
    assert_eq!(Error::Closed.kind(UsedBy::Read).code(Surface::Platform).unwrap().http_status, 503);
    assert_eq!(Error::Output("the pipe is closed".to_owned()).kind(UsedBy::Read), ErrorKind::Internal);
    assert_eq!(Error::Corrupt("seq 3".to_owned()).kind(UsedBy::Read), ErrorKind::Internal);
}
