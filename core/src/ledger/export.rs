//! Statements: entries as a person or a spreadsheet reads them, written a page at a time.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::draw::Draw;
use super::entry::{Entry, EntryKind};
use super::query::{EntryCursor, EntryQuery};
use crate::amount::Amount;
use crate::error::{Error, Failure};
use crate::id::{AppId, AuditId, GrantId, HoldId, LedgerId, Operator, PolicyTag, TaskId, TemplateId, Unit, UserId};
use crate::owner::Owner;
use crate::time::Timestamp;

/// How a statement is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StatementFormat {
    /// Comma-separated values with a header; metadata and draw as JSON in their fields.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// An entry as a statement shows it, with the label of compliance of its operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "each field is that of the entry of the same name")]
pub struct StatementLine {
    pub owner: Owner,
    pub unit: Unit,
    pub seq: u64,
    pub created_at: Timestamp,
    pub effective_at: Timestamp,
    pub kind: EntryKind,
    pub change: Amount,
    pub frozen_change: Amount,
    pub balance_after: Amount,
    pub frozen_after: Amount,
    pub ledger_id: LedgerId,
    pub audit_id: AuditId,
    pub task_id: Option<TaskId>,
    pub template_id: Option<TemplateId>,
    pub app_id: Option<AppId>,
    pub user_id: Option<UserId>,
    pub operator: Option<Operator>,
    pub reason: Option<Arc<str>>,
    pub hold_id: Option<HoldId>,
    pub grant_id: Option<GrantId>,
    pub draw: Draw,
    pub metadata: Option<Arc<serde_json::Map<String, serde_json::Value>>>,
    pub policy_tag: Option<PolicyTag>,
}

impl StatementLine {
    /// An entry of an operation that has this label.
    #[must_use]
    pub fn new(entry: &Entry, policy_tag: Option<PolicyTag>) -> StatementLine {
        StatementLine {
            owner: entry.account.owner.clone(),
            unit: entry.account.unit.clone(),
            seq: entry.seq,
            created_at: entry.created_at,
            effective_at: entry.effective_at,
            kind: entry.kind,
            change: entry.change,
            frozen_change: entry.frozen_change,
            balance_after: entry.balance_after,
            frozen_after: entry.frozen_after,
            ledger_id: entry.ledger_id(),
            audit_id: AuditId::derive(entry.op_id, 0),
            task_id: entry.task_id.clone(),
            template_id: entry.template_id.clone(),
            app_id: entry.app_id.clone(),
            user_id: entry.text.user_id.clone(),
            operator: entry.text.operator.clone(),
            reason: entry.text.reason.clone(),
            hold_id: entry.hold_id,
            grant_id: entry.grant_id,
            draw: entry.draw.clone(),
            metadata: entry.text.metadata.clone(),
            policy_tag,
        }
    }
}

/// A statement line as CSV can hold it: what is nested stands as JSON text.
#[derive(Serialize)]
struct CsvLine<'a> {
    owner: &'a Owner,
    unit: &'a Unit,
    seq: u64,
    created_at: Timestamp,
    effective_at: Timestamp,
    kind: EntryKind,
    change: Amount,
    frozen_change: Amount,
    balance_after: Amount,
    frozen_after: Amount,
    ledger_id: LedgerId,
    audit_id: AuditId,
    task_id: Option<&'a TaskId>,
    template_id: Option<&'a TemplateId>,
    app_id: Option<&'a AppId>,
    user_id: Option<&'a UserId>,
    operator: Option<&'a Operator>,
    reason: Option<&'a str>,
    hold_id: Option<HoldId>,
    grant_id: Option<GrantId>,
    draw: String,
    metadata: Option<String>,
    policy_tag: Option<&'a PolicyTag>,
}

impl<'a> CsvLine<'a> {
    fn of(line: &'a StatementLine) -> CsvLine<'a> {
        CsvLine {
            owner: &line.owner,
            unit: &line.unit,
            seq: line.seq,
            created_at: line.created_at,
            effective_at: line.effective_at,
            kind: line.kind,
            change: line.change,
            frozen_change: line.frozen_change,
            balance_after: line.balance_after,
            frozen_after: line.frozen_after,
            ledger_id: line.ledger_id,
            audit_id: line.audit_id,
            task_id: line.task_id.as_ref(),
            template_id: line.template_id.as_ref(),
            app_id: line.app_id.as_ref(),
            user_id: line.user_id.as_ref(),
            operator: line.operator.as_ref(),
            reason: line.reason.as_deref(),
            hold_id: line.hold_id,
            grant_id: line.grant_id,
            draw: serde_json::to_string(&line.draw).unwrap_or_default(),
            metadata: line.metadata.as_ref().and_then(|metadata| serde_json::to_string(&**metadata).ok()),
            policy_tag: line.policy_tag.as_ref(),
        }
    }
}

/// A page of lines, and where the next begins.
pub(crate) struct LinePage {
    pub(crate) lines: Vec<StatementLine>,
    pub(crate) next_cursor: Option<EntryCursor>,
}

/// Writes all entries of a query, reading a page at a time, and answers how many there were.
pub(crate) fn export(
    mut query: EntryQuery,
    format: StatementFormat,
    out: &mut dyn Write,
    mut read: impl FnMut(EntryQuery) -> Result<LinePage, Failure>,
) -> Result<u64, Failure> {
    let mut sink = match format {
        StatementFormat::Csv => Sink::csv(out)?,
        StatementFormat::JsonLines => Sink::JsonLines(out),
    };
    let mut written = 0;
    loop {
        let page = read(query.clone())?;
        for line in &page.lines {
            sink.write(line)?;
            written += 1;
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            sink.flush()?;
            return Ok(written);
        }
    }
}

enum Sink<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    JsonLines(&'a mut dyn Write),
}

/// The columns of a CSV statement: the fields of a line, in their order.
const COLUMNS: [&str; 23] = [
    "owner",
    "unit",
    "seq",
    "created_at",
    "effective_at",
    "kind",
    "change",
    "frozen_change",
    "balance_after",
    "frozen_after",
    "ledger_id",
    "audit_id",
    "task_id",
    "template_id",
    "app_id",
    "user_id",
    "operator",
    "reason",
    "hold_id",
    "grant_id",
    "draw",
    "metadata",
    "policy_tag",
];

impl<'a> Sink<'a> {
    /// The header stands in a statement without lines too.
    fn csv(out: &'a mut dyn Write) -> Result<Sink<'a>, Failure> {
        let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(out);
        csv.write_record(COLUMNS).map_err(|error| unwritten(&error))?;
        Ok(Sink::Csv(Box::new(csv)))
    }

    fn write(&mut self, line: &StatementLine) -> Result<(), Failure> {
        match self {
            Sink::Csv(csv) => csv.serialize(CsvLine::of(line)).map_err(|error| unwritten(&error)),
            Sink::JsonLines(out) => {
                serde_json::to_writer(&mut *out, line).map_err(|error| unwritten(&error))?;
                out.write_all(b"\n").map_err(|error| unwritten(&error))
            }
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Sink::Csv(csv) => csv.flush(),
            Sink::JsonLines(out) => out.flush(),
        }
        .map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(Error::Output(error.to_string()))
}
