//! The list of commands: one row each, with what is asked for and what answers it.

use serde_json::Value;

use super::fingerprint::Fields;
use super::json::BodyOf;
use super::*;

/// A kind of command, and the receipt that answers it.
pub trait Operate: Into<Body> {
    /// What an accepted command is answered with.
    type Receipt;

    /// The typed receipt, if this one answers a command of this kind.
    fn read(receipt: &Receipt) -> Option<Self::Receipt>;
}

/// What each command says about itself.
pub(super) trait CommandParts {
    /// Writes every field that decides, for the fingerprint.
    fn fields(&self, fields: &mut Fields);

    /// Checks what can be checked without looking anything up. `keyed`: the command has an idempotency key.
    fn check(&self, keyed: bool) -> Result<(), Denial>;

    /// Adds the handles of what decides this command; none if it is not clear who pays.
    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial>;
}

macro_rules! commands {
    ($($variant:ident($body:ident) -> $receipt:ident),+ $(,)?) => {
        /// What a command asks for.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is documented at its type")]
        pub enum Body {
            $($variant($body),)+
        }

        $(
            impl From<$body> for Body {
                fn from(body: $body) -> Body {
                    Body::$variant(body)
                }
            }

            impl Operate for $body {
                type Receipt = $receipt;

                fn read(receipt: &Receipt) -> Option<$receipt> {
                    (receipt.kind() == OperationKind::$variant).then(|| <$receipt>::new(receipt).into()).flatten()
                }
            }
        )+

        impl Operate for Body {
            type Receipt = Receipt;

            fn read(receipt: &Receipt) -> Option<Receipt> {
                Some(receipt.clone())
            }
        }

        impl Body {
            /// Which command it is.
            #[must_use]
            pub const fn kind(&self) -> OperationKind {
                match self { $(Body::$variant(_) => OperationKind::$variant),+ }
            }

            /// Reads what a command of this kind asks for; none of a kind that is no command.
            pub(super) fn read<F: BodyOf>(kind: OperationKind, fields: F) -> Option<Result<Body, F::Error>> {
                match kind {
                    $(OperationKind::$variant => Some(fields.read().map(Body::$variant)),)+
                    OperationKind::Alert => None,
                }
            }

            /// The denial of what is no kind of command.
            pub(super) fn no_kind(given: impl std::fmt::Display) -> Denial {
                let kinds = [$(OperationKind::$variant.as_str()),+];
                Denial::invalid("command", given, &format!("one of {}", kinds.join(", ")))
            }

            /// The fields that [`Body::read`] reads.
            pub(super) fn write(&self) -> serde_json::Result<Value> {
                match self { $(Body::$variant(body) => serde_json::to_value(body)),+ }
            }

            pub(super) fn parts(&self) -> &dyn CommandParts {
                match self { $(Body::$variant(body) => body),+ }
            }
        }

        /// What the page of schemas says of each command.
        #[cfg(feature = "schema")]
        pub(crate) fn describe(page: &mut crate::schema::Page) {
            $( page.command::<$body, $receipt>(OperationKind::$variant, stringify!($body)); )+
        }
    };
}

commands! {
    Grant(GrantCredit) -> GrantReceipt,
    Void(VoidGrant) -> VoidReceipt,
    Amend(AmendGrant) -> AmendReceipt,
    Adjust(Adjust) -> AdjustReceipt,
    Hold(PlaceHold) -> HoldReceipt,
    Extend(ExtendHold) -> ExtendReceipt,
    Capture(CaptureHold) -> CaptureReceipt,
    Release(ReleaseHold) -> ReleaseReceipt,
    Charge(Charge) -> ChargeReceipt,
    Refund(Refund) -> RefundReceipt,
    Settle(Settle) -> SettleReceipt,
    Recur(RecurGrant) -> RecurReceipt,
    StopRule(StopRule) -> StopRuleReceipt,
    EraseText(EraseText) -> EraseTextReceipt,
    Block(Block) -> BlockReceipt,
    Unblock(Unblock) -> BlockReceipt,
    SetMember(SetMember) -> MemberReceipt,
    RemoveMember(RemoveMember) -> MemberReceipt,
    SetCreditLimit(SetCreditLimit) -> CreditLimitReceipt,
    SetLowBalance(SetLowBalance) -> LowBalanceReceipt,
    Import(ImportBalance) -> ImportReceipt,
    SetLicence(SetLicence) -> LicenceReceipt,
    RevokeLicence(RevokeLicence) -> LicenceReceipt,
    SubmitDocuments(SubmitDocuments) -> LicenceReceipt,
    AdvanceTask(AdvanceTask) -> TaskReceipt,
    CompleteTask(CompleteTask) -> CaptureReceipt,
    FailTask(FailTask) -> ReleaseReceipt,
}

impl Body {
    /// Whether it is about one account, whose version can be expected.
    pub(super) const fn is_about_an_account(&self) -> bool {
        match self {
            Body::Block(Block { target, .. }) | Body::Unblock(Unblock { target, .. }) => matches!(target, BlockTarget::Account(_)),
            Body::SetMember(_) | Body::RemoveMember(_) => false,
            Body::SetLicence(_) | Body::RevokeLicence(_) | Body::SubmitDocuments(_) | Body::AdvanceTask(_) => false,
            _ => true,
        }
    }
}
