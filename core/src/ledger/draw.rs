//! Which grants an amount comes from.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::amount::Amount;
use crate::credit::GrantType;
use crate::id::GrantId;

/// A part of an amount, and the grant that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DrawLine {
    /// The grant.
    pub grant_id: GrantId,
    /// Its type.
    #[serde(rename = "type")]
    pub grant_type: GrantType,
    /// How much of the amount comes from it; never negative.
    pub amount: Amount,
}

impl DrawLine {
    /// What is drawn on the credit limit.
    #[must_use]
    pub const fn debt(amount: Amount) -> DrawLine {
        DrawLine { grant_id: GrantId::DEBT, grant_type: GrantType::Debt, amount }
    }

    /// Whether this is drawn on the credit limit, not from a grant.
    #[must_use]
    pub fn is_debt(&self) -> bool {
        self.grant_type == GrantType::Debt
    }
}

/// Which grants an amount comes from, the first drawn first; what is drawn on the credit limit is the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Draw(Vec<DrawLine>);

/// Bytes of a line in the hashed layout: grant id, type, millionths (big-endian).
pub(super) const LINE_BYTES: usize = 25;

impl Draw {
    /// A draw from one grant.
    #[must_use]
    pub fn single(grant_id: GrantId, grant_type: GrantType, amount: Amount) -> Draw {
        Draw(vec![DrawLine { grant_id, grant_type, amount }])
    }

    /// The lines, the first drawn first.
    #[must_use]
    pub fn lines(&self) -> &[DrawLine] {
        &self.0
    }

    /// Whether nothing is drawn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum of the lines. Lines come from amounts that fit, so their sum fits.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.0.iter().fold(Amount::ZERO, |sum, line| sum.checked_add(line.amount).unwrap_or(Amount::MAX))
    }

    /// Adds a line after the others; lines of one grant in a row become one.
    pub fn push(&mut self, line: DrawLine) {
        if let Some(last) = self.0.last_mut()
            && last.grant_id == line.grant_id
            && let Some(sum) = last.amount.checked_add(line.amount)
        {
            last.amount = sum;
            return;
        }
        self.0.push(line);
    }

    /// Adds all lines of another draw; what is drawn on the credit limit stays the last.
    pub fn extend(&mut self, other: &Draw) {
        let debt = self.0.pop_if(|last| last.is_debt());
        for line in other.0.iter().chain(&debt) {
            self.push(*line);
        }
    }

    /// What of it is drawn on the credit limit.
    #[must_use]
    pub fn debt(&self) -> Amount {
        let debt = self.0.iter().filter(|line| line.is_debt());
        debt.fold(Amount::ZERO, |sum, line| sum.checked_add(line.amount).unwrap_or(Amount::MAX))
    }

    /// Takes `amount` from the first lines on; less when there is less.
    #[must_use]
    pub fn take_first(&mut self, amount: Amount) -> Draw {
        let (taken, rest) = split(self.0.iter().copied(), amount);
        self.0 = rest;
        Draw(taken)
    }

    /// Takes `amount` from the last lines on; less when there is less. The last drawn stands first in the answer.
    #[must_use]
    pub fn take_last(&mut self, amount: Amount) -> Draw {
        let (taken, mut rest) = split(self.0.iter().rev().copied(), amount);
        rest.reverse();
        self.0 = rest;
        Draw(taken)
    }

    /// The published fixed layout: for each line 16 bytes of grant id, 1 of type, 8 of millionths, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * LINE_BYTES);
        self.write(&mut bytes);
        bytes
    }

    /// Adds the fixed layout to bytes.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        for line in &self.0 {
            bytes.extend_from_slice(line.grant_id.uuid().as_bytes());
            bytes.push(line.grant_type.code());
            bytes.extend_from_slice(&line.amount.micros().to_be_bytes());
        }
    }

    /// Reads the fixed layout; `None` when the bytes are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Draw> {
        let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
        if !rest.is_empty() {
            return None;
        }
        lines.iter().map(line_from_bytes).collect::<Option<Vec<_>>>().map(Draw)
    }
}

impl FromIterator<DrawLine> for Draw {
    fn from_iter<I: IntoIterator<Item = DrawLine>>(lines: I) -> Draw {
        let mut draw = Draw::default();
        lines.into_iter().for_each(|line| draw.push(line));
        draw
    }
}

fn line_from_bytes(bytes: &[u8; LINE_BYTES]) -> Option<DrawLine> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let (code, micros) = rest.split_first_chunk::<1>()?;
    Some(DrawLine {
        grant_id: GrantId::from_uuid(Uuid::from_bytes(*id)),
        grant_type: GrantType::from_code(code[0])?,
        amount: Amount::from_micros(i64::from_be_bytes(micros.try_into().ok()?)),
    })
}

/// Splits lines into those that make up `amount` and the rest.
fn split(lines: impl Iterator<Item = DrawLine>, amount: Amount) -> (Vec<DrawLine>, Vec<DrawLine>) {
    let mut wanted = amount;
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    for line in lines {
        let part = line.amount.min(wanted);
        if part.is_positive() {
            taken.push(DrawLine { amount: part, ..line });
            wanted = wanted.checked_sub(part).unwrap_or(Amount::ZERO);
        }
        if let Some(left) = line.amount.checked_sub(part)
            && left.is_positive()
        {
            rest.push(DrawLine { amount: left, ..line });
        }
    }
    (taken, rest)
}
