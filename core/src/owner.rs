//! Who owns an account.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::denial::{Denial, DenialKind};
use crate::id::{LicenceId, OrganizationId, TaskId, TenantId, TextVisitor, Unit, UserId};

/// Who owns an account: exactly one of the tenant's pool, a user, an organization.
///
/// # Errors
/// [`Owner::from_parts`] answers `owner_invalid` when both a user and an organization are named.
///
/// # Examples
/// ```
/// use drawdown::Owner;
/// assert_eq!(Owner::user("u1")?.to_string(), "user:u1");
/// assert_eq!(Owner::from_parts(Some("u1"), Some("o1")).unwrap_err().name(), "owner_invalid");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The tenant's own account, shared by all its users.
    Pool,
    /// One user.
    User(UserId),
    /// One organization.
    Organization(OrganizationId),
}

impl Owner {
    /// The user with this id.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn user(id: impl AsRef<str>) -> Result<Owner, Denial> {
        UserId::new(id).map(Owner::User)
    }

    /// The organization with this id.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn organization(id: impl AsRef<str>) -> Result<Owner, Denial> {
        OrganizationId::new(id).map(Owner::Organization)
    }

    /// The owner that a request names by a user, or by an organization.
    ///
    /// # Errors
    /// `owner_invalid` when both or neither are given; `payload_invalid` for text that is no id.
    pub fn from_parts(user: Option<&str>, organization: Option<&str>) -> Result<Owner, Denial> {
        match (user, organization) {
            (Some(user), None) => Owner::user(user),
            (None, Some(organization)) => Owner::organization(organization),
            (Some(_), Some(_)) => Err(Owner::invalid("both a user and an organization are named")),
            (None, None) => Err(Owner::invalid("neither a user nor an organization is named")),
        }
    }

    fn invalid(why: &str) -> Denial {
        Denial::new(DenialKind::OwnerInvalid, format!("the owner is not clear: {why}"))
            .with("allowed", "exactly one of a user and an organization")
    }

    /// The number of this kind of owner in ids, hashes and stores.
    #[must_use]
    pub const fn kind_code(&self) -> u8 {
        match self {
            Owner::Pool => 0,
            Owner::User(_) => 1,
            Owner::Organization(_) => 2,
        }
    }

    /// The id of the user or organization; none for the pool.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Owner::Pool => None,
            Owner::User(id) => Some(id.as_str()),
            Owner::Organization(id) => Some(id.as_str()),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Pool => f.write_str("pool"),
            Owner::User(id) => write!(f, "user:{id}"),
            Owner::Organization(id) => write!(f, "organization:{id}"),
        }
    }
}

impl FromStr for Owner {
    type Err = Denial;

    fn from_str(text: &str) -> Result<Owner, Denial> {
        match text.split_once(':') {
            None if text == "pool" => Ok(Owner::Pool),
            Some(("user", id)) => Owner::user(id),
            Some(("organization", id)) => Owner::organization(id),
            _ => Err(Denial::new(DenialKind::OwnerInvalid, "the owner cannot be read")
                .with("given", text.chars().take(64).collect::<String>())
                .with("allowed", "`pool`, `user:<id>` or `organization:<id>`")),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Owner, D::Error> {
        deserializer.deserialize_str(TextVisitor(|text: &str| text.parse().map_err(|denial: Denial| denial.to_string())))
    }
}

/// What a command that books in no account is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// The tenant itself.
    Tenant,
    /// One user.
    User(UserId),
    /// One organization.
    Organization(OrganizationId),
    /// One licence.
    Licence(LicenceId),
    /// One task.
    Task(TaskId),
}

impl Subject {
    /// The number of this kind of subject in stores.
    #[must_use]
    pub const fn kind_code(&self) -> u8 {
        match self {
            Subject::Tenant => 0,
            Subject::User(_) => 1,
            Subject::Organization(_) => 2,
            Subject::Licence(_) => 3,
            Subject::Task(_) => 4,
        }
    }

    /// The id of the user, organization, licence or task; empty for the tenant.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Subject::Tenant => "",
            Subject::User(id) => id.as_str(),
            Subject::Organization(id) => id.as_str(),
            Subject::Licence(id) => id.as_str(),
            Subject::Task(id) => id.as_str(),
        }
    }
}

impl From<&Owner> for Subject {
    /// Whom an owner's account is about; the tenant, where it is the pool.
    fn from(owner: &Owner) -> Subject {
        match owner {
            Owner::Pool => Subject::Tenant,
            Owner::User(id) => Subject::User(id.clone()),
            Owner::Organization(id) => Subject::Organization(id.clone()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Tenant => f.write_str("tenant"),
            Subject::User(id) => write!(f, "user:{id}"),
            Subject::Organization(id) => write!(f, "organization:{id}"),
            Subject::Licence(id) => write!(f, "licence:{id}"),
            Subject::Task(id) => write!(f, "task:{id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = Denial;

    fn from_str(text: &str) -> Result<Subject, Denial> {
        match text.split_once(':') {
            None if text == "tenant" => Ok(Subject::Tenant),
            Some(("user", id)) => UserId::new(id).map(Subject::User),
            Some(("organization", id)) => OrganizationId::new(id).map(Subject::Organization),
            Some(("licence", id)) => LicenceId::new(id).map(Subject::Licence),
            Some(("task", id)) => TaskId::new(id).map(Subject::Task),
            _ => {
                let allowed = "`tenant`, `user:<id>`, `organization:<id>`, `licence:<id>` or `task:<id>`";
                Err(Denial::invalid("subject", text, allowed))
            }
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = Denial;

    fn try_from(text: String) -> Result<Subject, Denial> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.to_string()
    }
}

/// Names one member of an organization, whether there is one or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberKey {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
}

impl MemberKey {
    /// This user as a member of this organization.
    #[must_use]
    pub const fn new(tenant_id: TenantId, organization_id: OrganizationId, user_id: UserId) -> MemberKey {
        MemberKey { tenant_id, organization_id, user_id }
    }

    /// This user as a member of the organization that owns the account; none if no organization does.
    #[must_use]
    pub fn of_account(account: &AccountKey, user_id: &UserId) -> Option<MemberKey> {
        match &account.owner {
            Owner::Organization(organization_id) => {
                Some(MemberKey::new(account.tenant_id.clone(), organization_id.clone(), user_id.clone()))
            }
            Owner::Pool | Owner::User(_) => None,
        }
    }
}

/// Names one account: a tenant, an owner, and the unit that it counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccountKey {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Who owns the credit.
    pub owner: Owner,
    /// What is counted.
    pub unit: Unit,
}

impl AccountKey {
    /// The account of `owner` in `tenant_id` for `unit`.
    #[must_use]
    pub const fn new(tenant_id: TenantId, owner: Owner, unit: Unit) -> AccountKey {
        AccountKey { tenant_id, owner, unit }
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant_id, self.owner, self.unit)
    }
}
