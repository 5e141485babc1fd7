//! What crosses a border, as JSON Schemas: every command with its receipt, every call with its answer, every denial and error with
//! its codes. The bindings are generated from this page, so none of them knows a field by heart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_json::{Map, Value, json};

use crate::command::*;
use crate::denial::DenialKind;
use crate::ledger::OperationKind;
use crate::surface::{CodeLength, ErrorKind, Surface, UsedBy};

/// Text with a meaning of its own: `format` says which.
macro_rules! texts {
    ($($ty:ty = $format:literal;)+) => {$(
        impl JsonSchema for $ty {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $format.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    )+};
}

texts! {
    crate::Amount = "amount";
    crate::Timestamp = "date-time";
    crate::Owner = "owner";
    crate::Subject = "subject";
    crate::OpId = "op-id";
    crate::GrantId = "grant-id";
    crate::HoldId = "hold-id";
    crate::LedgerId = "ledger-id";
    crate::AuditId = "audit-id";
    crate::RefundId = "refund-id";
    crate::RuleId = "rule-id";
    crate::EventId = "event-id";
    crate::Actor = "text-id";
    crate::AppId = "text-id";
    crate::ConsumerName = "text-id";
    crate::DocumentId = "text-id";
    crate::ExtraName = "text-id";
    crate::IdempotencyKey = "text-id";
    crate::LicenceId = "text-id";
    crate::ModelId = "text-id";
    crate::Operator = "text-id";
    crate::OrganizationId = "text-id";
    crate::PolicyTag = "text-id";
    crate::PriceBasis = "text-id";
    crate::RequestId = "text-id";
    crate::Scene = "text-id";
    crate::SessionId = "text-id";
    crate::Stage = "text-id";
    crate::TaskId = "text-id";
    crate::TemplateId = "text-id";
    crate::TenantId = "text-id";
    crate::Unit = "text-id";
    crate::UsageUnit = "text-id";
    crate::UserId = "text-id";
    crate::Zone = "time-zone";
    crate::TaskCursor = "task-cursor";
    crate::event::EventCursor = "event-cursor";
    crate::ledger::ChainHash = "hash";
    crate::ledger::CheckpointDigest = "hash";
    crate::pricing::ExtraAsked = "extra";
    crate::pricing::Rate = "rate";
}

/// The page, as it is put together.
pub(crate) struct Page {
    asked: SchemaGenerator,
    answered: SchemaGenerator,
    commands: Vec<Value>,
    calls: Vec<Value>,
}

/// Everything that a binding is generated from.
///
/// `commands` and `calls` are lists of `{name, doc, asked, answered}`; `types` are the schemas that they refer to, by name; `order` has
/// the fields of each in the order in which they are declared, which JSON Schema does not keep; `denials` and `errors` have the codes.
#[must_use]
pub fn page() -> Value {
    let settings = |contract: Contract| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.contract = contract);
        settings.into_generator()
    };
    let (asked, answered) = (settings(Contract::Deserialize), settings(Contract::Serialize));
    let mut page = Page { asked, answered, commands: Vec::new(), calls: Vec::new() };
    crate::command::describe(&mut page);
    crate::call::describe(&mut page);
    json!({
        "context": bare(page.asked.root_schema_for::<Context>()),
        "context_order": fields_of::<Context>(),
        "commands": page.commands,
        "calls": page.calls,
        "asked_types": page.asked.take_definitions(true),
        "answered_types": page.answered.take_definitions(true),
        "order": orders(),
        "denials": DenialKind::ALL.iter().map(|kind| denial(*kind)).collect::<Vec<_>>(),
        "errors": ErrorKind::ALL.iter().map(|kind| error(*kind)).collect::<Vec<_>>(),
    })
}

/// A schema without those that it refers to: they stand once, beside all.
fn bare(schema: Schema) -> Value {
    let mut value = schema.to_value();
    if let Some(object) = value.as_object_mut() {
        object.remove("$schema");
        object.remove("$defs");
    }
    value
}

impl Page {
    /// Describes a command.
    pub(crate) fn command<B: JsonSchema + DeserializeOwned, R: JsonSchema>(&mut self, kind: OperationKind, type_name: &str) {
        self.commands.push(json!({
            "kind": kind.as_str(),
            "used_by": used_by_name(UsedBy::of(kind)),
            "type": type_name,
            "asked": bare(self.asked.root_schema_for::<B>()),
            "order": fields_of::<B>(),
            "answered": self.answered.subschema_for::<R>().to_value(),
        }));
    }

    /// Describes a call.
    pub(crate) fn call<A: JsonSchema + Listed, R: JsonSchema>(&mut self, name: &str, used_by: UsedBy, doc: &[&str]) {
        self.calls.push(json!({
            "name": name,
            "used_by": used_by_name(used_by),
            "doc": doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n"),
            "asked": bare(self.asked.root_schema_for::<A>()),
            "order": A::fields(),
            "answered": self.answered.subschema_for::<R>().to_value(),
        }));
    }
}

/// The order in which the fields of these types are declared, by name.
fn orders() -> BTreeMap<&'static str, Vec<&'static str>> {
    macro_rules! declared {
        ($($ty:ty),+ $(,)?) => { [$((stringify!($ty), fields_of::<$ty>())),+] };
    }
    let declared = declared![
        crate::AccountKey,
        crate::event::Acknowledged,
        AdjustReceipt,
        AmendReceipt,
        crate::audit::AuditPlace,
        crate::call::AuditRecordPage,
        crate::call::AuditRecordView,
        crate::Balance,
        crate::event::BalanceCrossed,
        BlockReceipt,
        crate::Blocked,
        crate::BlockedAccount,
        CaptureReceipt,
        ChargeReceipt,
        crate::ledger::Checkpoint,
        crate::event::ComplianceAlert,
        CreditLimitReceipt,
        crate::event::CreditsUpdated,
        crate::Distribution,
        crate::ledger::DrawLine,
        crate::call::EntriesPage,
        crate::event::EntryUpdated,
        EraseTextReceipt,
        crate::call::EventView,
        crate::call::EventsPage,
        crate::ExplainedGrant,
        crate::Explanation,
        ExtendReceipt,
        crate::call::FailedAccount,
        crate::ledger::Fault,
        crate::call::Flushed,
        crate::ForgetReport,
        GrantReceipt,
        crate::call::GrantView,
        crate::Health,
        HoldReceipt,
        crate::call::HoldView,
        ImportReceipt,
        crate::LicenceCheck,
        crate::LicencePage,
        crate::pricing::LineItem,
        crate::LowBalance,
        LowBalanceReceipt,
        crate::MemberLimit,
        crate::MemberPage,
        MemberReceipt,
        crate::MemberUse,
        crate::Membership,
        crate::call::OperationView,
        crate::call::Position,
        crate::call::PriceBookView,
        crate::pricing::PriceOption,
        crate::QuotaSnapshot,
        RecurReceipt,
        crate::Recurrence,
        RefundReceipt,
        ReleaseReceipt,
        crate::call::RuleView,
        crate::Scope,
        SettleReceipt,
        crate::Spent,
        crate::ledger::StatementLine,
        crate::call::StatementPage,
        StopRuleReceipt,
        crate::call::SweepView,
        crate::TaskPage,
        TaskReceipt,
        crate::TaskStep,
        crate::TaskView,
        crate::UnusableGrant,
        crate::pricing::Usage,
        crate::ledger::VerifyReport,
        VoidReceipt,
    ];
    let mut orders: BTreeMap<_, _> =
        declared.into_iter().map(|(path, fields)| (path.rsplit(':').next().unwrap_or(path).trim(), fields)).collect();
    // What is written flat, or with names that are never read, cannot be asked.
    orders.insert("LicenceReceipt", of_licence(&LICENCE_RECEIPT));
    orders.insert("LicenceView", of_licence(&LICENCE_VIEW));
    orders.insert("FundedEstimate", FUNDED_ESTIMATE.to_vec());
    orders.insert("EngineStats", ENGINE_STATS.to_vec());
    orders.insert("CommandStats", vec!["accepted", "replayed", "denied", "failed"]);
    orders
}

/// The fields of an answer about a licence: its name, its terms, these.
fn of_licence(beside: &[&'static str]) -> Vec<&'static str> {
    std::iter::once("licence_id").chain(fields_of::<crate::LicenceTerms>()).chain(beside.iter().copied()).collect()
}

const LICENCE_RECEIPT: [&str; 8] =
    ["submitted_documents", "revoked", "changed", "operator", "reason", "created_at", "audit_id", "idempotent_replay"];
const LICENCE_VIEW: [&str; 8] =
    ["submitted_documents", "revoked_at", "reason_code", "used", "reserved", "used_today", "remaining_quota", "daily_remaining"];
const FUNDED_ESTIMATE: [&str; 22] = [
    "currency",
    "template_id",
    "scene",
    "model",
    "app_id",
    "usage_unit",
    "quantity",
    "resolution",
    "priority",
    "selected_cost",
    "estimated_cost",
    "min_cost",
    "max_cost",
    "calculation_basis",
    "policy_tag",
    "extras",
    "options",
    "line_items",
    "current_balance",
    "balance_after",
    "suggest_topup",
    "audit_id",
];
const ENGINE_STATS: [&str; 13] = [
    "commands",
    "staged",
    "batch_size",
    "lock_wait_micros",
    "commit_micros",
    "retries",
    "conflicts",
    "queued",
    "queued_max",
    "queued_bytes",
    "clock_skew_max_micros",
    "audit_waiting",
    "audit_lost",
];

/// A type whose fields have an order.
pub(crate) trait Listed {
    /// Their names on the wire.
    fn fields() -> Vec<&'static str>;
}

impl<T: DeserializeOwned> Listed for T {
    fn fields() -> Vec<&'static str> {
        fields_of::<T>()
    }
}

/// The fields that a struct asks its deserializer for, in the order in which they are declared.
fn fields_of<T: DeserializeOwned>() -> Vec<&'static str> {
    let mut fields: &'static [&'static str] = &[];
    let _refused = T::deserialize(Probe(&mut fields));
    fields.to_vec()
}

/// Remembers what it is asked for, and gives nothing.
struct Probe<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("nothing is given"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn denial(kind: DenialKind) -> Value {
    let code = |surface| {
        let of = |used_by: &UsedBy| (used_by_name(*used_by).to_owned(), shown(kind.code(surface, *used_by)));
        UsedBy::ALL.iter().map(of).collect::<Map<_, _>>()
    };
    let codes: Map<_, _> = Surface::ALL.iter().map(|surface| (surface_name(*surface).to_owned(), code(*surface).into())).collect();
    json!({ "name": kind.name(), "meaning": kind.meaning(), "retryable": kind.retryable(), "codes": codes })
}

fn error(kind: ErrorKind) -> Value {
    let codes: Map<_, _> =
        Surface::ALL.iter().map(|surface| (surface_name(*surface).to_owned(), shown(kind.code(*surface)))).collect();
    json!({ "name": kind.name(), "meaning": kind.meaning(), "codes": codes })
}

fn shown(code: Option<crate::surface::SurfaceCode>) -> Value {
    code.map_or(Value::Null, |code| {
        json!({ "short": code.text(CodeLength::Short), "long": code.text(CodeLength::Long), "http_status": code.http_status })
    })
}

const fn surface_name(surface: Surface) -> &'static str {
    match surface {
        Surface::Platform => "platform",
        Surface::Entitlements => "entitlements",
        Surface::Enterprise => "enterprise",
        Surface::Image => "image",
    }
}

const fn used_by_name(used_by: UsedBy) -> &'static str {
    match used_by {
        UsedBy::Write => "write",
        UsedBy::WriteAllExpired => "write_all_expired",
        UsedBy::Hold => "hold",
        UsedBy::Read => "read",
        UsedBy::Check => "check",
    }
}
