//! What each need loads.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Subject;
use super::desk::{
    Desk, account, bare_licence, blocked, id, licence, licence_key, member, member_key, needs_account, risk_count, risk_key,
    second, tenant, units,
};
use crate::changes::Erased;
use crate::credit::{GrantTerms, HoldState, Member, RuleTerms};
use crate::facts::{LicenceFacts, Needs, SubjectRow};
use crate::id::{GrantId, HoldId, TaskId};
use crate::ledger::{EntryText, OperationKind};
use crate::licence::{LicenceKey, LicenceUse, TemplateKey};
use crate::owner::{AccountKey, MemberKey, Owner, Subject as Who};
use crate::risk::{RiskCount, RiskFacts, RiskKey, RiskUse, Spender};
use crate::testing::scripted::Draft;

pub fn an_account_comes_with_its_open_grants(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let (open, used_up) = (desk.grant(&key, 5), desk.grant(&key, 2));
    desk.charge(&key, used_up, 2, None);
    desk.grant(&account("b"), 9);
    let facts = desk.facts(needs_account(&key));
    let loaded = &facts.accounts[&key];
    assert_eq!(loaded.grants.keys().copied().collect::<Vec<_>>(), [open]);
    assert_eq!((loaded.account.available, loaded.account.open_grants), (units(5), 1));
    assert_eq!(facts.accounts.len(), 1);
    // Held to the last unit, a grant is open still.
    desk.hold(&key, open, 5, 60, None);
    assert_eq!(desk.facts(needs_account(&key)).accounts[&key].grants[&open].held, units(5));
}

pub fn holds_come_when_they_are_due(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 10);
    let holds: Vec<_> = [10, 20, 30, 40].map(|until| desk.hold(&key, grant, 1, until, None)).to_vec();
    desk.capture(&key, holds[0]);
    let loaded = |at: i64| {
        let facts = desk.at(at).facts(needs_account(&key)).accounts.remove(&key).unwrap();
        let mut due: Vec<_> = facts.due_holds.into_keys().collect();
        due.sort();
        (due, facts.next_hold_at)
    };
    assert_eq!(loaded(9), (vec![], None), "nothing can be due yet, so nothing is looked for");
    assert_eq!(loaded(10), (vec![], Some(second(20))), "the bound is reached: it was of a hold that has ended");
    assert_eq!(loaded(20), (vec![holds[1]], Some(second(30))), "a hold is due at its expiry");
    assert_eq!(loaded(39), (holds[1..3].to_vec(), Some(second(40))));
    assert_eq!(loaded(40), (holds[1..].to_vec(), None));
}

pub fn a_hold_comes_with_its_account_and_task(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let grant = desk.grant(&key, 5);
    let hold = desk.hold(&key, grant, 2, 60, Some(&task));
    let facts = desk.facts(Needs { holds: vec![(tenant(), hold)], ..Needs::default() });
    let (of, loaded) = &facts.holds[&hold];
    assert_eq!((&**of, loaded.held(), loaded.state), (&key, units(2), HoldState::Frozen));
    assert_eq!(facts.accounts[&key].grants[&grant].held, units(2));
    assert_eq!(facts.tasks[&(tenant(), task)].hold_id, Some(hold));
}

pub fn an_ended_hold_is_found(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 5);
    let hold = desk.hold(&key, grant, 2, 60, None);
    desk.capture(&key, hold);
    let facts = desk.facts(Needs { holds: vec![(tenant(), hold)], ..Needs::default() });
    let loaded = &facts.holds[&hold].1;
    assert_eq!((loaded.state, loaded.captured, loaded.draw.is_empty()), (HoldState::Committed, units(2), true));
}

pub fn a_task_comes_with_its_hold(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let grant = desk.grant(&key, 5);
    desk.hold(&key, grant, 2, 60, Some(&task));
    let latest = desk.hold(&key, grant, 1, 90, Some(&task));
    let facts = desk.facts(Needs { tasks: vec![(tenant(), task.clone())], ..Needs::default() });
    let loaded = &facts.tasks[&(tenant(), task)];
    assert_eq!((loaded.hold_id, loaded.charges, loaded.last_at), (Some(latest), 0, second(0)));
    assert_eq!(facts.holds[&latest].1.expires_at, second(90));
}

pub fn a_grant_comes_with_its_account_open_or_not(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let (open, used_up) = (desk.grant(&key, 5), desk.grant(&key, 2));
    desk.charge(&key, used_up, 2, None);
    for (grant, remaining) in [(open, 5), (used_up, 0)] {
        let facts = desk.facts(Needs { grants: vec![(tenant(), grant)], ..Needs::default() });
        assert_eq!((&*facts.grants[&grant].0, facts.grants[&grant].1.remaining), (&key, units(remaining)));
        assert_eq!(facts.accounts[&key].account.available, units(5));
    }
}

pub fn a_charge_comes_with_what_it_drew(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 5);
    let book = |draft: Draft| {
        draft.charge(grant, units(5), None).with(|changes| changes.stored_mut().operation.policy_tag = Some(id("eu")))
    };
    let booked = desk.book(&key, OperationKind::Charge, book);
    let charge = booked.stored.entries[0].ledger_id();
    let needs = Needs { charges: vec![(tenant(), charge)], ..Needs::default() };
    let facts = desk.facts(needs.clone());
    let loaded = &facts.charges[&charge];
    assert_eq!((&loaded.entry, loaded.refunded, &loaded.policy_tag), (&booked.stored.entries[0], units(0), &Some(id("eu"))));
    assert!(!facts.grants[&grant].1.is_open(), "the grant that it used up");
    assert_eq!(facts.accounts[&key].account.available, units(0));
    // The refund opens the grant again.
    let refund = |draft: Draft| draft.refund(charge, grant, units(3), units(3));
    desk.book_with(needs.clone(), &key, OperationKind::Refund, refund);
    let facts = desk.facts(needs);
    assert_eq!(facts.charges[&charge].refunded, units(3));
    assert_eq!(facts.accounts[&key].grants[&grant].remaining, units(3));
}

pub fn an_entry_that_is_no_charge_is_absent(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    desk.grant(&key, 5);
    let granted = desk.feed(None, 0, 1)[0].entries[0].ledger_id();
    let facts = desk.facts(Needs { charges: vec![(tenant(), granted)], ..Needs::default() });
    assert!(facts.charges.is_empty());
}

pub fn charges_of_a_task_come_in_order_for_the_account(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, other, task): (_, _, TaskId) = (account("a"), account("b"), id("job"));
    let (grant, elsewhere) = (desk.grant(&key, 9), desk.grant(&other, 9));
    let first = desk.charge(&key, grant, 1, Some(&task));
    let hold = desk.hold(&key, grant, 2, 60, Some(&task));
    desk.charge(&other, elsewhere, 4, Some(&task));
    desk.charge(&key, grant, 4, Some(&id("another job")));
    let captured = desk.capture(&key, hold);
    let last = desk.charge(&key, grant, 1, Some(&task));
    let facts = desk.facts(Needs { task_charges: vec![(key.clone(), task.clone())], ..Needs::default() });
    assert_eq!(facts.task_charges[&(key.clone(), task)], [first, captured, last]);
    assert_eq!(facts.charges.len(), 3);
    assert_eq!(facts.charges[&captured].entry.draw.total(), units(2));
    assert!(facts.grants.contains_key(&grant), "what they drew");
    assert_eq!(facts.accounts[&key].account.available, units(1));
}

pub fn a_task_without_charges_has_an_empty_list(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, task): (_, TaskId) = (account("a"), id("job"));
    let needs = Needs { task_charges: vec![(key.clone(), task.clone())], ..Needs::default() };
    // Commands of one batch see each other's charges by this list, so it has to be there.
    assert_eq!(desk.facts(needs.clone()).task_charges[&(key.clone(), task.clone())], []);
    let grant = desk.grant(&key, 5);
    desk.hold(&key, grant, 2, 60, Some(&task));
    assert_eq!(desk.facts(needs).task_charges[&(key, task)], []);
}

pub fn a_replay_comes_with_its_entries(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let booked = desk.book(&key, OperationKind::Grant, |draft| draft.key("k").grant(units(1), None).grant(units(2), None));
    let facts = desk.facts(Needs { keys: vec![(tenant(), id("k")), (tenant(), id("free"))], ..Needs::default() });
    assert_eq!(facts.replays.len(), 1);
    let stored = &facts.replays[&(tenant(), id("k"))];
    assert_eq!((&stored.operation, &stored.entries), (&booked.stored.operation, &booked.stored.entries));
}

pub fn an_account_comes_with_its_running_rules(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let rules = [60, 30].map(|at| desk.book(&key, OperationKind::Recur, |draft| draft.rule(second(at))).new_rules[0].clone());
    desk.book(&account("b"), OperationKind::Recur, |draft| draft.rule(second(60)));
    let running = |key| desk.facts(needs_account(key)).accounts.remove(key).unwrap().rules.into_values().collect::<Vec<_>>();
    assert_eq!(running(&key), rules);
    desk.book(&key, OperationKind::StopRule, |draft| draft.end_rule(&rules[0]));
    assert_eq!(running(&key), rules[1..]);
    assert_eq!(desk.facts(needs_account(&key)).accounts[&key].account.standing.rules, 1);
    assert_eq!(desk.account(&key, second(0)).unwrap().rules.into_values().collect::<Vec<_>>(), rules[1..]);
}

pub fn a_rule_comes_with_its_account_running_or_not(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let made = desk.book(&key, OperationKind::Recur, |draft| draft.rule(second(60)).grant(units(5), None)).new_rules[0].clone();
    let needs = Needs { rules: vec![(tenant(), made.id)], ..Needs::default() };
    let facts = desk.facts(needs.clone());
    assert_eq!((&*facts.rules[&made.id].0, &facts.rules[&made.id].1), (&key, &made));
    assert_eq!(facts.accounts[&key].account.available, units(5));
    let ended = desk.book(&key, OperationKind::StopRule, |draft| draft.end_rule(&made)).changed_rules[0].clone();
    assert_eq!(desk.facts(needs).rules[&made.id].1, ended);
}

pub fn text_comes_with_the_holds_that_it_is_about(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 9);
    let hold = desk.hold(&key, grant, 2, 60, None);
    desk.charge(&key, grant, 1, None);
    let texts = |after| desk.facts(Needs { texts: vec![(key.clone(), after)], ..Needs::default() });
    let facts = texts(1);
    let found = &facts.texts[&(key.clone(), 1)];
    assert_eq!(found.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
    assert!(facts.holds.contains_key(&hold) && facts.accounts.contains_key(&key));
    assert!(texts(3).texts[&(key.clone(), 3)].is_empty());
}

pub fn erased_text_is_gone_with_its_copies(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let text = || EntryText { user_id: Some(id("ann")), reason: Some(Arc::from("why")), ..EntryText::default() };
    let with_text = |draft: Draft| {
        draft.with(|changes| {
            changes.stored_mut().operation.actor = Some(id("host"));
            changes.stored_mut().entries[0].text = text();
        })
    };
    let granted = desk.book(&key, OperationKind::Grant, |draft| {
        let mut draft = with_text(draft.grant(units(9), None));
        draft = draft.with(|changes| {
            let grant = &mut changes.new_grants[0];
            grant.terms = Arc::new(GrantTerms { reason: Some(Arc::from("why")), ..GrantTerms::clone(&grant.terms) });
        });
        draft
    });
    let (grant, first) = (granted.new_grants[0].id, granted.stored.entries[0].clone());
    let other = desk.book(&key, OperationKind::Charge, |draft| with_text(draft.charge(grant, units(1), None)));
    let ruled = desk.book(&key, OperationKind::Recur, |draft| {
        with_text(draft.rule(second(60))).with(|changes| {
            let rule = &mut changes.new_rules[0];
            rule.terms = Arc::new(RuleTerms { reason: Some(Arc::from("why")), ..RuleTerms::clone(&rule.terms) });
        })
    });
    let (rule, agreed) = (ruled.new_rules[0].id, ruled.stored.entries[0].clone());
    let hash = first.text_hash();
    desk.book(&key, OperationKind::EraseText, |draft| {
        draft.with(|changes| {
            changes.erased = Erased {
                entries: vec![(first.ledger_id(), 1, hash), (agreed.ledger_id(), agreed.seq, agreed.text_hash())],
                operations: vec![first.op_id],
                grants: vec![grant],
                holds: Vec::new(),
                rules: vec![rule],
            };
        })
    });
    let feed = desk.feed(None, 0, 10);
    let erased = &feed[0].entries[0];
    assert_eq!((&erased.text, erased.erased_text_hash, erased.hash), (&EntryText::default(), Some(hash), first.hash));
    assert_eq!((&feed[0].operation.actor, &feed[1].operation), (&None, other.operation()));
    assert_eq!(feed[1].entries, other.stored.entries);
    let named = Needs { grants: vec![(tenant(), grant)], rules: vec![(tenant(), rule)], ..Needs::default() };
    let facts = desk.facts(Needs { texts: vec![(key.clone(), 0)], ..named });
    assert_eq!(facts.texts[&(key.clone(), 0)][0], *erased);
    assert_eq!((&facts.rules[&rule].1.terms.reason, &facts.accounts[&key].rules[&rule].terms.reason), (&None, &None));
    assert_eq!((&facts.grants[&grant].1.terms.reason, &facts.accounts[&key].grants[&grant].terms.reason), (&None, &None));
}

pub fn a_subject_comes_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, user) = (account("a"), Who::User(id("u")));
    let needs = Needs { subjects: vec![(tenant(), Who::Tenant), (tenant(), user.clone())], ..Needs::default() };
    let write = |row: SubjectRow| {
        let put = |draft: Draft| draft.with(|changes| changes.subjects.push((user.clone(), row.clone())));
        desk.book(&key, OperationKind::Block, put);
        desk.facts(needs.clone()).subjects
    };
    assert_eq!(write(blocked(second(0))), [((tenant(), user.clone()), blocked(second(0)))].into_iter().collect());
    let freed = SubjectRow { is_blocked: false, since: second(0), last_at: second(0) };
    assert_eq!(write(freed.clone()), [((tenant(), user.clone()), freed)].into_iter().collect());
}

pub fn a_member_comes_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, name) = (account("a"), member_key("u"));
    let needs = Needs { members: vec![name.clone(), member_key("other")], ..Needs::default() };
    let removed = Member { role: None, limit: None, ..member(second(0)) };
    for row in [member(second(0)), removed] {
        let put = |draft: Draft| draft.with(|changes| changes.members.push((name.clone(), row.clone())));
        desk.book(&key, OperationKind::SetMember, put);
        assert_eq!(desk.facts(needs.clone()).members, [(name.clone(), row)].into_iter().collect());
    }
}

pub fn a_hold_comes_with_the_member_who_made_it(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = AccountKey::new(tenant(), id("organization:o"), id("credit"));
    let put = |draft: Draft| {
        draft.grant(units(9), None).with(|changes| {
            changes.members = ["named", "due", "later"].map(|user| (member_key(user), member(second(0)))).to_vec();
        })
    };
    let grant = desk.book(&key, OperationKind::Grant, put).new_grants[0].id;
    let hold = |user: &str, until: i64| {
        let by = |draft: Draft| {
            draft.hold(grant, units(1), second(until), None).with(|changes| {
                let hold = &mut changes.new_holds[0];
                Arc::make_mut(&mut hold.terms).user_id = Some(id(user));
            })
        };
        desk.book(&key, OperationKind::Hold, by).new_holds[0].id
    };
    let (named, _, _) = (hold("named", 60), hold("due", 10), hold("later", 90));
    let loaded = |at: i64, needs: Needs| {
        let mut members: Vec<MemberKey> = desk.at(at).facts(needs).members.into_keys().collect();
        members.sort();
        members
    };
    let of_hold = Needs { holds: vec![(tenant(), named)], ..Needs::default() };
    assert_eq!(loaded(9, of_hold.clone()), [member_key("named")]);
    assert_eq!(loaded(9, needs_account(&key)), []);
    assert_eq!(loaded(10, needs_account(&key)), [member_key("due")], "it comes back to who made it");
    assert_eq!(loaded(10, of_hold), [member_key("due"), member_key("named")]);
}

pub fn a_licence_comes_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let (key, name) = (account("a"), licence_key("l"));
    let needs = Needs { licences: vec![name.clone(), licence_key("other")], ..Needs::default() };
    for row in [licence("poster", None, second(0)), bare_licence("poster", second(0))] {
        let put = |draft: Draft| draft.with(|changes| _ = changes.licences.licences.insert(name.clone(), row.clone()));
        desk.book(&key, OperationKind::SetLicence, put);
        let known = LicenceFacts { licence: row.clone(), due: [].into() };
        assert_eq!(desk.facts(needs.clone()).licences, [(name.clone(), known)].into_iter().collect());
    }
}

pub fn a_template_comes_with_the_licences_that_count(subject: &Subject) {
    let desk = Desk::new(subject);
    let put = |draft: Draft| {
        draft.with(|changes| {
            let rows = &mut changes.licences;
            for (name, template, user) in [
                ("b", "poster", None),
                ("a", "poster", Some("u")),
                ("c", "poster", Some("v")),
                ("d", "flyer", None),
                ("e", "poster", None),
            ] {
                rows.licences.insert(licence_key(name), licence(template, user, second(0)));
                rows.users.insert((licence_key(name), id("u")), 7);
            }
        })
    };
    desk.book(&account("a"), OperationKind::SetLicence, put);
    let found = |user: Option<&str>| {
        let template = TemplateKey::new(tenant(), id("poster"), user.map(id));
        let facts = desk.facts(Needs { templates: vec![template.clone()], ..Needs::default() });
        let listed = facts.template_licences[&template].clone();
        let loaded: BTreeSet<LicenceKey> = facts.licences.into_keys().collect();
        assert_eq!(loaded, listed.iter().cloned().collect(), "in the order of their names");
        (listed, facts.licence_users.len())
    };
    assert_eq!(found(Some("u")), (["a", "b", "e"].map(licence_key).to_vec(), 3));
    assert_eq!(found(Some("w")), (["b", "e"].map(licence_key).to_vec(), 0));
    assert_eq!(found(None), (["b", "e"].map(licence_key).to_vec(), 0));
}

/// Books a hold of the user `u` under a licence of its own name.
fn hold_under(desk: &Desk, key: &AccountKey, grant: GrantId, name: &str, until: i64) -> HoldId {
    let put = |draft: Draft| {
        draft.hold(grant, units(1), second(until), None).with(|changes| {
            let hold = &mut changes.new_holds[0];
            let terms = Arc::make_mut(&mut hold.terms);
            (terms.licence_id, terms.user_id) = (Some(id(name)), Some(id("u")));
            let (hold_id, expires_at) = (hold.id, hold.expires_at);
            let rows = &mut changes.licences;
            rows.licences.insert(licence_key(name), licence("poster", None, second(0)));
            rows.users.insert((licence_key(name), id("u")), 7);
            let reserved = LicenceUse { user_id: Some(id("u")), made_at: second(-3), expires_at };
            rows.uses.insert(hold_id, (licence_key(name), Some(reserved)));
        })
    };
    desk.book(key, OperationKind::Hold, put).new_holds[0].id
}

pub fn a_hold_comes_with_its_licence(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 9);
    let named = hold_under(&desk, &key, grant, "named", 60);
    hold_under(&desk, &key, grant, "due", 10);
    hold_under(&desk, &key, grant, "later", 90);
    let loaded = |at: i64, needs: Needs| {
        let facts = desk.at(at).facts(needs);
        let licences: BTreeSet<LicenceKey> = facts.licences.into_keys().collect();
        let users: BTreeSet<LicenceKey> = facts.licence_users.into_keys().map(|(key, _)| key).collect();
        assert_eq!(users, licences, "with how often its user used it");
        licences.into_iter().map(|key| key.licence_id.to_string()).collect::<Vec<_>>()
    };
    let of_hold = Needs { holds: vec![(tenant(), named)], ..Needs::default() };
    assert_eq!(loaded(9, of_hold.clone()), ["named"]);
    assert!(loaded(9, needs_account(&key)).is_empty());
    assert_eq!(loaded(10, needs_account(&key)), ["due"]);
    assert_eq!(loaded(10, of_hold), ["due", "named"]);
}

pub fn a_reserved_use_comes_when_it_is_due(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 9);
    let hold = hold_under(&desk, &key, grant, "l", 10);
    let due = |at: i64| {
        let needs = Needs { licences: vec![licence_key("l")], ..Needs::default() };
        desk.at(at).facts(needs).licences.remove(&licence_key("l")).unwrap().due
    };
    let write = |reserved: Option<LicenceUse>| {
        let put = |draft: Draft| draft.with(|changes| _ = changes.licences.uses.insert(hold, (licence_key("l"), reserved.clone())));
        desk.at(0).book(&key, OperationKind::Extend, put);
    };
    let reserved = LicenceUse { user_id: Some(id("u")), made_at: second(-3), expires_at: second(10) };
    assert!(due(9).is_empty());
    assert_eq!(due(10), [(hold, reserved.clone())].into());
    let extended = LicenceUse { expires_at: second(20), ..reserved };
    write(Some(extended.clone()));
    assert!(due(19).is_empty());
    assert_eq!(due(20), [(hold, extended)].into());
    write(None);
    assert!(due(20).is_empty());
}

pub fn a_spender_comes_as_it_was_written(subject: &Subject) {
    let desk = Desk::new(subject);
    let keys = [
        risk_key("a"),
        RiskKey::of_work(&account("a"), None, None),
        RiskKey::of_requests(&account("a"), Some(&id("u"))),
        RiskKey::of_work(&AccountKey { owner: Owner::Pool, ..account("a") }, None, Some(&id("app"))),
    ];
    let bare = RiskCount { velocity: Vec::new(), alerted_at: None, reserved: 0, ..risk_count(second(0)) };
    for row in [risk_count(second(0)), bare] {
        let put =
            |draft: Draft| draft.with(|changes| changes.risk.counts.extend(keys.iter().map(|key| (key.clone(), row.clone()))));
        desk.book(&account("a"), OperationKind::Charge, put);
        let facts = desk.facts(Needs { risk: keys.to_vec(), ..Needs::default() });
        let known = RiskFacts { count: row.clone(), due: [].into() };
        assert_eq!(facts.risk, keys.iter().map(|key| (key.clone(), known.clone())).collect());
    }
}

/// Books a hold that counts for a user, and reserves something.
fn hold_that_counts(desk: &Desk, key: &AccountKey, grant: GrantId, user: &str, until: i64) -> HoldId {
    let put = |draft: Draft| {
        draft.hold(grant, units(1), second(until), None).with(|changes| {
            let hold = &mut changes.new_holds[0];
            let terms = Arc::make_mut(&mut hold.terms);
            (terms.user_id, terms.app_id, terms.counted_for) = (Some(id(user)), Some(id("app")), Some(Spender::User));
            let reserved = RiskUse { used: units(1), count: 1, made_at: second(-3), expires_at: second(until) };
            changes.risk.uses.insert(hold.id, (risk_key(user), Some(reserved)));
            changes.risk.counts.insert(risk_key(user), risk_count(second(0)));
        })
    };
    desk.book(key, OperationKind::Hold, put).new_holds[0].id
}

pub fn a_hold_comes_with_the_spender_whom_it_counts_for(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 9);
    let named = hold_that_counts(&desk, &key, grant, "named", 60);
    hold_that_counts(&desk, &key, grant, "due", 10);
    hold_that_counts(&desk, &key, grant, "later", 90);
    let loaded = |at: i64, needs: Needs| desk.at(at).facts(needs).risk.into_keys().collect::<BTreeSet<RiskKey>>();
    let of_hold = Needs { holds: vec![(tenant(), named)], ..Needs::default() };
    assert_eq!(loaded(9, of_hold.clone()), [risk_key("named")].into());
    assert_eq!(loaded(9, needs_account(&key)), [].into());
    assert_eq!(loaded(10, needs_account(&key)), [risk_key("due")].into());
    assert_eq!(loaded(10, of_hold), [risk_key("due"), risk_key("named")].into());
}

pub fn what_a_hold_reserves_comes_when_it_is_due(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 9);
    let hold = hold_that_counts(&desk, &key, grant, "u", 10);
    let due = |at: i64| {
        let needs = Needs { risk: vec![risk_key("u")], ..Needs::default() };
        desk.at(at).facts(needs).risk.remove(&risk_key("u")).unwrap().due
    };
    let write = |reserved: Option<RiskUse>| {
        let put = |draft: Draft| draft.with(|changes| _ = changes.risk.uses.insert(hold, (risk_key("u"), reserved.clone())));
        desk.at(0).book(&key, OperationKind::Extend, put);
    };
    let reserved = RiskUse { used: units(1), count: 1, made_at: second(-3), expires_at: second(10) };
    assert!(due(9).is_empty());
    assert_eq!(due(10), [(hold, reserved.clone())].into());
    let captured = RiskUse { used: units(0), count: 0, expires_at: second(20), ..reserved };
    write(Some(captured.clone()));
    assert!(due(19).is_empty());
    assert_eq!(due(20), [(hold, captured)].into());
    write(None);
    assert!(due(20).is_empty());
}
