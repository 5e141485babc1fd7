//! Everything but commands that can be asked of an engine, as data: a name, its fields, an answer. Bindings carry calls and
//! [`crate::Command`]s over their border and know neither by heart; a Rust program has the methods of [`Engine`] instead.
//!
//! The list of calls is [`Call`]: one row each, with what is asked, what is answered, and the method that answers. What is asked and
//! answered stands in a file a family.

mod account;
mod audit;
mod credit;
mod declare;
mod event;
mod ledger;
mod licence;
mod member;
mod price;
mod task;
mod upkeep;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub use account::{AccountsAfter, ExplainFor, OfAccount, OfAccountAt, OfAccountBy, SpentBy};
pub use audit::{AuditOf, AuditRecordPage, AuditRecordView, Flushed};
pub use credit::{GrantOf, GrantView, HoldOf, HoldView, RuleView};
pub use event::{AcknowledgeUpTo, ConsumerOf, EventView, EventsOf, EventsPage, Position};
pub use ledger::{EntriesOf, EntriesPage, OperationOf, OperationView, StatementOf, StatementPage};
pub use licence::{CheckLicenceFor, LicenceOf, LicencesOf};
pub use member::{MemberOf, MembersOf};
pub use price::{PriceBookText, PriceBookView, PriceFor};
pub use task::{StepsOf, TaskOf};
pub use upkeep::{FailedAccount, NoFields, OfTenant, SweepView, UpTo, UpToFrom, VerifyFrom};

use crate::command::{Given, read_fields, read_given};
use crate::credit::{Blocked, Explanation};
use crate::denial::Denial;
use crate::engine::{Balance, Engine, EngineStats, ForgetReport, Health, LicencePage, MemberPage, MemberUse, TaskPage};
use crate::error::{Error, Failure};
use crate::event::Acknowledged;
use crate::ledger::{Checkpoint, VerifyReport};
use crate::licence::{LicenceCheck, LicenceView};
use crate::owner::AccountKey;
use crate::pricing::FundedEstimate;
use crate::risk::Spent;
use crate::surface::UsedBy;
use crate::task::TaskView;

macro_rules! calls {
    ($( $(#[doc = $doc:literal])+ $name:literal = $variant:ident($asked:ty) -> $answer:ty, $used_by:ident: $ask:expr; )+) => {
        /// A question to an engine, or an errand for it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Call {
            $( $(#[doc = $doc])+ $variant($asked), )+
        }

        /// The answer to a [`Call`]. It is written as its content is.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each answers the call of the same name")]
        pub enum Reply {
            $( $variant($answer), )+
        }

        impl Serialize for Reply {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // The name tells a binding what an answer is that is written flat; JSON shows the content alone.
                match self { $( Reply::$variant(answer) => serializer.serialize_newtype_struct(stringify!($answer), answer), )+ }
            }
        }

        impl Call {
            /// The names of all calls.
            pub const NAMES: &[&str] = &[$($name),+];

            /// Reads a call from its name and the fields of a JSON object. Unknown fields are refused.
            ///
            /// # Errors
            /// `payload_invalid` that names the path of the mistake, `amount_invalid` and `owner_invalid` as of a command.
            ///
            /// # Examples
            /// ```
            /// use drawdown::Engine;
            /// use drawdown::call::{Call, Reply};
            /// use serde_json::json;
            /// let fields = |owner| json!({ "tenant_id": "acme", "owner": owner }).as_object().unwrap().clone();
            /// let call = Call::from_fields("balance", fields("user:u1"))?;
            /// let Reply::Balance(balance) = Engine::in_memory().call(call)? else { unreachable!() };
            /// assert_eq!(balance.available.to_string(), "0");
            /// let refused = Call::from_fields("balance", fields("u1")).unwrap_err();
            /// assert_eq!((refused.name(), &refused.details()["field"]), ("owner_invalid", &"owner".into()));
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn from_fields(name: &str, fields: Map<String, Value>) -> Result<Call, Denial> {
                match name {
                    $( $name => <$asked>::read(fields).map(Call::$variant), )+
                    other => Err(Denial::invalid("call", other, concat!("one of", $(" ", $name),+))),
                }
            }

            /// Reads a call from a host's own values. None where something is wrong with one, or with the name:
            /// [`Call::from_fields`], given the same, says what.
            #[must_use]
            pub fn from_given<G: Given>(name: &str, fields: &[(&str, G)]) -> Option<Call> {
                match name {
                    $( $name => <$asked>::read_given(fields).map(Call::$variant), )+
                    _ => None,
                }
            }

            /// Its name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $( Call::$variant(_) => $name, )+ }
            }

            /// The kind of call, where that decides the code of a refusal.
            #[must_use]
            pub const fn used_by(&self) -> UsedBy {
                match self { $( Call::$variant(_) => UsedBy::$used_by, )+ }
            }
        }

        impl Engine {
            /// Answers a call.
            ///
            /// # Errors
            /// Those of the method of the same name.
            ///
            /// # Examples
            /// See [`Call::from_fields`].
            pub fn call(&self, call: Call) -> Result<Reply, Failure> {
                match call {
                    $( Call::$variant(asked) => {
                        let answer: fn(&Engine, $asked) -> Result<$answer, Failure> = $ask;
                        answer(self, asked).map(Reply::$variant)
                    } )+
                }
            }
        }

        /// What the page of schemas says of each call.
        #[cfg(feature = "schema")]
        pub(crate) fn describe(page: &mut crate::schema::Page) {
            $( page.call::<$asked, $answer>($name, UsedBy::$used_by, &[$($doc),+]); )+
        }
    };
}

/// What is asked, read from the fields of a JSON object.
trait Asked: Sized {
    fn read(fields: Map<String, Value>) -> Result<Self, Denial>;

    /// The same, from a host's own values; none where something is wrong with one.
    fn read_given<G: Given>(fields: &[(&str, G)]) -> Option<Self>;
}

impl<T: serde::de::DeserializeOwned> Asked for T {
    fn read(fields: Map<String, Value>) -> Result<T, Denial> {
        read_fields(fields)
    }

    fn read_given<G: Given>(fields: &[(&str, G)]) -> Option<T> {
        read_given(fields, |_| true)
    }
}

calls! {
    /// The balance of an account, now or at an instant. An account that never had an entry has zeros.
    "balance" = Balance(OfAccountAt) -> Balance, Read: |engine, asked| {
        let account = asked.account(engine);
        match asked.at {
            Some(at) => engine.balance_at(&account, at),
            None => engine.balance(&account),
        }
    };
    /// The open grants of an account, in the order of consumption.
    "grants" = Grants(OfAccount) -> Vec<GrantView>, Read: |engine, asked| {
        let account = asked.account(engine);
        Ok(engine.grants(&account)?.iter().map(|grant| GrantView::of(&account, grant)).collect())
    };
    /// The rules that run in an account, the first made first, each with its next boundary.
    "rules" = Rules(OfAccount) -> Vec<RuleView>, Read: |engine, asked| {
        let account = asked.account(engine);
        Ok(engine.rules(&account)?.iter().map(|rule| RuleView::of(&account, rule)).collect())
    };
    /// From which grants an amount would be drawn now, and why in that order.
    "explain" = Explain(ExplainFor) -> Explanation, Read: |engine, asked| {
        let account = asked.account(engine);
        engine.explain(&account, asked.amount, asked.app_id.as_ref(), asked.template_id.as_ref())
    };
    /// A hold as it stands now. One past its expiry has released what it kept.
    "hold" = Hold(HoldOf) -> HoldView, Read: |engine, asked| {
        let (account, hold) = engine.hold(&asked.tenant_id, asked.hold_id)?;
        Ok(HoldView::of(&account, &hold))
    };
    /// A grant as it stands now, open or not.
    "grant" = Grant(GrantOf) -> GrantView, Read: |engine, asked| {
        let (account, grant) = engine.grant(&asked.tenant_id, asked.grant_id)?;
        Ok(GrantView::of(&account, &grant))
    };
    /// The operation that was accepted under a key; none if there is none.
    "operation_by_key" = OperationByKey(OperationOf) -> Option<OperationView>, Read: |engine, asked| {
        let found = engine.operation_by_key(&asked.tenant_id, &asked.idempotency_key)?;
        Ok(found.map(|stored| OperationView::of(&stored)))
    };
    /// A page of entries: of an account (`owner`), of a task (`task_id` alone), or of the tenant.
    "entries" = Entries(EntriesOf) -> EntriesPage, Read: |engine, asked| {
        engine.lines(asked.query(engine)).map(EntriesPage::of)
    };
    /// A page of a statement: entries as CSV or JSON lines.
    "statement" = Statement(StatementOf) -> StatementPage, Read: |engine, asked| asked.page(engine);
    /// What work costs by the price book in force, and what the account lacks to pay it.
    "estimate" = Estimate(PriceFor) -> FundedEstimate, Read: |engine, asked| {
        engine.estimate_for(&asked.account(engine)?, &asked.request, &asked.caller)
    };
    /// The same as a quote: durable before it is answered; a hold or charge can name its `audit_id`.
    "quote" = Quote(PriceFor) -> FundedEstimate, Read: |engine, asked| {
        engine.quote(&asked.account(engine)?, &asked.request, &asked.caller)
    };
    /// Whether a template may be used, and how often still. Nothing is used up.
    "check_licence" = CheckLicence(CheckLicenceFor) -> LicenceCheck, Check: |engine, asked| {
        engine.check_licence_for(&asked.template(), asked.channel, &asked.caller())
    };
    /// A licence as it stands now.
    "licence" = Licence(LicenceOf) -> LicenceView, Read: |engine, asked| engine.licence(&asked.tenant_id, &asked.licence_id);
    /// A page of the licences of a tenant, or of one template.
    "licences" = Licences(LicencesOf) -> LicencePage, Read: |engine, asked| {
        engine.licences(&asked.tenant_id, asked.template_id.as_ref(), asked.after.as_ref(), asked.limit)
    };
    /// A page of the members of an organization.
    "members" = Members(MembersOf) -> MemberPage, Read: |engine, asked| {
        engine.members(&asked.tenant_id, &asked.organization_id, asked.after.as_ref(), asked.limit)
    };
    /// A member of an organization, and what is left of the limit.
    "member" = Member(MemberOf) -> MemberUse, Read: |engine, asked| {
        engine.member(&asked.tenant_id, &asked.organization_id, &asked.user_id)
    };
    /// What stands in the way of spending from an account, for a user who acts.
    "blocks" = Blocks(OfAccountBy) -> Vec<Blocked>, Read: |engine, asked| {
        engine.blocks(&asked.account(engine), asked.user_id.as_ref())
    };
    /// What a spender has charged and holds in the present day, as the risk controls count it.
    "spent" = Spent(SpentBy) -> Spent, Read: |engine, asked| engine.spent(&asked.key(engine));
    /// A task as it stands now.
    "task" = Task(TaskOf) -> TaskView, Read: |engine, asked| engine.task(&asked.tenant_id, &asked.task_id);
    /// A page of the steps of a task, the first first.
    "task_events" = TaskEvents(StepsOf) -> TaskPage, Read: |engine, asked| {
        engine.task_events(&asked.tenant_id, &asked.task_id, asked.after, asked.limit)
    };
    /// A page of events, in order; none waits for one to happen.
    "events" = Events(EventsOf) -> EventsPage, Read: |engine, asked| engine.events(&asked.query()).map(EventsPage::of);
    /// How far a consumer has come; none if it never said.
    "consumer_position" = ConsumerPosition(ConsumerOf) -> Position, Read: |engine, asked| {
        engine.consumer_position(&asked.consumer()).map(|cursor| Position { cursor })
    };
    /// Keeps that a consumer has come to this cursor. It never goes back.
    "acknowledge" = Acknowledge(AcknowledgeUpTo) -> Acknowledged, Write: |engine, asked| {
        engine.acknowledge(&asked.consumer(), asked.cursor)
    };
    /// A page of the audit: estimates, checks, refusals, and every operation.
    "audit_records" = AuditRecords(AuditOf) -> AuditRecordPage, Read: |engine, asked| {
        engine.audit_records(&asked.query()).map(AuditRecordPage::of)
    };
    /// Writes what the trailing writer of the audit still has.
    "flush_audit" = FlushAudit(NoFields) -> Flushed, Write: |engine, _| {
        engine.flush_audit().map_err(Failure::from).map(|()| Flushed { flushed: true })
    };
    /// A page of accounts, in order.
    "accounts" = Accounts(AccountsAfter) -> Vec<AccountKey>, Read: |engine, asked| {
        engine.accounts(asked.after.as_ref(), asked.limit)
    };
    /// Whether the engine can do its work, and what stands in the way.
    "health" = Health(NoFields) -> Health, Read: |engine, _| Ok(engine.health());
    /// What the engine has counted since it was opened.
    "stats" = Stats(NoFields) -> EngineStats, Read: |engine, _| Ok(engine.stats());
    /// Recomputes everything from the first entry on, and says where the books part from it.
    "verify" = Verify(NoFields) -> VerifyReport, Read: |engine, _| engine.verify();
    /// The same for one account.
    "verify_account" = VerifyAccount(OfAccount) -> VerifyReport, Read: |engine, asked| engine.verify_account(&asked.account(engine));
    /// Finds a checkpoint again in the entries, and recomputes what came after it.
    "verify_from" = VerifyFrom(VerifyFrom) -> VerifyReport, Read: |engine, asked| engine.verify_from(&asked.checkpoint);
    /// A digest of all heads, to be signed and kept elsewhere.
    "checkpoint" = Checkpoint(NoFields) -> Checkpoint, Read: |engine, _| engine.checkpoint();
    /// Books what has become due in accounts that nobody writes to, the longest due first.
    "sweep" = Sweep(UpTo) -> SweepView, Write: |engine, asked| engine.sweep(asked.limit).map(SweepView::of);
    /// Removes the stored answers that are past their retention, the oldest first.
    "forget_answers" = ForgetAnswers(UpToFrom) -> ForgetReport, Write: |engine, asked| engine.forget_answers(asked.after, asked.limit);
    /// The policy of a tenant: what pays, the order of consumption, refunds, licences, risk controls.
    "policy" = Policy(OfTenant) -> Value, Read: |engine, asked| {
        serde_json::to_value(engine.policy(&asked.tenant_id)).map_err(|error| Error::Output(error.to_string()).into())
    };
    /// The price books, the oldest first.
    "price_books" = PriceBooks(NoFields) -> Vec<PriceBookView>, Read: |engine, _| {
        Ok(engine.prices().iter().map(PriceBookView::of).collect())
    };
    /// Reads a price book, in YAML or JSON, and says every mistake at once.
    "check_price_book" = CheckPriceBook(PriceBookText) -> PriceBookView, Read: |_, asked| {
        asked.book().map(|book| PriceBookView::of(&book)).map_err(Failure::from)
    };
}
