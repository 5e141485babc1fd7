//! What scripts say of tasks: where one stands, and how it got there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool of tests")]

use drawdown::{Amount, Engine, Failure, TaskId, TaskStatus, TaskStep, TenantId};
use serde_json::{Map, Value};

use crate::script::{beginning, instant};

/// Whether a task stands as a statement says: `task t status=running progress=50`, `task t in globex none`; or its history reads so:
/// `history t accepted:-4@0 running:50:rendering@10 failed:4@900?`. A step is its status, the change of the balance (of a running one
/// the progress and the stage), and its instant in seconds; `?` says that it is not booked.
///
/// # Errors
/// Says how they differ.
pub(crate) fn expect(engine: &Engine, statement: &str, shown: impl Fn(&str, &Value) -> String) -> Result<(), String> {
    let mut words: Vec<&str> = statement.split_whitespace().collect();
    let tenant: TenantId = match words.iter().position(|word| *word == "in") {
        Some(at) => words.drain(at..at + 2).nth(1).unwrap().parse().unwrap(),
        None => "acme".parse().unwrap(),
    };
    let task: TaskId = words[1].parse().unwrap();
    let expected = &words[2..];
    let found = match words[0] {
        "task" => engine.task(&tenant, &task).map(|view| serde_json::to_value(view).unwrap()),
        _ => history(engine, &tenant, &task).map(Value::from),
    };
    match (found, expected) {
        (Err(Failure::Denied(denial)), ["none"]) if denial.name() == "task_not_found" => Ok(()),
        (Ok(Value::Array(steps)), _) => {
            let steps: Vec<&str> = steps.iter().filter_map(Value::as_str).collect();
            if steps == expected { Ok(()) } else { Err(format!("`{statement}`: the history is {}", steps.join(" "))) }
        }
        (Ok(Value::Object(view)), _) => expected.iter().try_for_each(|word| expect_field(statement, &view, word, &shown)),
        (found, _) => Err(format!("`{statement}`: it is {found:?}")),
    }
}

fn expect_field(
    statement: &str,
    view: &Map<String, Value>,
    word: &str,
    shown: impl Fn(&str, &Value) -> String,
) -> Result<(), String> {
    let (name, expected) = word.split_once('=').ok_or_else(|| format!("`{word}` is no field of a task"))?;
    let found = view.get(name).unwrap_or(&Value::Null);
    let is_instant = matches!(name, "ts" | "next_eta") && expected != "null";
    let expected = if is_instant { instant(expected).to_string() } else { expected.to_owned() };
    let found = shown(name, found);
    if found == expected { Ok(()) } else { Err(format!("`{statement}`: {name} is `{found}`")) }
}

/// The whole history, read in pages of two steps.
fn history(engine: &Engine, tenant: &TenantId, task: &TaskId) -> Result<Vec<String>, Failure> {
    let (mut steps, mut after) = (Vec::new(), None);
    loop {
        let page = engine.task_events(tenant, task, after, 2)?;
        steps.extend(page.steps.iter().map(told));
        match page.next_cursor {
            Some(cursor) => after = Some(cursor),
            None => return Ok(steps),
        }
    }
}

fn told(step: &TaskStep) -> String {
    let at = Amount::from_micros(step.ts.micros() - beginning().micros());
    let what = match (step.status, step.progress, &step.stage) {
        (TaskStatus::Running, Some(progress), stage) => {
            format!("{progress}:{}", stage.as_ref().map_or("-", |stage| stage.as_str()))
        }
        _ => step.credits_delta.to_string(),
    };
    format!("{}:{what}@{at}{}", step.status, if step.cursor.is_some() { "" } else { "?" })
}
