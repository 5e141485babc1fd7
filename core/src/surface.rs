//! The codes of denials and errors by surface: one table.

use crate::denial::DenialKind;
use crate::error::Error;
use crate::ledger::OperationKind;

/// An HTTP surface, each with its own codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The platform's estimate, pre-deduct, commit, cancel, charge and refund.
    Platform,
    /// Entitlements of apps.
    Entitlements,
    /// Batches by API key.
    Enterprise,
    /// Image edits.
    Image,
}

impl Surface {
    /// Every surface.
    pub const ALL: &[Surface] = &[Surface::Platform, Surface::Entitlements, Surface::Enterprise, Surface::Image];
}

/// The call in whose answer a code stands, where that decides the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsedBy {
    /// A charge, a consume, or another write that holds nothing.
    Write,
    /// The same, when there were grants that could have paid and every one of them has expired.
    WriteAllExpired,
    /// A pre-deduct, or a capture above the hold.
    Hold,
    /// A read.
    Read,
    /// A licence check.
    Check,
}

impl UsedBy {
    /// Every call.
    pub const ALL: &[UsedBy] = &[UsedBy::Write, UsedBy::WriteAllExpired, UsedBy::Hold, UsedBy::Read, UsedBy::Check];

    /// The call in whose answer the codes of a command stand.
    #[must_use]
    pub const fn of(kind: OperationKind) -> UsedBy {
        match kind {
            OperationKind::Hold | OperationKind::Capture | OperationKind::CompleteTask => UsedBy::Hold,
            _ => UsedBy::Write,
        }
    }
}

/// How numeric codes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CodeLength {
    /// As the documents of the surfaces say: some have four digits (`0901`).
    #[default]
    Short,
    /// Always five digits (`40901`).
    Long,
}

/// What a surface says: a code and an HTTP status. Codes are text: `0901` keeps its zero.
///
/// A client branches on the name of the denial; several names share a code.
///
/// # Examples
/// ```
/// use drawdown::{CodeLength, DenialKind, Surface, UsedBy};
/// let code = DenialKind::IdempotencyConflict.code(Surface::Platform, UsedBy::Write).unwrap();
/// assert_eq!((code.code, code.http_status), ("0901", 409));
/// assert_eq!(code.text(CodeLength::Long), "40901");
/// assert_eq!(DenialKind::GrantDuplicate.code(Surface::Platform, UsedBy::Write), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SurfaceCode {
    /// The code, as the documents of the surface say it.
    pub code: &'static str,
    /// The HTTP status.
    pub http_status: u16,
}

impl SurfaceCode {
    /// The code in this length. A code of four digits is one of five without its first.
    #[must_use]
    pub fn text(self, length: CodeLength) -> &'static str {
        match (length, self.code) {
            (CodeLength::Long, "0302") => "50302",
            (CodeLength::Long, "0303") => "50303",
            (CodeLength::Long, "0304") => "50304",
            (CodeLength::Long, "0305") => "40305",
            (CodeLength::Long, "0401") => "40401",
            (CodeLength::Long, "0901") => "40901",
            (CodeLength::Long, "0903") => "40903",
            (CodeLength::Long, "2901") => "42901",
            (_, code) => code,
        }
    }
}

macro_rules! error_kinds {
    ($(#[doc = $meaning:literal] $kind:ident = $name:literal;)+) => {
        /// The name of a failure on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $(#[doc = $meaning] $kind,)+
        }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$kind),+];

            /// The stable name that clients branch on.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$kind => $name,)+ }
            }

            /// One sentence that says when it occurs.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(ErrorKind::$kind => $meaning.trim_ascii(),)+ }
            }
        }
    };
}

error_kinds! {
    /// The ledger cannot take the command now; the same key makes a repetition safe.
    LedgerUnavailable = "ledger_unavailable";
    /// The ledger cannot be read now.
    LedgerServiceUnavailable = "ledger_service_unavailable";
    /// Licences cannot be checked now.
    LicenseServiceUnavailable = "license_service_unavailable";
    /// The host's model failed; nothing was charged.
    ModelFailed = "model_failed";
    /// The host's model did not answer in time; nothing was charged.
    ModelTimedOut = "model_timed_out";
    /// The books contradict themselves, or an answer could not be written.
    Internal = "internal";
}

impl Error {
    /// Its name on the wire, in the answer of this call.
    #[must_use]
    pub const fn kind(&self, used_by: UsedBy) -> ErrorKind {
        match (self, used_by) {
            (Error::Corrupt(_) | Error::Output(_), _) => ErrorKind::Internal,
            (_, UsedBy::Read) => ErrorKind::LedgerServiceUnavailable,
            (_, UsedBy::Check) => ErrorKind::LicenseServiceUnavailable,
            (_, _) => ErrorKind::LedgerUnavailable,
        }
    }
}

impl DenialKind {
    /// What a surface says for it; none where no call of the surface is denied so.
    #[must_use]
    pub const fn code(self, surface: Surface, used_by: UsedBy) -> Option<SurfaceCode> {
        denial_row(self, used_by).on(surface)
    }
}

impl ErrorKind {
    /// What a surface says for it; none where no call of the surface fails so.
    #[must_use]
    pub const fn code(self, surface: Surface) -> Option<SurfaceCode> {
        error_row(self).on(surface)
    }
}

/// A cell of the table: none where the surface has no such answer.
type Cell = Option<SurfaceCode>;

/// A row of the table. The enterprise and image surfaces share a column.
struct Row(Cell, Cell, Cell);

impl Row {
    const fn on(self, surface: Surface) -> Cell {
        match surface {
            Surface::Platform => self.0,
            Surface::Entitlements => self.1,
            Surface::Enterprise | Surface::Image => self.2,
        }
    }
}

const NONE: Cell = None;

const fn cell(code: &'static str, http_status: u16) -> Cell {
    Some(SurfaceCode { code, http_status })
}

/// Platform, entitlements, enterprise and image.
#[rustfmt::skip]
const fn denial_row(kind: DenialKind, used_by: UsedBy) -> Row {
    use DenialKind as K;
    const ENTITLEMENT_INVALID: Cell = cell("ENTITLEMENT_INVALID_REQUEST", 422);
    const ENTITLEMENT_MISSING: Cell = cell("ENTITLEMENT_NOT_FOUND", 404);
    const ENTITLEMENT_LIMIT: Cell = cell("ENTITLEMENT_RATE_LIMIT", 429);
    const ENTITLEMENT_DUPLICATE: Cell = cell("ENTITLEMENT_DUPLICATE", 409);
    const ENTITLEMENT_FORBIDDEN: Cell = cell("ENTITLEMENT_FORBIDDEN", 403);
    const INSUFFICIENT: Cell = cell("INSUFFICIENT_CREDITS", 402);
    match kind {
        K::Unauthenticated => Row(cell("40101", 401), cell("ENTITLEMENT_UNAUTHENTICATED", 401), cell("UNAUTHENTICATED", 401)),
        K::ApiKeyInvalid => Row(cell("40101", 401), cell("ENTITLEMENT_UNAUTHENTICATED", 401), cell("API_KEY_INVALID", 401)),
        K::IpNotAllowed => Row(cell("40302", 403), ENTITLEMENT_FORBIDDEN, cell("IP_NOT_ALLOWED", 403)),
        K::PayloadInvalid | K::AmountInvalid => Row(cell("42201", 422), ENTITLEMENT_INVALID, cell("INVALID_REQUEST", 400)),
        K::ConfigInvalid => Row(cell("42201", 422), cell("ENTITLEMENT_INVALID_CONFIG", 422), NONE),
        K::PayloadTooLarge => Row(cell("42201", 413), cell("ENTITLEMENT_INVALID_REQUEST", 413), cell("PAYLOAD_TOO_LARGE", 413)),
        K::BatchTooLarge => Row(NONE, NONE, cell("BATCH_TOO_LARGE", 413)),
        K::IdempotencyConflict => Row(cell("0901", 409), ENTITLEMENT_DUPLICATE, cell("IDEMPOTENCY_CONFLICT", 409)),
        K::EstimateRateLimited | K::ChargeRateLimited | K::CapExceeded =>
            Row(cell("2901", 429), ENTITLEMENT_LIMIT, cell("RATE_LIMIT_EXCEEDED", 429)),
        K::OwnerInvalid => Row(cell("42201", 422), ENTITLEMENT_INVALID, cell("OWNER_INVALID", 400)),
        K::Blocked => Row(cell("40302", 403), ENTITLEMENT_FORBIDDEN, cell("BLOCKED", 403)),
        K::NotAMember => Row(cell("40302", 403), ENTITLEMENT_FORBIDDEN, cell("NOT_A_MEMBER", 403)),
        K::MemberLimitExceeded => Row(cell("2901", 429), ENTITLEMENT_LIMIT, cell("MEMBER_LIMIT_EXCEEDED", 429)),
        K::VersionConflict => Row(cell("40904", 409), cell("ENTITLEMENT_CONFLICT", 409), cell("VERSION_CONFLICT", 409)),
        K::AccountNotFound | K::GrantNotFound | K::PreDeductNotFound | K::TaskNotFound | K::BatchNotFound | K::ConfigNotFound =>
            Row(cell("40401", 404), ENTITLEMENT_MISSING, cell("NOT_FOUND", 404)),
        // Only the platform's stream reads events.
        K::CursorExpired => Row(cell("41001", 410), NONE, NONE),
        K::PreDeductAlreadyProcessed => Row(cell("40901", 409), NONE, cell("ALREADY_PROCESSED", 409)),
        K::HoldExceeded => Row(cell("40902", 409), NONE, cell("HOLD_EXCEEDED", 409)),
        K::GrantDuplicate => Row(NONE, ENTITLEMENT_DUPLICATE, NONE),
        K::RefundNotAllowed => Row(cell("0305", 403), ENTITLEMENT_FORBIDDEN, cell("NOT_ALLOWED", 403)),
        K::RefundDuplicate => Row(cell("0903", 409), ENTITLEMENT_DUPLICATE, cell("ALREADY_PROCESSED", 409)),
        K::InvalidRefundAmount => Row(cell("40003", 400), ENTITLEMENT_INVALID, cell("INVALID_REQUEST", 400)),
        K::TemplateNotFound => Row(cell("0401", 404), NONE, NONE),
        K::ModelUnknown => Row(cell("0401", 404), NONE, cell("MODEL_UNKNOWN", 400)),
        K::PricingUnavailable => Row(cell("50301", 503), cell("ENTITLEMENT_UNAVAILABLE", 503), cell("PRICING_UNAVAILABLE", 503)),
        K::AuthorizationMissing | K::AuthorizationRevoked => Row(cell("40302", 403), NONE, NONE),
        K::AuthorizationNotFound => Row(cell("40401", 404), NONE, NONE),
        K::DailyQuotaExceeded | K::QuotaExceeded => Row(cell("40303", 403), NONE, NONE),
        // The documents of the surfaces know no structural limits: on the platform and for entitlements it reads as a
        // request that cannot be taken, elsewhere as a conflict with what the account holds.
        K::CapacityExceeded => Row(cell("42201", 422), ENTITLEMENT_INVALID, cell("CAPACITY_EXCEEDED", 409)),
        K::InsufficientBalance => match used_by {
            UsedBy::Write | UsedBy::Read | UsedBy::Check => Row(cell("40201", 402), cell("ENTITLEMENT_INSUFFICIENT", 402), INSUFFICIENT),
            UsedBy::WriteAllExpired => Row(cell("40201", 402), cell("ENTITLEMENT_EXPIRED", 402), INSUFFICIENT),
            UsedBy::Hold => Row(cell("40302", 403), cell("ENTITLEMENT_INSUFFICIENT", 402), INSUFFICIENT),
        },
    }
}

/// Platform, entitlements, enterprise and image.
#[rustfmt::skip]
const fn error_row(kind: ErrorKind) -> Row {
    const ENTITLEMENT_UNAVAILABLE: Cell = cell("ENTITLEMENT_UNAVAILABLE", 503);
    const UNAVAILABLE: Cell = cell("UNAVAILABLE", 503);
    match kind {
        ErrorKind::LedgerUnavailable => Row(cell("0302", 503), ENTITLEMENT_UNAVAILABLE, UNAVAILABLE),
        ErrorKind::LedgerServiceUnavailable => Row(cell("0303", 503), ENTITLEMENT_UNAVAILABLE, UNAVAILABLE),
        ErrorKind::LicenseServiceUnavailable => Row(cell("0304", 503), ENTITLEMENT_UNAVAILABLE, UNAVAILABLE),
        ErrorKind::ModelFailed => Row(NONE, NONE, cell("MODEL_FAILED", 502)),
        ErrorKind::ModelTimedOut => Row(NONE, NONE, cell("MODEL_TIMED_OUT", 504)),
        ErrorKind::Internal => Row(cell("50000", 500), cell("ENTITLEMENT_INTERNAL", 500), cell("INTERNAL", 500)),
    }
}
