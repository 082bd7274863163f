//! Users: who signs in, inviting somebody, what they may, and ending that. Whoever calls passes the link of an invitation on; nobody is sent anything.

use axum::{
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use catalog::UserId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Id, Items, Json},
    words::Role,
};
use crate::{Problem, Signed, State, path::Path, users};

/// A person who signs in to the console.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    #[schema(value_type = Id)]
    id: UserId,
    name: String,
    address: String,
    role: Role,
    /// Whether signing in is forbidden.
    disabled: bool,
    /// Until when the user may choose a password by the newest invitation; null when there is none that was not used.
    invited_until: Option<Timestamp>,
    signed_in_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl From<catalog::User> for User {
    fn from(user: catalog::User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            address: user.address,
            role: Role(user.role),
            disabled: user.disabled,
            invited_until: user.invited_until,
            signed_in_at: user.signed_in_at,
            created_at: user.created_at,
        }
    }
}

/// An invitation. Its link is told this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    user: User,
    /// Whoever opens it first chooses the user's password and is signed in: for that person alone.
    link: String,
    /// When it ends, unless it is used or there is a newer one.
    ends_at: Timestamp,
}

impl From<users::Invitation> for Invitation {
    fn from(invitation: users::Invitation) -> Self {
        Self {
            user: invitation.user.into(),
            link: invitation.link,
            ends_at: invitation.ends_at,
        }
    }
}

/// The users, by address
#[utoipa::path(get, path = "/api/v1/users", tag = "users", responses((status = 200, body = Items<User>)))]
pub(crate) async fn list_users(signed: Signed) -> Result<Json<Items<User>>, Problem> {
    let users = signed.organization.users().await?;
    Ok(Json(Items::all(
        users.into_iter().map(User::from).collect(),
    )))
}

/// Somebody who is to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// By which the user signs in; nobody else on this server has it.
    #[schema(min_length = 3, max_length = 254)]
    address: String,
    role: Role,
}

/// Invite somebody
///
/// The user chooses a password by the invitation's link.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser, responses((status = 201, body = Invitation)))]
pub(crate) async fn add_user(
    state: State,
    signed: Signed,
    Json(new): Json<NewUser>,
) -> Result<impl IntoResponse, Problem> {
    let role = new.role.0;
    let invitation = users::add(&state, &signed, &new.name, &new.address, role).await?;
    let location = [(LOCATION, format!("/api/v1/users/{}", invitation.user.id))];
    let made = Json(Invitation::from(invitation));
    Ok((StatusCode::CREATED, location, made))
}

/// One user
#[utoipa::path(get, path = "/api/v1/users/{user}", tag = "users", params(("user" = Id, Path)), responses((status = 200, body = User)))]
pub(crate) async fn get_user(
    signed: Signed,
    Path(user): Path<UserId>,
) -> Result<Json<User>, Problem> {
    Ok(Json(signed.organization.user(user).await?.into()))
}

/// What a user is to be allowed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    role: Role,
}

/// Change what a user may
///
/// It holds from the next request on. The last administrator who can sign in stays one.
#[utoipa::path(put, path = "/api/v1/users/{user}/role", tag = "users", params(("user" = Id, Path)), request_body = NewRole,
    responses((status = 200, body = User)))]
pub(crate) async fn set_user_role(
    state: State,
    signed: Signed,
    Path(user): Path<UserId>,
    body: Result<Json<NewRole>, Problem>,
) -> Result<Json<User>, Problem> {
    signed.organization.user(user).await?;
    let role = body?.0.role.0;
    let user = users::set_role(&state, &signed, user, role).await?;
    Ok(Json(user.into()))
}

/// Give a user a new invitation
///
/// For one who did not come, or has forgotten the password. It ends the one before; the password and the sessions that there are end when it is used.
#[utoipa::path(post, path = "/api/v1/users/{user}/invite", tag = "users", params(("user" = Id, Path)),
    responses((status = 200, body = Invitation)))]
pub(crate) async fn invite_user(
    state: State,
    signed: Signed,
    Path(user): Path<UserId>,
) -> Result<Json<Invitation>, Problem> {
    let invitation = users::invite(&state, &signed, user).await?;
    Ok(Json(invitation.into()))
}

/// Forbid a user to sign in
///
/// Sessions, API tokens and the invitation end at once and for good. The last administrator who can sign in cannot be disabled.
#[utoipa::path(post, path = "/api/v1/users/{user}/disable", tag = "users", params(("user" = Id, Path)),
    responses((status = 200, body = User)))]
pub(crate) async fn disable_user(
    state: State,
    signed: Signed,
    Path(user): Path<UserId>,
) -> Result<Json<User>, Problem> {
    let user = users::disable(&state, &signed, user).await?;
    Ok(Json(user.into()))
}

/// Let a user sign in again
#[utoipa::path(post, path = "/api/v1/users/{user}/enable", tag = "users", params(("user" = Id, Path)),
    responses((status = 200, body = User)))]
pub(crate) async fn enable_user(
    state: State,
    signed: Signed,
    Path(user): Path<UserId>,
) -> Result<Json<User>, Problem> {
    let user = users::enable(&state, &signed, user).await?;
    Ok(Json(user.into()))
}
