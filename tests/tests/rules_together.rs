//! Rules that meet: members, credit limits, late commits, blocks, bands, recurring grants, erased text, imports, options.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{AccountKey, BlockTarget, BlockedAccount};
use drawdown_tests::script::{Bank, table};

/// `SPEND`, `KEEP`: a charge and a hold of the member `u1` from the organization `o1`, which may owe 20.
fn organization(cases: &[(&str, &str, &str, &str)]) {
    const OF_MEMBER: &str = "payer=organization:o1 user_id=u1";
    let written = |script: &str| {
        script
            .replace("LIMIT", "set_credit_limit 20 owner=organization:o1; set_member limit=10/day")
            .replace("SPEND", &format!("charge {OF_MEMBER}"))
            .replace("KEEP", &format!("hold {OF_MEMBER}"))
    };
    let given: Vec<String> = cases.iter().map(|case| written(case.1)).collect();
    let when: Vec<String> = cases.iter().map(|case| written(case.2)).collect();
    let cases = cases.iter().zip(given.iter().zip(&when)).map(|(case, (given, when))| (case.0, &**given, &**when, case.3));
    table(&cases.collect::<Vec<_>>());
}

#[test]
fn members_owe_within_both_limits() {
    let late = "KEEP 6 late_commit=draw expire_in=60 as=h; wait 61";
    let with = |rest: &str| format!("LIMIT; {late}; {rest}");
    organization(&[
        ("what is owed is used", "LIMIT", "SPEND 10", "ok draw=debt:10; used 10; balance -10 owed 10 of organization:o1"),
        ("the member's limit before the balance", "LIMIT; SPEND 10", "SPEND 11", "denied member_limit_exceeded used=10"),
        (
            "the organization's limit for all of them",
            "LIMIT; SPEND 10; set_member user_id=u2",
            "charge 11 payer=organization:o1 user_id=u2",
            "denied insufficient_balance credit_left=10; used 0 by u2",
        ),
        (
            "what is repaid was used",
            "LIMIT; SPEND 10; grant 15 owner=organization:o1",
            "SPEND 1",
            "denied member_limit_exceeded used=10",
        ),
        ("a hold that is over is used no more", &with(""), "SPEND 10", "ok; used 10"),
        (
            "a late commit on credit, above the limit",
            &with("SPEND 8"),
            "capture h 6",
            "ok draw=debt:6; used 14; balance -14 of organization:o1",
        ),
        (
            "a late commit that finds nothing",
            &with("SPEND 8; set_credit_limit 10 owner=organization:o1"),
            "capture h 6",
            "denied insufficient_balance needed=6 credit_left=2; used 8; balance -8 of organization:o1",
        ),
        ("a late commit in parts", &with(""), "capture h 2 final=false idempotency_key=k", "ok captured=2; used 2"),
        (
            "a late commit counts today, though the hold was made yesterday",
            "LIMIT; wait 86390; KEEP 6 late_commit=draw expire_in=5 as=h; wait 20",
            "capture h 4",
            "ok; used 4",
        ),
        (
            "a hold of yesterday gives nothing back today",
            "LIMIT; wait 86390; KEEP 6 as=h; wait 20; SPEND 3",
            "capture h 1",
            "ok draw=debt:1; used 3",
        ),
        (
            "a late commit of one who was removed",
            &with("remove_member; capture h 6; set_member limit=10/day"),
            "SPEND 5",
            "denied member_limit_exceeded used=6",
        ),
        (
            "grants that came pay what was held on credit",
            "LIMIT; KEEP 6 as=h; grant 4 owner=organization:o1 as=g",
            "capture h 6",
            "ok draw=g:4,debt:2; used 6; balance -2 owed 2 of organization:o1",
        ),
        (
            "a refund of what was owed gives the member nothing back",
            "LIMIT; SPEND 6 as=c",
            "refund payer=organization:o1 ledger_id=@c",
            "ok change=6; used 6; balance 0 owed 0 of organization:o1",
        ),
        (
            "work that costs nothing goes on above the limit",
            "LIMIT; KEEP 6 over_capture=draw as=h; capture h 16",
            "KEEP 0",
            "ok frozen_amount=0; used 16",
        ),
    ]);
}

#[test]
fn a_block_stops_spending_and_nothing_else() {
    let blocked = "grant 1 as=g; set_credit_limit 9; hold 4 over_capture=draw late_commit=draw expire_in=60 as=h; recur 5 type=trial starts_at=+1d as=r; set_low_balance low_balance.below=1 low_balance.recovered_from=2; block target=account:user:u1";
    let with = |rest: &str| format!("{blocked}; {rest}");
    table(&[
        ("a capture on credit", &with(""), "capture h 4", "ok draw=g:1,debt:3; balance -3 owed 3"),
        ("a capture above it on credit", &with(""), "capture h 9", "ok draw=g:1,debt:8; balance -8 owed 8"),
        ("a late one", &with("wait 60"), "capture h 4", "ok draw=g:1,debt:3; balance -3 owed 3"),
        ("a part of it", &with(""), "release h 3.5 idempotency_key=k", "ok; balance 0.5 frozen 0.5 owed 0"),
        ("its rules go on, and repay", &with("capture h 4; at +1d"), "settle", "ok booked=1; balance 2 owed 0"),
        ("and tell the band", &with("capture h 4; at +1d"), "settle", "ok band=normal"),
        ("what they give is not spent", &with("at +1d"), "charge 1", "denied blocked"),
        ("until it is unblocked", &with("at +1d; unblock target=account:user:u1"), "charge 5", "ok balance_after=1"),
        ("its rules can be stopped", &with("at +1d"), "stop_rule r", "ok"),
        ("and made", &with(""), "recur 1", "ok change=1"),
        ("a limit can be set", &with(""), "set_credit_limit 0", "ok credit_limit=0"),
        ("an import comes", &with("capture h 4"), "import 5", "ok repaid=3; balance 2 owed 0"),
        ("its text is erased", &with("capture h 4 reason=x"), "erase_text", "ok"),
        ("nothing is spent of it either", &with(""), "hold 0", "denied blocked"),
    ]);
}

#[test]
fn a_remembered_denial_stays_when_rules_would_allow() {
    let refused = "LIMIT; try SPEND 11 idempotency_key=k remember_denials=true";
    let with = |rest: &str| format!("{refused}; {rest}");
    let again = "SPEND 11 idempotency_key=k remember_denials=true";
    organization(&[
        (
            "of a limit that was raised",
            &with("set_member limit=99/day"),
            again,
            "denied member_limit_exceeded limit=10 needed=11; used 0",
        ),
        ("of a day that is over", &with("wait 90000"), again, "denied member_limit_exceeded"),
        ("of one who was removed", &with("remove_member"), again, "denied member_limit_exceeded"),
        ("in a tenant that was blocked", &with("block target=tenant"), again, "denied member_limit_exceeded"),
        ("it used nothing", &with(""), "SPEND 10", "ok; used 10"),
        (
            "a stranger's",
            "LIMIT; remove_member; try SPEND 1 idempotency_key=k remember_denials=true; set_member",
            "SPEND 1 idempotency_key=k remember_denials=true",
            "denied not_a_member",
        ),
        (
            "of a block that is over",
            "LIMIT; block target=tenant; try SPEND 1 idempotency_key=k remember_denials=true; unblock target=tenant",
            "SPEND 1 idempotency_key=k remember_denials=true",
            "denied blocked target=tenant",
        ),
        ("until its retention is over", &with("wait 91d"), again, "denied idempotency_conflict reason=answer_expired"),
    ]);
}

#[test]
fn an_import_repays_once_however_often_it_is_sent() {
    let imported = "set_credit_limit 9; charge 5; import 12 idempotency_key=k";
    let with = |rest: &str| format!("{imported}; {rest}");
    let again = "import 12 idempotency_key=k";
    table(&[
        ("sent again", &with(""), again, "ok idempotent_replay=true change=12 repaid=5 balance_after=7; balance 7 owed 0"),
        (
            "after it was spent on credit",
            &with("charge 10"),
            again,
            "ok idempotent_replay=true repaid=5 balance_after=7; balance -3 owed 3",
        ),
        ("after it was erased", &with("erase_text"), again, "ok idempotent_replay=true repaid=5; balance 7 owed 0"),
        ("as a float of the same value", &with(""), "import 12.0 idempotency_key=k", "ok idempotent_replay=true; balance 7"),
        ("in another account", &with(""), "import 12 owner=pool idempotency_key=k", "denied idempotency_conflict field=owner"),
        ("nothing repays nothing", "set_credit_limit 9; charge 5", "import 0", "ok repaid=0; balance -5 owed 5"),
        ("just what is owed", "set_credit_limit 9; charge 5", "import 5", "ok repaid=5 balance_after=0; balance 0 owed 0"),
        ("less than what is owed", "set_credit_limit 9; charge 5", "import 2", "ok repaid=2 balance_after=-3; balance -3 owed 3"),
    ]);
}

#[test]
fn a_version_is_that_of_what_is_booked_whatever_is_due() {
    table(&[
        ("rules", "recur 5 as=r; at +3d", "charge 1 expected_version=2", "ok balance_after=4"),
        (
            "rules are no version of their own",
            "recur 5 as=r; at +3d",
            "charge 1 expected_version=3",
            "denied version_conflict version=2",
        ),
        ("a hold on credit", "set_credit_limit 5; hold 5 expire_in=60; wait 60", "charge 5 expected_version=2", "ok version=4"),
        ("a settle of what is due", "recur 5 ends_at=+1d; at +2d", "settle expected_version=2", "ok booked=1; balance 0"),
        (
            "a refused one settles nothing",
            "recur 5 ends_at=+1d; at +2d; try settle expected_version=9",
            "settle expected_version=2",
            "ok",
        ),
        ("a rule that is stopped", "recur 5 as=r; at +1d", "stop_rule r expected_version=2", "ok"),
        ("erasing", "recur 5 reason=x; at +1d", "erase_text expected_version=2", "ok erased=1"),
    ]);
}

#[test]
fn erased_text_is_no_part_of_what_goes_on() {
    let erased = "set_credit_limit 9 reason=r; recur 5 rollover_cap=2 reason=bought as=r; grant 3 type=trial reason=gift as=g; hold 1 user_id=u1 late_commit=draw expire_in=60 as=h; charge 9 user_id=u1 as=c; wait 61; erase_text";
    let with = |rest: &str| format!("{erased}; {rest}");
    table(&[
        ("a rule goes on", &with("at +1d"), "settle", "ok; balance 4 owed 0"),
        ("and is folded", &with("at +40d"), "settle", "ok; balance 8 owed 0"),
        ("a rule is stopped", &with("at +1d"), "stop_rule r", "ok"),
        ("a late commit", &with(""), "capture h 1", "ok draw=g:1; balance -2 owed 2"),
        ("a refund", &with(""), "refund ledger_id=@c", "ok refunded=9"),
        ("a grant is voided", &with("refund ledger_id=@c"), "void g", "ok"),
        ("twice: the release that the first booked itself", &with("at +2d"), "erase_text", "ok erased=1"),
        ("three times", &with("at +2d; erase_text"), "erase_text", "ok erased=0 next_seq=null"),
    ]);
}

#[test]
fn nothing_of_another_tenant_can_be_named() {
    let given = "grant 5; grant 5 owner=organization:o1; set_member; set_credit_limit 5; recur 1 starts_at=+1d as=r";
    table(&[
        ("an account to block", given, "block target=account:user:u1 tenant_id=globex", "denied account_not_found"),
        ("an account to unblock", given, "unblock target=account:user:u1 tenant_id=globex", "denied account_not_found"),
        ("text to erase", given, "erase_text tenant_id=globex", "denied account_not_found"),
        ("a member to remove", given, "remove_member tenant_id=globex", "denied not_a_member"),
        ("an organization to spend", given, "charge 1 payer=organization:o1 user_id=u1 tenant_id=globex", "denied not_a_member"),
        ("a rule to stop", given, "stop_rule r tenant_id=globex", "denied payload_invalid field=rule_id"),
        ("a credit limit", given, "charge 1 tenant_id=globex", "denied insufficient_balance credit_left=0"),
        ("a credit limit to set", given, "set_credit_limit 9 tenant_id=globex", "ok version=1; balance 5 version 3"),
        ("a balance to import", given, "import 9 tenant_id=globex", "ok version=1; balance 5"),
        (
            "a threshold to set",
            given,
            "set_low_balance low_balance.below=99 low_balance.recovered_from=99 tenant_id=globex",
            "ok version=1 band=low",
        ),
        ("a user to block", &format!("{given}; block target=user:u1 tenant_id=globex"), "charge 1", "ok"),
    ]);
}

#[test]
fn amounts_at_the_ends_of_the_range() {
    const MOST: &str = "9223372036854.775807";
    let owing = format!("set_credit_limit {MOST}; charge {MOST}");
    table(&[
        (
            "all of it on credit",
            &format!("set_credit_limit {MOST}"),
            &format!("charge {MOST}"),
            "ok balance_after=-9223372036854.775807",
        ),
        ("a millionth more", &owing, "charge 0.000001", "denied insufficient_balance credit_left=0"),
        ("held", &format!("set_credit_limit {MOST}; hold {MOST} as=h"), "release h", "ok balance_after=0"),
        ("a grant that could be owed again", &owing, "grant 0.000001", "denied amount_invalid field=amount"),
        (
            "a grant that repays, the limit lowered",
            &format!("{owing}; set_credit_limit 0"),
            &format!("grant {MOST}"),
            "ok balance_after=0; balance 0 owed 0",
        ),
        (
            "more than is owed",
            &format!("{owing}; set_credit_limit 0; grant 1"),
            &format!("import {MOST}"),
            "denied amount_invalid field=balance",
        ),
        (
            "what is refunded",
            &format!("set_credit_limit {MOST}; charge {MOST} as=c"),
            "refund ledger_id=@c",
            "ok; balance 0 owed 0",
        ),
        ("what the limit leaves no room for", &format!("grant {MOST}"), "set_credit_limit 0.000001", "denied amount_invalid"),
        ("a grant of all", "wait 0", &format!("import {MOST}"), "ok balance_after=9223372036854.775807"),
        (
            "a limit of a member",
            "grant 1 owner=organization:o1; set_member limit=9223372036854.775807/month",
            "charge 1 payer=organization:o1 user_id=u1",
            "ok; used 1",
        ),
        ("a rule that gives all, once", &format!("recur {MOST}; at +5d"), "settle", "ok; balance 0"),
        (
            "a threshold",
            &format!("grant {MOST}"),
            &format!("set_low_balance low_balance.below={MOST} low_balance.recovered_from={MOST}"),
            "ok band=null",
        ),
    ]);
}

#[test]
fn amounts_of_nothing() {
    table(&[
        ("a rule", "wait 0", "recur 0", "denied amount_invalid field=amount"),
        ("a threshold", "wait 0", "set_low_balance low_balance.below=0 low_balance.recovered_from=0", "ok band=null"),
        (
            "a threshold of nothing, beside a debt",
            "set_low_balance low_balance.below=0 low_balance.recovered_from=0; set_credit_limit 5",
            "charge 1",
            "ok band=low",
        ),
        ("a hold beside a debt", "set_credit_limit 5; charge 5", "hold 0", "ok frozen_amount=0; balance -5 owed 5"),
        (
            "a hold with the limit below the debt",
            "set_credit_limit 5; charge 5; set_credit_limit 1",
            "hold 0 as=h",
            "ok; balance -5",
        ),
        (
            "a capture of nothing",
            "set_credit_limit 5; hold 5 as=h; grant 9",
            "capture h 0",
            "ok captured=0 change=5; balance 9 owed 0",
        ),
        (
            "a late capture of nothing",
            "hold 0 late_commit=draw expire_in=60 as=h; wait 60",
            "capture h 0",
            "ok captured=0 status=committed",
        ),
    ]);
}

#[test]
fn a_past_balance_knows_what_was_owed() {
    table(&[
        (
            "before, between, after",
            "set_credit_limit 9; wait 10; charge 5; wait 10; grant 7; wait 10",
            "charge 1",
            "ok; balance 0 at +5; balance -5 at +10; balance -5 at +19; balance 2 at +20; balance 1 at +30; balance 1 owed 0",
        ),
        (
            "a hold on credit that was over",
            "set_credit_limit 9; hold 5 expire_in=60; wait 90",
            "charge 1",
            "ok; balance -5 frozen 5 at +59; balance 0 at +60; balance -1 at +90",
        ),
        (
            "rules that repaid, folded",
            "set_credit_limit 9; charge 9; recur 4 starts_at=+1d; at +10d",
            "settle",
            "ok; balance -9 at +10; balance -5 at +1d; balance -1 at +2d; balance 3 at +3d; balance 4 at +4d",
        ),
    ]);
}

#[test]
fn an_explanation_tells_blocks_and_what_credit_leaves() {
    let mut bank = Bank::in_memory();
    let script =
        ["grant 3", "set_credit_limit 5", "hold 4", "block target=account:user:u1", "block target=user:u1", "block target=tenant"];
    for statement in script {
        bank.given(statement).unwrap();
    }
    let key = AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
    let explained = bank.engine.explain(&key, "6".parse().unwrap(), None, None).unwrap();
    let said =
        [explained.available, explained.credit_left, explained.on_credit, explained.missing].map(|amount| amount.to_string());
    assert_eq!(said, ["0", "4", "4", "2"]);
    let targets: Vec<BlockTarget> = explained.blocked.into_iter().map(|blocked| blocked.target).collect();
    let account = BlockTarget::Account(BlockedAccount::of(&key));
    assert_eq!(targets, [BlockTarget::Tenant, account, BlockTarget::User("u1".parse().unwrap())]);
}
