//! What is hashed and signed, for whoever proves that this package and the books agree: the vectors that all languages share.

use drawdown::ledger::{AccountHead, ChainHash, Checkpoint, Entry, text_hash};
use drawdown::{AccountKey, Amount, LedgerId, OpId, Timestamp};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use serde::Deserialize;
use serde_json::Value;

use crate::convert::from_python;
use crate::work;

/// The fingerprint of a command, in hexadecimal: the bytes that decide, and all that is stored.
#[pyfunction]
pub(crate) fn fingerprint(
    kind: &Bound<'_, PyString>,
    names: &Bound<'_, PyTuple>,
    values: &Bound<'_, PyTuple>,
) -> PyResult<(String, String)> {
    let command = work::command(kind, names, values).map_err(|unread| unread.raised(kind.py()))?;
    let fingerprint = command.fingerprint();
    Ok((hex(fingerprint.digest()), hex(fingerprint.as_bytes())))
}

/// The hash of the text part of an entry, and its link after the one before it.
#[pyfunction]
pub(crate) fn chain_hash(entry: &Bound<'_, PyAny>, previous: &str) -> PyResult<(String, String)> {
    let entry: Entry = read("entry", entry)?;
    let previous: ChainHash = previous.parse().map_err(|denial| PyValueError::new_err(format!("{denial}")))?;
    let text = text_hash(&entry.text);
    Ok((text.to_string(), entry.chain_after(&previous, &text).to_string()))
}

/// The line of a checkpoint of heads, which stand in the order of their accounts.
#[pyfunction]
pub(crate) fn checkpoint_line(position: u64, taken_at: &Bound<'_, PyAny>, heads: &Bound<'_, PyAny>) -> PyResult<String> {
    let taken_at = from_python::instant("taken_at", taken_at).map_err(|unread| unread.raised(taken_at.py()))?;
    let heads: Vec<Head> = read("heads", heads)?;
    let heads: Vec<AccountHead> = heads.into_iter().map(AccountHead::from).collect();
    Ok(Checkpoint::of(position, taken_at, &heads).to_string())
}

/// What a checkpoint says of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    account: AccountKey,
    seq: u64,
    hash: ChainHash,
}

impl From<Head> for AccountHead {
    fn from(Head { account, seq, hash }: Head) -> AccountHead {
        AccountHead {
            account: account.into(),
            seq,
            // The digest has nothing of what follows.
            ledger_id: LedgerId::derive(OpId::from_uuid(Default::default()), 1),
            balance_after: Amount::ZERO,
            frozen_after: Amount::ZERO,
            created_at: Timestamp::MIN,
            hash,
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(name: &str, value: &Bound<'_, PyAny>) -> PyResult<T> {
    let read: Value = from_python::configured(name, value).map_err(|unread| unread.raised(value.py()))?;
    serde_json::from_value(read).map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
