//! Every statement of the SQL stores. None reads more of a growing table than a page of it.

use super::Sql;

/// Declares statements, their numbers, and the list of all of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "counts the statements below")]
        enum Number {
            $($name),+
        }

        $($(#[$doc])* pub(super) const $name: Sql = Sql { number: Number::$name as usize, rows: 1, text: $sql };)+

        /// All of them, by their numbers.
        pub(crate) const ALL: &[&str] = &[$($name.text),+];
    };
}

/// How many rows the statements have that insert several: of many rows, most of the work is done once for all.
pub(super) const ROWS: usize = 8;

impl Sql {
    /// A statement that inserts [`ROWS`] rows.
    pub(super) const fn of_several(self) -> Sql {
        Sql { rows: ROWS as u64, ..self }
    }

    /// Whether it inserts operations.
    pub(super) const fn inserts_operations(self) -> bool {
        self.number == OPERATION_INSERT.number || self.number == OPERATIONS_INSERT.number
    }
}

macro_rules! rows {
    ($row:expr) => {
        concat!($row, ", ", $row, ", ", $row, ", ", $row, ", ", $row, ", ", $row, ", ", $row, ", ", $row)
    };
}

// The position is the number of the row, which SQLite gives: the last one and 1. Were it bound, SQLite would keep what it needs to
// undo a statement that inserts several.
macro_rules! insert_operation {
    ($insert:literal, $values:expr) => {
        concat!(
            $insert,
            " INTO operations (op_id, tenant_id, account_id, kind, first_seq, entry_count, settled_count, refunded, ",
            "created_at, fingerprint, idempotency_key, actor, request_id, policy_tag, answer, subject, band, denial, alerts) VALUES ",
            $values
        )
    };
}

macro_rules! values_of_operation {
    () => {
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    };
}

macro_rules! insert_entry {
    ($insert:literal, $values:expr) => {
        concat!(
            $insert,
            " INTO entries (position, tenant_id, account_id, seq, ordinal, kind, change, frozen_change, balance_after, ",
            "frozen_after, created_at, effective_at, hash, draw, terms, hold_id, grant_id, task_id, template_id, app_id, user_id, ",
            "operator, reason, metadata) VALUES ",
            $values
        )
    };
}

macro_rules! values_of_entry {
    () => {
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    };
}

macro_rules! account_key {
    () => {
        "a.tenant_id, a.owner_kind, a.owner_id, a.unit"
    };
}

macro_rules! account {
    ($rest:literal) => {
        concat!(
            "SELECT a.account_id, a.seq, a.available, a.frozen, a.issued, a.adjusted_in, a.consumed, ",
            "a.expired, a.forfeited, a.adjusted_out, a.open_grants, a.open_holds, a.head, a.last_at, a.hold_due_at, a.due_at, ",
            "a.credit_limit, a.owed, a.owed_held, a.low_below, a.low_recovered_from, a.band, a.blocked, a.rules FROM accounts a ",
            $rest
        )
    };
}

macro_rules! account_names {
    ($rest:literal) => {
        concat!("SELECT a.account_id, ", account_key!(), " FROM accounts a ", $rest)
    };
}

macro_rules! grant {
    ($before:expr, $rest:literal) => {
        concat!(
            "SELECT g.grant_row, ",
            $before,
            "g.grant_id, g.type, g.state, g.amount, g.remaining, g.held, g.priority, ",
            "g.effective_at, g.expires_at, g.scope_app_id, g.scope_template_id, g.reissue_of, g.recurrence, g.policy_tag, g.reason, g.metadata ",
            "FROM grants g ",
            $rest
        )
    };
}

macro_rules! hold {
    ($rest:literal) => {
        concat!(
            "SELECT h.hold_row, ",
            account_key!(),
            ", h.hold_id, h.state, h.amount, h.captured, h.created_at, h.expires_at, ",
            "h.over_capture, h.late_commit, h.draw, h.task_id, h.template_id, h.app_id, h.user_id, h.scene, h.price_basis, ",
            "h.policy_tag, h.licence_id, h.counted_for, h.quote_id FROM holds h CROSS JOIN accounts a ON a.account_id = h.account_id ",
            $rest
        )
    };
}

macro_rules! rule {
    ($rest:literal) => {
        concat!(
            "SELECT r.rule_row, ",
            account_key!(),
            ", r.rule_id, r.state, r.next, r.next_at, r.terms, r.reason, r.metadata ",
            "FROM rules r CROSS JOIN accounts a ON a.account_id = r.account_id ",
            $rest
        )
    };
}

macro_rules! operation {
    ($rest:literal) => {
        concat!(
            "SELECT o.position, o.tenant_id, o.subject, o.account_id, a.owner_kind, a.owner_id, a.unit, o.op_id, o.kind, o.first_seq, o.entry_count, ",
            "o.settled_count, o.refunded, o.created_at, o.fingerprint, o.idempotency_key, o.actor, o.request_id, o.policy_tag, ",
            "o.band, o.answer, o.denial, o.alerts FROM operations o LEFT JOIN accounts a ON a.account_id = o.account_id ",
            $rest
        )
    };
}

macro_rules! entry_columns {
    () => {
        concat!(
            "SELECT e.entry_row, e.position, ",
            account_key!(),
            ", o.op_id, e.ordinal, e.seq, e.kind, e.change, e.frozen_change, ",
            "e.balance_after, e.frozen_after, e.created_at, e.effective_at, e.hash, e.draw, e.terms, e.hold_id, e.grant_id, ",
            "e.task_id, e.template_id, e.app_id, e.user_id, e.operator, e.reason, e.metadata, e.text_hash"
        )
    };
}

macro_rules! entry {
    ($rest:literal) => {
        concat!(
            entry_columns!(),
            " FROM entries e CROSS JOIN operations o ON o.position = e.position ",
            "CROSS JOIN accounts a ON a.account_id = e.account_id AND a.tenant_id = e.tenant_id ",
            $rest
        )
    };
}

/// Entries found by their operations.
macro_rules! operation_entry {
    ($rest:literal) => {
        concat!(
            entry_columns!(),
            " FROM operations o CROSS JOIN entries e ON e.account_id = o.account_id ",
            "AND e.seq >= o.first_seq AND e.seq < o.first_seq + o.entry_count ",
            "CROSS JOIN accounts a ON a.account_id = o.account_id ",
            $rest
        )
    };
}

macro_rules! member {
    ($rest:literal) => {
        concat!(
            "SELECT user_id, role, unit, limit_amount, limit_per, day_from, day_used, month_from, month_used, last_at FROM members ",
            $rest
        )
    };
}

macro_rules! licence {
    ($rest:literal) => {
        concat!(
            "SELECT licence_id, template_id, user_id, channels, valid_from, valid_until, total_quota, daily_quota, zone, ",
            "required_documents, submitted_documents, revoked_at, policy_tag, used, reserved, day_from, day_until, day_used, last_at ",
            "FROM licences ",
            $rest
        )
    };
}

macro_rules! audit {
    ($rest:literal) => {
        concat!(
            "SELECT audit_row, position, audit_id, tenant_id, kind, subject, template_id, actor, request_id, policy_tag, outcome, ",
            "reason_code, created_at, op_id, count, details, hash FROM audit ",
            $rest
        )
    };
}

macro_rules! insert_audit {
    ($rest:literal) => {
        concat!(
            "INSERT INTO audit (audit_id, tenant_id, kind, subject, template_id, actor, request_id, policy_tag, outcome, ",
            "reason_code, created_at, op_id, count, details, hash, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ",
            "?11, ?12, ?13, ?14, ?15, coalesce((SELECT max(position) FROM operations), 0))",
            $rest
        )
    };
}

statements! {
    ACCOUNT = account!("WHERE a.tenant_id = ?1 AND a.owner_kind = ?2 AND a.owner_id = ?3 AND a.unit = ?4");
    ACCOUNTS_AFTER = account_names!(
        "WHERE (a.tenant_id, a.owner_kind, a.owner_id, a.unit) > (?1, ?2, ?3, ?4) \
         ORDER BY a.tenant_id, a.owner_kind, a.owner_id, a.unit LIMIT ?5"
    );
    ACCOUNTS_DUE = account_names!("WHERE a.due_at <= ?1 ORDER BY a.due_at, a.account_id LIMIT ?2");
    NEXT_DUE = "SELECT min(due_at) FROM accounts WHERE due_at IS NOT NULL";
    LAST_ACCOUNT = "SELECT max(account_id) FROM accounts";

    // Each head is looked up along the account's own entries, the last first. An account without one has a row all the same,
    // so that a page of accounts is all that is read.
    HEADS_AT = concat!(
        "SELECT a.account_id, ", account_key!(), ", e.seq, o.op_id, e.ordinal, e.balance_after, e.frozen_after, e.created_at, ",
        "e.hash FROM accounts a LEFT JOIN entries e ON e.account_id = a.account_id AND e.seq = (SELECT h.seq FROM entries h ",
        "WHERE h.account_id = a.account_id AND h.position <= ?5 ORDER BY h.seq DESC LIMIT 1) ",
        "LEFT JOIN operations o ON o.position = e.position ",
        "WHERE (a.tenant_id, a.owner_kind, a.owner_id, a.unit) > (?1, ?2, ?3, ?4) ",
        "ORDER BY a.tenant_id, a.owner_kind, a.owner_id, a.unit LIMIT ?6"
    );

    GRANT = grant!(
        concat!(account_key!(), ", "),
        "CROSS JOIN accounts a ON a.account_id = g.account_id WHERE g.grant_id = ?1 AND a.tenant_id = ?2"
    );
    // The account is known.
    OPEN_GRANTS = grant!("", "WHERE g.account_id = ?1 AND (g.state = 'pending' OR g.remaining > 0 OR g.held > 0)");

    HOLD = hold!("WHERE h.hold_id = ?1 AND a.tenant_id = ?2");
    DUE_HOLDS = hold!("WHERE h.account_id = ?1 AND h.state = 'frozen' AND h.expires_at <= ?2");
    FROZEN_HOLDS = hold!("WHERE h.account_id = ?1 AND h.state = 'frozen'");
    NEXT_HOLD = "SELECT min(expires_at) FROM holds WHERE account_id = ?1 AND state = 'frozen' AND expires_at > ?2";

    RULE = rule!("WHERE r.rule_id = ?1 AND a.tenant_id = ?2");
    RUNNING_RULES = rule!("WHERE r.account_id = ?1 AND r.state = 'running'");

    TASK = "SELECT task_id, charges, last_at, hold_id, work FROM tasks WHERE tenant_id = ?1 AND task_id = ?2";
    TASKS_AFTER =
        "SELECT task_id, charges, last_at, hold_id, work, tenant_id FROM tasks WHERE (tenant_id, task_id) > (?1, ?2) \
         ORDER BY tenant_id, task_id LIMIT ?3";

    // Of any tenant: hardly anybody is ever blocked.
    ANY_SUBJECT = "SELECT 1 FROM subjects WHERE tenant_id >= '' LIMIT 1";
    SUBJECT = "SELECT blocked, since, last_at FROM subjects WHERE tenant_id = ?1 AND kind = ?2 AND subject_id = ?3";
    MEMBER = member!("WHERE tenant_id = ?1 AND organization_id = ?2 AND user_id = ?3");
    MEMBERS_AFTER = member!(
        "WHERE tenant_id = ?1 AND organization_id = ?2 AND user_id > ?3 AND role IS NOT NULL ORDER BY user_id LIMIT ?4"
    );

    LICENCE = licence!("WHERE tenant_id = ?1 AND licence_id = ?2");
    // Those for any user have an empty one. Left to itself, SQLite reads all licences of the tenant, and more so when it is asked for an
    // order: who reads them puts them in order.
    TEMPLATE_LICENCES = "SELECT licence_id FROM licences INDEXED BY licences_template \
                         WHERE tenant_id = ?1 AND template_id = ?2 AND user_id IN ('', ?3)";
    LICENCES_AFTER = "SELECT licence_id FROM licences WHERE tenant_id = ?1 AND licence_id > ?2 ORDER BY licence_id LIMIT ?3";
    LICENCES_OF_TEMPLATE = "SELECT licence_id FROM licences WHERE tenant_id = ?1 AND template_id = ?4 AND licence_id > ?2 \
                            ORDER BY licence_id LIMIT ?3";
    DUE_USES = "SELECT hold_id, user_id, made_at, expires_at FROM licence_uses \
                WHERE tenant_id = ?1 AND licence_id = ?2 AND expires_at <= ?3";
    LICENCE_USER = "SELECT used FROM licence_users WHERE tenant_id = ?1 AND licence_id = ?2 AND user_id = ?3";

    RISK_COUNT = "SELECT day_from, used, count, reserved, velocity, alerted_at, last_at FROM risk_counts \
                  WHERE tenant_id = ?1 AND spender = ?2 AND app_id = ?3 AND unit = ?4";
    DUE_RISK_USES = "SELECT hold_id, used, count, made_at, expires_at FROM risk_uses \
                     WHERE tenant_id = ?1 AND spender = ?2 AND app_id = ?3 AND unit = ?4 AND expires_at <= ?5";
    AUDIT = audit!("WHERE audit_id = ?1 AND tenant_id = ?2");
    AUDIT_ASC = audit!("WHERE tenant_id = ?1 AND (position, audit_row) > (?2, ?3) ORDER BY position, audit_row LIMIT ?4");
    AUDIT_DESC =
        audit!("WHERE tenant_id = ?1 AND (position, audit_row) < (?2, ?3) ORDER BY position DESC, audit_row DESC LIMIT ?4");
    AUDIT_AFTER = audit!("WHERE audit_row > ?1 ORDER BY audit_row LIMIT ?2");
    AUDIT_INSERT = insert_audit!("");
    // Whatever is written again stays as it is; only refusals add up.
    AUDIT_RECORD = insert_audit!(
        " ON CONFLICT (audit_id, tenant_id) DO UPDATE SET count = count + excluded.count WHERE excluded.kind = 'refusal'"
    );

    OPERATION = operation!("WHERE o.tenant_id = ?1 AND o.op_id = ?2");
    OPERATION_BY_KEY = operation!("WHERE o.tenant_id = ?1 AND o.idempotency_key = ?2");
    KEY_TAKEN = "SELECT 1 FROM operations WHERE tenant_id = ?1 AND idempotency_key = ?2";
    OPERATION_AT = operation!("WHERE o.position = ?1");
    FEED = operation!("WHERE o.position > ?1 ORDER BY o.position LIMIT ?2");
    FEED_OF_TENANT = operation!("WHERE o.tenant_id = ?2 AND o.position > ?1 ORDER BY o.position LIMIT ?3");
    OPERATIONS_DESC = operation!("WHERE o.tenant_id = ?2 AND o.position < ?1 ORDER BY o.position DESC LIMIT ?3");
    ALERTS = operation!("WHERE o.alerts IS NOT NULL AND o.position > ?1 ORDER BY o.position LIMIT ?2");
    LAST_POSITION = "SELECT max(position) FROM operations";
    CONSUMER = "SELECT position, ordinal FROM consumers WHERE tenant_id = ?1 AND name = ?2";

    ENTRIES_OF_OPERATION = entry!("WHERE e.account_id = ?1 AND e.seq >= ?2 AND e.seq < ?3 ORDER BY e.seq");
    ENTRIES_ASC = entry!("WHERE e.account_id = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT ?3");
    ENTRIES_DESC = entry!("WHERE e.account_id = ?1 AND e.seq < ?2 ORDER BY e.seq DESC LIMIT ?3");
    // Rows of entries ascend with the positions of their operations.
    TASK_ENTRIES_ASC = entry!(
        "WHERE e.tenant_id = ?1 AND e.task_id = ?2 AND e.position >= ?3 AND e.entry_row > ?4 ORDER BY e.position, e.entry_row LIMIT ?5"
    );
    TASK_ENTRIES_DESC = entry!(
        "WHERE e.tenant_id = ?1 AND e.task_id = ?2 AND e.position <= ?3 AND e.entry_row < ?4 \
         ORDER BY e.position DESC, e.entry_row DESC LIMIT ?5"
    );
    TASK_ENTRIES_AT = entry!("WHERE e.tenant_id = ?1 AND e.task_id = ?2 AND e.position = ?3 ORDER BY e.entry_row");
    TASK_POSITIONS_ASC =
        "SELECT DISTINCT position FROM entries WHERE tenant_id = ?1 AND task_id = ?2 AND position > ?3 ORDER BY position LIMIT ?4";
    TASK_POSITIONS_DESC =
        "SELECT DISTINCT position FROM entries WHERE tenant_id = ?1 AND task_id = ?2 AND position < ?3 \
         ORDER BY position DESC LIMIT ?4";
    SUBJECT_POSITIONS_ASC =
        "SELECT position FROM operations WHERE tenant_id = ?1 AND subject = ?2 AND position > ?3 ORDER BY position LIMIT ?4";
    SUBJECT_POSITIONS_DESC =
        "SELECT position FROM operations WHERE tenant_id = ?1 AND subject = ?2 AND position < ?3 ORDER BY position DESC LIMIT ?4";
    TENANT_ENTRIES_ASC = operation_entry!(
        "WHERE o.tenant_id = ?1 AND o.position >= ?2 AND e.entry_row > ?3 ORDER BY o.position, e.seq LIMIT ?4"
    );
    TENANT_ENTRIES_DESC = operation_entry!(
        "WHERE o.tenant_id = ?1 AND o.position <= ?2 AND e.entry_row < ?3 ORDER BY o.position DESC, e.seq DESC LIMIT ?4"
    );
    CURSOR = "SELECT e.entry_row, e.position, e.account_id, e.seq, e.task_id FROM operations o \
        CROSS JOIN entries e ON e.account_id = o.account_id AND e.seq = o.first_seq + ?3 - 1 \
        WHERE o.tenant_id = ?1 AND o.op_id = ?2 AND ?3 BETWEEN 1 AND o.entry_count";
    BOOKED_AT = "SELECT created_at FROM entries WHERE account_id = ?1 AND seq = ?2";

    // How many entries of the operation are settlements stands behind the columns of the entry.
    SETTLEMENTS = concat!(
        entry_columns!(), ", o.settled_count FROM entries e CROSS JOIN operations o ON o.position = e.position ",
        "CROSS JOIN accounts a ON a.account_id = e.account_id WHERE e.account_id = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT ?3"
    );

    // What was refunded of the operation, and its label, stand behind the columns of the entry.
    CHARGE = concat!(
        entry_columns!(), ", o.refunded, o.policy_tag FROM operations o CROSS JOIN entries e ON e.account_id = o.account_id ",
        "AND e.seq = o.first_seq + ?3 - 1 CROSS JOIN accounts a ON a.account_id = o.account_id WHERE o.tenant_id = ?1 ",
        "AND o.op_id = ?2 AND ?3 BETWEEN 1 AND o.entry_count AND e.kind IN ('charge', 'capture')"
    );
    TASK_CHARGES = concat!(
        entry_columns!(), ", o.refunded, o.policy_tag FROM entries e CROSS JOIN operations o ON o.position = e.position ",
        "CROSS JOIN accounts a ON a.account_id = e.account_id WHERE e.tenant_id = ?1 AND e.task_id = ?2 ",
        "AND e.kind IN ('charge', 'capture') AND a.owner_kind = ?3 AND a.owner_id = ?4 AND a.unit = ?5 ",
        "ORDER BY e.position, e.entry_row"
    );

    OPERATION_INSERT = insert_operation!("INSERT", values_of_operation!());
    // OR FAIL spares SQLite to keep what it would need to undo a half of the rows: a failed statement undoes the transaction.
    OPERATIONS_INSERT = insert_operation!("INSERT OR FAIL", rows!(values_of_operation!()));
    OPERATION_REFUNDED = "UPDATE operations SET refunded = ?3 WHERE tenant_id = ?1 AND op_id = ?2";
    OPERATION_FORGET = "UPDATE operations SET answer = '', denial = NULL WHERE tenant_id = ?1 AND op_id = ?2";
    // Never back.
    CONSUMER_ADVANCE =
        "INSERT INTO consumers (tenant_id, name, position, ordinal) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant_id, name) \
         DO UPDATE SET position = excluded.position, ordinal = excluded.ordinal \
         WHERE (excluded.position, excluded.ordinal) > (position, ordinal)";
    // What is erased, and the copies of it that the operation, its grant, its hold and its rule have.
    ENTRY_ERASE =
        "UPDATE entries SET user_id = NULL, operator = NULL, reason = NULL, metadata = NULL, text_hash = ?3 \
         WHERE account_id = ?1 AND seq = ?2";
    OPERATION_ERASE = "UPDATE operations SET actor = NULL WHERE tenant_id = ?1 AND op_id = ?2";
    GRANT_ERASE = "UPDATE grants SET reason = NULL, metadata = NULL WHERE grant_id = ?1";
    HOLD_ERASE = "UPDATE holds SET user_id = NULL WHERE hold_id = ?1";
    RULE_ERASE = "UPDATE rules SET reason = NULL, metadata = NULL WHERE rule_id = ?1";
    ENTRY_INSERT = insert_entry!("INSERT", values_of_entry!());
    ENTRIES_INSERT = insert_entry!("INSERT OR FAIL", rows!(values_of_entry!()));
    ACCOUNT_INSERT =
        "INSERT INTO accounts (account_id, seq, available, frozen, issued, adjusted_in, consumed, expired, forfeited, \
         adjusted_out, open_grants, open_holds, head, last_at, hold_due_at, due_at, tenant_id, owner_kind, owner_id, unit) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
    ACCOUNT_UPDATE =
        "UPDATE accounts SET seq = ?2, available = ?3, frozen = ?4, issued = ?5, adjusted_in = ?6, consumed = ?7, expired = ?8, \
         forfeited = ?9, adjusted_out = ?10, open_grants = ?11, open_holds = ?12, head = ?13, last_at = ?14, hold_due_at = ?15 \
         WHERE account_id = ?1";
    // Apart from the other, which leaves the index on `due_at` alone.
    ACCOUNT_UPDATE_DUE =
        "UPDATE accounts SET seq = ?2, available = ?3, frozen = ?4, issued = ?5, adjusted_in = ?6, consumed = ?7, expired = ?8, \
         forfeited = ?9, adjusted_out = ?10, open_grants = ?11, open_holds = ?12, head = ?13, last_at = ?14, hold_due_at = ?15, \
         due_at = ?16 WHERE account_id = ?1";
    // Rarely anything to write: apart from the others.
    ACCOUNT_STANDING =
        "UPDATE accounts SET credit_limit = ?2, owed = ?3, owed_held = ?4, low_below = ?5, low_recovered_from = ?6, band = ?7, \
         blocked = ?8, rules = ?9 WHERE account_id = ?1";
    GRANT_INSERT =
        "INSERT INTO grants (grant_id, state, expires_at, remaining, held, account_id, type, amount, priority, effective_at, \
         scope_app_id, scope_template_id, reissue_of, recurrence, policy_tag, reason, metadata) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    GRANT_UPDATE = "UPDATE grants SET state = ?2, expires_at = ?3, remaining = ?4, held = ?5 WHERE grant_row = ?1";
    HOLD_INSERT =
        "INSERT INTO holds (hold_id, state, expires_at, draw, captured, account_id, amount, created_at, over_capture, \
         late_commit, task_id, template_id, app_id, user_id, scene, price_basis, policy_tag, licence_id, \
         counted_for, quote_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
    HOLD_UPDATE = "UPDATE holds SET state = ?2, expires_at = ?3, draw = ?4, captured = ?5 WHERE hold_id = ?1";
    RULE_INSERT =
        "INSERT INTO rules (rule_id, state, next, next_at, account_id, terms, reason, metadata) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    RULE_UPDATE = "UPDATE rules SET state = ?2, next = ?3, next_at = ?4 WHERE rule_id = ?1";
    TASK_UPSERT =
        "INSERT INTO tasks (tenant_id, task_id, charges, last_at, hold_id, work) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT \
         (tenant_id, task_id) DO UPDATE SET charges = excluded.charges, last_at = excluded.last_at, hold_id = excluded.hold_id, \
         work = excluded.work";
    SUBJECT_UPSERT =
        "INSERT INTO subjects (tenant_id, kind, subject_id, blocked, since, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT \
         (tenant_id, kind, subject_id) DO UPDATE SET blocked = excluded.blocked, since = excluded.since, last_at = excluded.last_at";
    MEMBER_UPSERT =
        "INSERT INTO members (tenant_id, organization_id, user_id, role, unit, limit_amount, limit_per, day_from, day_used, \
         month_from, month_used, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (tenant_id, \
         organization_id, user_id) DO UPDATE SET role = excluded.role, unit = excluded.unit, limit_amount = excluded.limit_amount, \
         limit_per = excluded.limit_per, day_from = excluded.day_from, day_used = excluded.day_used, \
         month_from = excluded.month_from, month_used = excluded.month_used, last_at = excluded.last_at";
    LICENCE_UPSERT =
        "INSERT INTO licences (tenant_id, licence_id, template_id, user_id, channels, valid_from, valid_until, total_quota, \
         daily_quota, zone, required_documents, submitted_documents, revoked_at, policy_tag, used, reserved, day_from, day_until, \
         day_used, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20) \
         ON CONFLICT (tenant_id, licence_id) DO UPDATE SET channels = excluded.channels, valid_from = excluded.valid_from, \
         valid_until = excluded.valid_until, total_quota = excluded.total_quota, daily_quota = excluded.daily_quota, \
         required_documents = excluded.required_documents, submitted_documents = excluded.submitted_documents, \
         revoked_at = excluded.revoked_at, policy_tag = excluded.policy_tag, used = excluded.used, reserved = excluded.reserved, \
         day_from = excluded.day_from, day_until = excluded.day_until, day_used = excluded.day_used, last_at = excluded.last_at";
    LICENCE_USE_UPSERT =
        "INSERT INTO licence_uses (hold_id, tenant_id, licence_id, user_id, made_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (hold_id) DO UPDATE SET expires_at = excluded.expires_at";
    LICENCE_USE_END = "DELETE FROM licence_uses WHERE hold_id = ?1";
    LICENCE_USER_UPSERT =
        "INSERT INTO licence_users (tenant_id, licence_id, user_id, used) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant_id, \
         licence_id, user_id) DO UPDATE SET used = excluded.used";
    RISK_COUNT_UPSERT =
        "INSERT INTO risk_counts (tenant_id, spender, app_id, unit, day_from, used, count, reserved, velocity, alerted_at, last_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (tenant_id, spender, app_id, unit) DO UPDATE SET \
         day_from = excluded.day_from, used = excluded.used, count = excluded.count, reserved = excluded.reserved, \
         velocity = excluded.velocity, alerted_at = excluded.alerted_at, last_at = excluded.last_at";
    RISK_USE_UPSERT =
        "INSERT INTO risk_uses (hold_id, tenant_id, spender, app_id, unit, used, count, made_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (hold_id) DO UPDATE SET used = excluded.used, \
         count = excluded.count, expires_at = excluded.expires_at";
    RISK_USE_END = "DELETE FROM risk_uses WHERE hold_id = ?1";
}
