//! What administrators do with users, by a page or by a program: invite them, say what they may, and end that. Who may do it the table of routes says.
//!
//! Nobody is sent anything: whoever invites passes the link on.

use catalog::{NewUser, Role, User, UserId};
use jiff::{SignedDuration, Timestamp};

use crate::{Problem, Signed, State, token::Token, words::When};

/// Names on a page and in a kit.
const NAME_MAX: usize = 100;
/// What to do when a name is not taken.
pub(crate) const NO_NAME: &str = "Enter a name of at most 100 characters.";
/// The longest mail address that RFC 5321 lets travel.
const ADDRESS_MAX: usize = 254;
/// For how long an invitation is good: somebody on holiday gets another one.
const INVITATION_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 7);
/// More people than look after backups anywhere.
const USERS_MAX: usize = 1_000;

/// By what a user chooses a password. It is shown once and has no `Debug`, because it lets in whoever has it.
pub(crate) struct Invitation {
    pub(crate) user: User,
    pub(crate) link: String,
    pub(crate) ends_at: Timestamp,
}

impl Invitation {
    pub(crate) fn ends(&self) -> When {
        When(self.ends_at)
    }
}

/// Which of name and address, both without spaces around them, is not taken, and what to do; nothing when both are.
pub(crate) fn objection(name: &str, address: &str) -> Option<(&'static str, &'static str)> {
    if !is_name(name) {
        return Some(("name", NO_NAME));
    }
    (!is_address(address)).then_some(("address", "Enter a mail address, as ada@example.com."))
}

/// Whether a text can be a name.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= NAME_MAX && !text.contains(char::is_control)
}

/// Whether a text can be a mail address; whether it is one, only mail can tell.
fn is_address(text: &str) -> bool {
    let is_no_letter = |letter: char| letter.is_whitespace() || letter.is_control();
    text.len() <= ADDRESS_MAX
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !text.contains(is_no_letter)
        })
}

/// Adds somebody, who is to choose a password.
pub(crate) async fn add(
    state: &State,
    signed: &Signed,
    name: &str,
    address: &str,
    role: Role,
) -> Result<Invitation, Problem> {
    let (name, address) = (name.trim(), address.trim());
    if let Some((_, why)) = objection(name, address) {
        return Err(Problem::Invalid(why.to_owned()));
    }
    let of = &signed.organization;
    if of.users().await?.len() >= USERS_MAX {
        let why = format!("There are {USERS_MAX} users, and there can be no more.");
        return Err(Problem::Conflict(why));
    }
    if state.catalog().user_by_address(address).await?.is_some() {
        let why = "Somebody signs in by this address already.";
        return Err(Problem::Conflict(why.to_owned()));
    }
    let new = NewUser {
        name: name.to_owned(),
        address: address.to_owned(),
        role,
        password_hash: String::new(),
    };
    let user = of.add_user(&new, state.clock().now()).await?;
    signed.note(state, "added a user", user).await?;
    invite(state, signed, user).await
}

/// Gives somebody an invitation, instead of the one before: who did not come, or has forgotten the password.
pub(crate) async fn invite(
    state: &State,
    signed: &Signed,
    id: UserId,
) -> Result<Invitation, Problem> {
    let of = &signed.organization;
    let user = of.user(id).await?;
    if user.disabled {
        let why = "The user is disabled: enable the user first.";
        return Err(Problem::Conflict(why.to_owned()));
    }
    signed.note(state, "invited a user", id).await?;
    let token = Token::random();
    let ends_at = state.clock().now() + INVITATION_LIFETIME;
    of.invite(id, &token.hash(), ends_at).await?;
    Ok(Invitation {
        user: of.user(id).await?,
        link: format!("{}/join/{}", state.public().origin, token.as_str()),
        ends_at,
    })
}

/// Changes what somebody may, from the next request on.
pub(crate) async fn set_role(
    state: &State,
    signed: &Signed,
    id: UserId,
    role: Role,
) -> Result<User, Problem> {
    let of = &signed.organization;
    of.user(id).await?;
    if role != Role::Administrator {
        of.can_spare(id).await?;
    }
    let action = format!("made a user {}", role.word());
    signed.note(state, &action, id).await?;
    of.set_role(id, role).await?;
    Ok(of.user(id).await?)
}

/// Ends what somebody may, at once: sessions, API tokens and invitation.
pub(crate) async fn disable(state: &State, signed: &Signed, id: UserId) -> Result<User, Problem> {
    let of = &signed.organization;
    of.user(id).await?;
    of.can_spare(id).await?;
    signed.note(state, "disabled a user", id).await?;
    of.disable_user(id, state.clock().now()).await?;
    Ok(of.user(id).await?)
}

/// Lets somebody sign in again.
pub(crate) async fn enable(state: &State, signed: &Signed, id: UserId) -> Result<User, Problem> {
    let of = &signed.organization;
    of.user(id).await?;
    signed.note(state, "enabled a user", id).await?;
    of.enable_user(id).await?;
    Ok(of.user(id).await?)
}

#[cfg(test)]
mod tests {
    use super::objection;

    #[test]
    fn names_and_addresses_are_of_letters_that_can_be_shown() {
        let check = |name: &str, address: &str, wrong: Option<&str>| {
            let found = objection(name, address).map(|(field, _)| field);
            assert_eq!(found, wrong, "{name:?} {address:?}");
        };
        check("Ada Lovelace", "ada@example.com", None);
        check(&"é".repeat(100), "a@b", None);
        for name in ["", "a\0b", "a\nb", &"é".repeat(101)] {
            check(name, "ada@example.com", Some("name"));
        }
        let long = format!("{}@example.com", "a".repeat(254));
        for address in ["", "ada", "@b", "a@", "a@b c", "a\0@b", "a@b\n", &long] {
            check("Ada", address, Some("address"));
        }
    }
}
