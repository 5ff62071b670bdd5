//! From the claims of a token to a [`Caller`].

use proto::{is_subject_id, options::v1::Role};
use serde::{Deserialize, Serialize};

use super::{AUDIENCE, Caller, TokenError};

/// The claims of a token (RFC 7519). A claim that appears twice makes the whole token invalid:
/// JSON readers differ in which one they keep.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub: Option<String>,
    pub(super) aud: Audience,
    pub(super) exp: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<f64>,
    pub(super) role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) business: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
}

/// One audience or several.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::One(audience) => audience == AUDIENCE,
            Self::Several(audiences) => audiences.iter().any(|audience| audience == AUDIENCE),
        }
    }
}

/// The role's name in a token: the contract's, without its prefix.
pub(super) fn role_name(role: Role) -> &'static str {
    role.as_str_name().trim_start_matches("ROLE_")
}

impl Claims {
    /// Whom the claims stand for.
    pub(super) fn caller(&self) -> Result<Caller, TokenError> {
        let role = Role::from_str_name(&format!("ROLE_{}", self.role))
            .filter(|role| *role != Role::Unspecified)
            .ok_or(TokenError::Invalid("its role is not one of the contract's"))?;
        let sub = text(self.sub.as_deref(), "its sub is empty, too long or not text")?;
        match role {
            Role::User => {
                let subject = sub.ok_or(TokenError::Invalid("a USER's token needs sub"))?;
                if !is_subject_id(subject) {
                    return Err(TokenError::Invalid("its sub is not a subject id"));
                }
                Ok(Caller::user(subject))
            }
            Role::Business => {
                let needs = TokenError::Invalid("a BUSINESS's token needs business and owner");
                let why = "its business or owner is empty, too long or not text";
                let business = text(self.business.as_deref(), why)?.ok_or(needs)?;
                let owner = text(self.owner.as_deref(), why)?.ok_or(needs)?;
                Ok(Caller::business(business, owner))
            }
            role => Ok(Caller::named(role, sub.unwrap_or(role_name(role)))),
        }
    }
}

/// These texts end up in logs and are compared with ids.
fn text<'a>(value: Option<&'a str>, why: &'static str) -> Result<Option<&'a str>, TokenError> {
    let fits = |text: &&str| (1..=128).contains(&text.len()) && !text.contains(char::is_control);
    match value {
        Some(value) => Some(value).filter(fits).ok_or(TokenError::Invalid(why)).map(Some),
        None => Ok(None),
    }
}
