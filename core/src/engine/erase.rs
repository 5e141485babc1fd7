//! Erasing text to the end of an account.

use serde::Serialize;

use super::Engine;
use crate::command::{Context, EraseText};
use crate::error::Failure;

/// What [`Engine::erase_text`] did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EraseReport {
    /// Entries whose text was erased.
    pub erased: u64,
    /// Entries whose text stays until their hold has ended.
    pub kept: u64,
    /// The last entry that was looked at, while there are more; where to go on after a failure.
    pub next_seq: Option<u64>,
}

impl Engine {
    /// Repeats [`EraseText`] from its `after_seq` to the end of the account, and shows the report so far after each command.
    ///
    /// The key, the expected version and the memory for denials of the context are not used: each command is another one, and to erase
    /// twice changes nothing.
    ///
    /// # Errors
    /// As [`Engine::execute`]; what was erased before stays so.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, EraseText, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let charge = Charge { reason: Some("a picture of Ann".into()), ..Charge::new(user.clone(), "4".parse()?) };
    /// engine.execute(acme.request(charge))?;
    /// let report = engine.erase_text(&acme, EraseText::new(user, "ops", "Ann asked for it")?, &mut |_| {})?;
    /// assert_eq!(report.erased, 1);
    /// let unknown = EraseText::new(Owner::user("u2")?, "ops", "asked for")?;
    /// assert!(engine.erase_text(&acme, unknown, &mut |_| {}).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn erase_text(
        &self,
        context: &Context,
        mut command: EraseText,
        progress: &mut dyn FnMut(&EraseReport),
    ) -> Result<EraseReport, Failure> {
        let context = Context { idempotency_key: None, expected_version: None, remember_denials: false, ..context.clone() };
        let mut report = EraseReport::default();
        loop {
            let receipt = self.execute(context.request(command.clone()))?;
            report.erased += receipt.erased;
            report.kept += receipt.kept;
            report.next_seq = receipt.next_seq;
            progress(&report);
            let Some(next_seq) = receipt.next_seq else { return Ok(report) };
            command.after_seq = next_seq;
        }
    }
}
