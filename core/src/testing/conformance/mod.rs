//! The laws of a [`Store`], each as a test that any store can be put to.
//!
//! [`store_conformance!`](crate::store_conformance) makes one test of each case, from one list. A store that passes keeps
//! the books as the engine expects.
//!
//! ```
//! drawdown::store_conformance!(volatile: || std::sync::Arc::new(drawdown::store::memory::MemoryStore::new()));
//! ```
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a case fails by panicking")]
#![expect(missing_docs, reason = "the name of a case is its law")]

pub mod atomic;
pub mod audit;
pub mod clock;
mod desk;
pub mod events;
pub mod feed;
pub mod heads;
pub mod needs;
pub mod paging;
pub mod past;
pub mod reads;
pub mod reopen;
pub mod serial;
pub mod tasks;
pub mod unique;
pub mod world;

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::Store;

/// A store that is put to the test, and how it is opened again.
pub struct Subject {
    store: Mutex<Option<Arc<dyn Store>>>,
    open: Box<dyn Fn() -> Arc<dyn Store>>,
}

impl Subject {
    /// The store that `open` makes over empty books. For a durable store, another call opens the same books again.
    pub fn new(open: impl Fn() -> Arc<dyn Store> + 'static) -> Subject {
        let store = open();
        Subject { store: Mutex::new(Some(store)), open: Box::new(open) }
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(store.get_or_insert_with(|| (self.open)()))
    }

    /// Closes the store; the next use opens it again.
    pub fn close(&self) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Makes a `#[test]` of each case for a store.
///
/// The argument is an expression of a closure that makes an `Arc<dyn Store>` over empty books. It is evaluated once a test.
/// With `volatile:` the closure is called once; with `durable:` a second call has to open the books of the first again, and the
/// cases about reopening are among the tests.
#[macro_export]
macro_rules! store_conformance {
    (volatile: $fresh:expr) => {
        $crate::store_conformance! { @tests $fresh =>
            atomic {
                a_batch_is_written_whole,
                a_batch_with_a_taken_operation_id_leaves_nothing,
                a_batch_that_decides_nothing_changes_nothing,
                a_batch_that_panics_leaves_nothing,
                an_operation_that_booked_nothing_is_written_only_under_a_key,
                a_later_command_of_a_batch_may_use_what_an_earlier_one_made,
                a_batch_that_grows_is_written_as_one,
                a_batch_that_fails_when_it_has_grown_leaves_nothing,
            }
            serial {
                batches_of_one_account_are_decided_one_after_the_other,
                batches_that_share_a_task_are_decided_one_after_the_other,
                batches_that_share_a_spender_are_decided_one_after_the_other,
                a_key_is_looked_up_when_the_locks_are_held,
            }
            clock {
                the_present_is_the_clock_when_no_anchor_is_ahead,
                the_present_is_the_last_booking_of_an_account_ahead,
                the_present_is_the_last_booking_of_a_task_ahead,
                the_present_is_the_last_booking_of_an_account_reached_by_a_handle,
                the_present_is_the_last_booking_of_a_task_reached_by_a_hold,
                the_present_is_the_last_word_about_who_is_named,
                the_present_is_not_that_of_a_member_reached_by_a_hold,
                the_present_is_the_last_use_of_a_licence_reached_by_a_hold,
                a_clock_too_far_behind_decides_nothing,
                five_seconds_are_not_too_far,
                an_account_that_is_not_locked_does_not_count,
                the_clock_is_read_after_the_locks,
            }
            unique {
                an_operation_id_is_taken_once,
                an_operation_id_is_taken_in_every_tenant,
                an_operation_id_is_taken_once_in_a_batch,
                a_key_is_taken_once_in_a_tenant,
                a_key_is_free_in_another_tenant,
                a_key_is_taken_once_in_a_batch,
            }
            feed {
                positions_follow_the_order_of_commits,
                a_tenant_sees_its_own_operations,
                pages_of_the_feed_join_without_gaps,
                nothing_appears_behind_a_position_handed_out,
                an_operation_without_an_account_is_kept,
                an_operation_reads_the_same_everywhere,
                what_was_refunded_shows_in_the_operation,
                what_is_forgotten_is_gone_and_nothing_else,
                the_last_position_is_the_end_of_the_feed,
            }
            events {
                no_event_appears_behind_a_cursor_handed_out,
                a_consumer_goes_on_and_never_back,
                consumers_of_one_name_stand_apart,
                of_many_acknowledgements_at_once_the_last_cursor_stands,
            }
            heads {
                a_head_is_the_last_entry_as_of_the_position,
                an_account_made_later_has_no_head,
                heads_come_in_order_a_page_at_a_time,
                heads_stay_as_they_were_while_others_write,
            }
            world {
                a_foreign_handle_loads_nothing,
                a_foreign_question_finds_nothing,
                an_unknown_handle_loads_nothing,
                accounts_of_a_tenant_do_not_meet,
            }
            needs {
                an_account_comes_with_its_open_grants,
                an_account_comes_with_its_running_rules,
                a_rule_comes_with_its_account_running_or_not,
                holds_come_when_they_are_due,
                a_hold_comes_with_its_account_and_task,
                an_ended_hold_is_found,
                a_task_comes_with_its_hold,
                a_grant_comes_with_its_account_open_or_not,
                a_charge_comes_with_what_it_drew,
                an_entry_that_is_no_charge_is_absent,
                charges_of_a_task_come_in_order_for_the_account,
                a_task_without_charges_has_an_empty_list,
                a_replay_comes_with_its_entries,
                text_comes_with_the_holds_that_it_is_about,
                erased_text_is_gone_with_its_copies,
                a_subject_comes_as_it_was_written,
                a_member_comes_as_it_was_written,
                a_hold_comes_with_the_member_who_made_it,
                a_licence_comes_as_it_was_written,
                a_template_comes_with_the_licences_that_count,
                a_hold_comes_with_its_licence,
                a_reserved_use_comes_when_it_is_due,
                a_spender_comes_as_it_was_written,
                a_hold_comes_with_the_spender_whom_it_counts_for,
                what_a_hold_reserves_comes_when_it_is_due,
            }
            reads {
                an_account_reads_as_it_was_written,
                what_is_agreed_about_an_account_reads_as_it_was_written,
                an_account_without_entries_is_none,
                an_image_has_all_open_holds,
                a_hold_a_grant_and_a_task_read_as_they_were_written,
                a_rule_reads_as_it_was_written,
                the_longest_due_account_comes_first,
                accounts_come_in_order_a_page_at_a_time,
                members_come_in_order_a_page_at_a_time,
                licences_come_in_order_a_page_at_a_time,
                a_read_does_not_wait_for_a_batch,
                a_read_sees_whole_batches_only,
            }
            tasks {
                a_task_that_is_ended_comes_with_its_hold_and_all_that_comes_with_it,
                the_present_is_the_last_booking_of_the_account_of_a_task_that_is_ended,
                operations_of_a_task_come_in_both_orders_with_its_entries_alone,
                tasks_come_in_order_a_page_at_a_time,
            }
            paging {
                every_field_of_an_entry_and_an_operation_is_kept,
                pages_join_in_both_orders,
                a_cursor_is_stable_when_entries_are_added,
                every_condition_of_a_filter_holds,
                a_filtered_page_goes_on_after_its_cursor,
                an_empty_scope_has_an_empty_page,
                nothing_comes_after_an_entry_that_is_not_there,
            }
            audit {
                a_record_reads_as_it_was_written,
                a_record_with_a_taken_name_adds_to_a_refusal_alone,
                a_batch_with_a_taken_name_leaves_nothing,
                a_quote_comes_as_it_was_written,
                records_and_operations_come_in_the_order_of_writing,
                every_condition_of_a_question_about_the_audit_holds,
                all_records_and_all_alerts_are_found,
            }
            past {
                the_last_entry_booked_by_then_is_found,
                settlements_booked_later_are_listed,
                what_is_booked_later_but_was_no_settlement_is_not_listed,
                an_account_without_entries_has_no_past,
            }
        }
    };
    (durable: $open:expr) => {
        $crate::store_conformance!(volatile: $open);
        $crate::store_conformance! { @tests $open =>
            reopen {
                everything_is_as_it_was,
                positions_go_on_and_keys_stay_taken,
            }
        }
    };
    (@tests $open:expr => $($law:ident { $($case:ident),+ $(,)? })+) => {$(
        mod $law {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::testing::conformance::$law::$case(&$crate::testing::conformance::Subject::new($open));
                }
            )+
        }
    )+};
}
