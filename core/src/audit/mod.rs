//! What is asked and refused, kept beside the money: estimates, quotes, checks of licences, refusals. The audit of money is the
//! operation.

mod query;
mod quote;
mod record;
mod refusal;

use serde::{Deserialize, Serialize};

pub use query::{AuditCursor, AuditFilter, AuditPage, AuditPlace, AuditQuery, Audited};
pub use quote::Quote;
pub(crate) use quote::priced;
pub use record::{AuditKind, AuditOutcome, AuditRecord};
pub use refusal::Trace;
pub(crate) use refusal::{Refused, alert, told, told_apart, trace};

use crate::command::Context;
use crate::id::{Actor, RequestId, SessionId};

/// Who asks, for the audit: of a question, what [`Context`] is of a command.
///
/// # Examples
/// ```
/// use drawdown::{Caller, Context};
/// let caller = Caller::from(&Context::tenant("acme")?.actor("alice")?.request_id("req-1")?);
/// assert_eq!(caller.actor.unwrap().as_str(), "alice");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caller {
    /// On whose behalf it is asked.
    pub actor: Option<Actor>,
    /// The request that it comes with.
    pub request_id: Option<RequestId>,
    /// The session that it comes from; kept, not read.
    pub session_id: Option<SessionId>,
}

impl From<&Context> for Caller {
    fn from(context: &Context) -> Caller {
        Caller { actor: context.actor.clone(), request_id: context.request_id.clone(), session_id: None }
    }
}
