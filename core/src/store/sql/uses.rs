//! What is remembered of licences, and of what was used of them and of caps: whoever works again is not read again.

use crate::changes::Changes;
use crate::id::UserId;
use crate::licence::{Licence, LicenceKey, TemplateKey};
use crate::map::Map;
use crate::risk::{RiskCount, RiskKey};

/// The most rows of one kind that are remembered; past them it begins anew.
const MAX_ROWS: usize = 4_096;

/// Rows as they stand; what is not there is remembered too. What holds reserve is read each time.
#[derive(Debug, Default)]
pub(super) struct Uses {
    licences: Map<LicenceKey, Licence>,
    templates: Map<TemplateKey, Vec<LicenceKey>>,
    users: Map<(LicenceKey, UserId), Option<u64>>,
    risk: Map<RiskKey, Option<RiskCount>>,
}

impl Uses {
    pub(super) fn licence(&self, key: &LicenceKey) -> Option<&Licence> {
        self.licences.get(key)
    }

    pub(super) fn template(&self, template: &TemplateKey) -> Option<&Vec<LicenceKey>> {
        self.templates.get(template)
    }

    pub(super) fn user(&self, user: &(LicenceKey, UserId)) -> Option<Option<u64>> {
        self.users.get(user).copied()
    }

    pub(super) fn risk(&self, key: &RiskKey) -> Option<&Option<RiskCount>> {
        self.risk.get(key)
    }

    pub(super) fn learn_licence(&mut self, key: &LicenceKey, licence: &Licence) {
        // A licence that is forgotten, and then written, cannot be told from a new one.
        if self.licences.len() >= MAX_ROWS {
            self.templates.clear();
        }
        learn(&mut self.licences, key.clone(), licence.clone());
    }

    pub(super) fn learn_template(&mut self, template: &TemplateKey, keys: &[LicenceKey]) {
        learn(&mut self.templates, template.clone(), keys.to_vec());
    }

    pub(super) fn learn_user(&mut self, user: (LicenceKey, UserId), used: Option<u64>) {
        learn(&mut self.users, user, used);
    }

    pub(super) fn learn_risk(&mut self, key: &RiskKey, count: Option<&RiskCount>) {
        learn(&mut self.risk, key.clone(), count.cloned());
    }

    /// Follows what a batch writes.
    pub(super) fn follow(&mut self, changes: &Changes) {
        for (key, licence) in &changes.licences.licences {
            // Perhaps it is new: then some templates have one more.
            if !self.licences.contains_key(key) {
                self.templates.clear();
            }
            self.learn_licence(key, licence);
        }
        for (user, used) in &changes.licences.users {
            self.learn_user(user.clone(), Some(*used));
        }
        for (key, count) in &changes.risk.counts {
            self.learn_risk(key, Some(count));
        }
    }
}

fn learn<K: Eq + std::hash::Hash, V>(rows: &mut Map<K, V>, key: K, row: V) {
    if rows.len() >= MAX_ROWS {
        rows.clear();
    }
    rows.insert(key, row);
}
