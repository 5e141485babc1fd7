//! A recording: a command with all that decides it, so that it can be decided again anywhere, bit for bit.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::command::{Body, Command, only_once};
use crate::credit::{self, Explanation, TenantPolicy};
use crate::decide::{Decision, decide};
use crate::denial::Denial;
use crate::facts::{AccountFacts, Facts};
use crate::id::OpId;
use crate::settle;

/// The version of the JSON.
const VERSION: u32 = 1;

/// A command, the id that it takes effect under, the policy, and the facts, which know the instant: all that a decision goes by.
///
/// It is written as JSON and read strictly: another version, unknown fields and fields that stand twice are refused. Equal
/// recordings give equal bytes.
///
/// # Examples
/// ```
/// use drawdown::decide::Decision;
/// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner, Recording};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let (recording, answer) = engine.execute_recorded(acme.request(Charge::new(user, "12".parse()?)));
/// let json = recording.unwrap().to_json(); // to the colleague who asks why
/// let Decision::Denied(denial, _) = Recording::from_json(&json)?.decide() else { unreachable!() };
/// assert_eq!(answer.unwrap_err().denial(), Some(&denial));
/// assert_eq!(Recording::from_json("{}").unwrap_err().name(), "payload_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    /// What was asked for.
    #[serde(with = "fields")]
    pub command: Command,
    /// What it takes effect under.
    pub op_id: OpId,
    /// The policy of its tenant.
    pub policy: TenantPolicy,
    /// What it was decided from, and when: no more than its own handles lead to.
    pub facts: Facts,
}

impl Recording {
    pub(crate) fn new(command: Command, op_id: OpId, mut policy: TenantPolicy, facts: Facts) -> Recording {
        // Of all templates those that decide.
        if let Some(templates) = policy.templates.take() {
            let needs = command.needs(&policy);
            let named = needs.templates.iter().map(|template| &template.template_id);
            let known = named.filter(|named| templates.contains(*named)).cloned().collect();
            policy.templates = Some(std::sync::Arc::new(known));
        }
        // And of the risk controls, with their lists of people.
        let of_holds = facts.holds.values().filter_map(|(_, hold)| hold.terms.app_id.as_ref());
        let of_command = match &command.body {
            Body::Hold(body) => body.app_id.as_ref(),
            Body::Charge(body) => body.app_id.as_ref(),
            _ => None,
        };
        policy.risk = policy.risk.part(of_holds.chain(of_command));
        Recording { version: VERSION, command, op_id, policy, facts }
    }

    /// Decides the command again.
    #[must_use]
    pub fn decide(&self) -> Decision {
        decide(&self.command, self.op_id, &self.policy, &self.facts)
    }

    /// From which grants a hold or charge draws, in which order and why, and which grants cannot pay: in the account with
    /// everything due settled. None for another command, or where the facts contradict themselves.
    #[must_use]
    pub fn explain(&self) -> Option<Explanation> {
        let (amount, app, template) = match &self.command.body {
            Body::Hold(body) => (body.amount, body.app_id.as_ref(), body.template_id.as_ref()),
            Body::Charge(body) => (body.amount, body.app_id.as_ref(), body.template_id.as_ref()),
            _ => return None,
        };
        let needs = self.command.needs(&self.policy);
        let key = needs.accounts.first()?;
        let settled = match self.facts.accounts.get(key) {
            Some(facts) => settle::read(facts, self.facts.now).ok()?,
            None => AccountFacts::new(std::sync::Arc::new(key.clone())),
        };
        Some(credit::explain(&settled, &self.policy, amount, app, template, self.facts.now))
    }

    /// The recording as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a recording from JSON.
    ///
    /// # Errors
    /// `payload_invalid` that says what cannot be read and where.
    pub fn from_json(json: &str) -> Result<Recording, Denial> {
        only_once(json).map_err(|error| refused("recording", &error.to_string()))?;
        let mut reader = serde_json::Deserializer::from_str(json);
        let read = serde_path_to_error::deserialize(&mut reader);
        read.map_err(|error| refused(&error.path().to_string(), &error.inner().to_string()))
    }
}

fn refused(path: &str, why: &str) -> Denial {
    let message = format!("the recording cannot be read: {why}");
    Denial::new(crate::denial::DenialKind::PayloadInvalid, message)
        .with("field", path)
        .with("given", why)
        .with("allowed", "a recording as it was written, of version 1")
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(de::Error::custom(format_args!("version {other} of recordings is not known: it takes {VERSION}"))),
    }
}

/// A command by the fields that it has on the wire.
mod fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use serde_json::{Map, Value};

    use crate::command::Command;

    pub(super) fn serialize<S: Serializer>(command: &Command, serializer: S) -> Result<S::Ok, S::Error> {
        command.to_fields().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Command, D::Error> {
        let fields: Map<String, Value> = Map::deserialize(deserializer)?;
        Command::from_fields(fields).map_err(|denial| de::Error::custom(denial.message()))
    }
}
