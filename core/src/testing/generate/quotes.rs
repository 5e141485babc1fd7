//! Quotes that random commands name.

use super::{Generator, START};
use crate::audit::{AuditKind, AuditOutcome, AuditRecord};
use crate::id::{AuditId, OpId, TemplateId, TenantId, UserId};
use crate::ledger::ChainHash;
use crate::owner::{Owner, Subject};
use crate::{Amount, Timestamp};

/// Quotes that commands of a sequence name: to be written before it begins. Without them whatever is named is refused.
#[must_use]
#[expect(clippy::expect_used, reason = "the words are constants")]
pub fn quotes() -> Vec<AuditRecord> {
    let quote = |number: i64, tenant: &str, owner: &str| {
        let (tenant_id, owner) = (tenant.parse().expect("an id"), owner.parse::<Owner>().expect("an owner"));
        let created_at = Timestamp::from_micros(START + number * QUOTED_EVERY).expect("an instant");
        let cost = number % 6 + 1;
        let details =
            format!(r#"{{"estimate":{{"currency":"credit","selected_cost":"{cost}","calculation_basis":"pricing_v1"}}}}"#);
        AuditRecord {
            audit_id: quote_id(number, &tenant_id, &owner),
            subject: Some(Subject::from(&owner)),
            tenant_id,
            kind: AuditKind::Quote,
            template_id: (number % 2 == 0).then(|| "a".parse().expect("an id")),
            actor: None,
            request_id: None,
            policy_tag: None,
            outcome: AuditOutcome::Allowed,
            reason_code: None,
            created_at,
            op_id: None,
            count: 1,
            details: details.into(),
            hash: ChainHash::default(),
        }
        .sealed()
    };
    let owners = [("acme", "user:u1"), ("acme", "pool"), ("globex", "pool")];
    owners.into_iter().flat_map(|(tenant, owner)| (0..QUOTES).map(move |number| quote(number, tenant, owner))).collect()
}

/// How many quotes an account has, and how many microseconds after one another.
const QUOTES: i64 = 60;
const QUOTED_EVERY: i64 = 600_000_000;

fn quote_id(number: i64, tenant_id: &TenantId, owner: &Owner) -> AuditId {
    let at = Timestamp::from_micros(START).unwrap_or_default();
    AuditId::derive(OpId::new(at, tenant_id, Some(owner), number.unsigned_abs()), 0)
}

impl Generator {
    /// Sometimes a quote, mostly one that is valid, and what it says of payer, amount and template.
    pub(super) fn quote(&mut self, tenant_id: &TenantId) -> Option<(AuditId, Owner, Amount, Option<TemplateId>)> {
        if !self.chance(12) {
            return None;
        }
        let late = if self.chance(20) { 3 } else { 0 };
        let number = ((self.now - START) / QUOTED_EVERY - late).clamp(0, QUOTES - 1);
        let owner = if self.chance(70) && tenant_id.as_str() == "acme" {
            Owner::User(self.pick(&["u1"], UserId::new))
        } else {
            Owner::Pool
        };
        let amount = Amount::from_micros((number % 6 + 1) * 1_000_000);
        let amount = if self.chance(15) { self.amount(6) } else { amount };
        Some((quote_id(number, tenant_id, &owner), owner, amount, self.some(30, |own| Some(own.pick(&["a"], TemplateId::new)))))
    }
}
