//! Random commands about tasks.

use super::{Generator, Kind, Spot};
use crate::Body;
use crate::command::{AdvanceTask, CompleteTask, FailTask};
use crate::id::{Stage, TaskId};

impl Generator {
    /// Mostly the task of a hold.
    fn task_of(&mut self, spot: Option<&Spot>) -> TaskId {
        let of_hold = spot.and_then(|spot| spot.task_id.clone());
        match of_hold {
            Some(task_id) if self.chance(90) => task_id,
            _ => self.pick(&["t1", "t2", "t3", "t4", "t5", "t6"], TaskId::new),
        }
    }

    pub(super) fn advance_task(&mut self, spot: Option<&Spot>) -> Body {
        Body::AdvanceTask(AdvanceTask {
            stage: self.some(50, |own| Some(own.pick(&["queued", "rendering"], Stage::new))),
            progress: self.some(60, |own| u8::try_from(own.random.u32(..102)).ok()),
            next_eta: self.some(40, |own| own.instant(0, 900)),
            ..AdvanceTask::new(self.task_of(spot))
        })
    }

    pub(super) fn end_task(&mut self, serial: u32, spot: Option<&Spot>) -> Body {
        let task_id = self.task_of(spot);
        if self.chance(35) {
            return Body::FailTask(FailTask::new(task_id, "it failed"));
        }
        self.made.extend(spot.map(|spot| Spot { serial, kind: Kind::Use, ..spot.clone() }));
        let actual_cost = self.some(60, |own| Some(own.amount(10)));
        Body::CompleteTask(CompleteTask::new(task_id, actual_cost))
    }
}
