//! `/{tenant}/v2.0/adminconsent`: an administrator grants an application, for everybody, what it asks for, without signing in to it; and the older
//! `/{tenant}/adminconsent`, which asks for all that the registration lists and tells less.

use http::StatusCode;

use super::{
    Entra, EntraError, LoginRequest,
    asked::{Asked, is_openid},
    authorize::{approval_needed, declined},
    consent::{self, For},
    deliver::{Mode, deliver},
    page::{self, Line},
    walk::{Person, Walk},
};
use crate::{Reply, User};

/// Somebody pressed Cancel.
const CANCELED: u32 = 65_004;

/// Which of the two endpoints was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// Answers a request or a page of ours.
///
/// # Errors
/// What only a page can tell; everything else is sent to the application.
pub(super) fn answer(
    entra: &Entra,
    request: &LoginRequest,
    authority: &str,
    version: Version,
) -> Result<Reply, EntraError> {
    let walk = Walk::begin(entra, request, authority)?;
    Ok(step(&walk, version).unwrap_or_else(|error| match version {
        Version::One => {
            let description = match error.number {
                CANCELED => "The admin canceled the request".to_owned(),
                _ => error.description(request.stamp),
            };
            let fields = [
                ("error", "permission_denied".to_owned()),
                ("error_description", description),
            ];
            deliver(&walk.redirect_uri, Mode::Query, &fields)
        }
        Version::Two => {
            let mut fields = walk.told(&error);
            fields.push(("admin_consent", "True".to_owned()));
            walk.send(Mode::Query, fields)
        }
    }))
}

fn step(walk: &Walk, version: Version) -> Result<Reply, EntraError> {
    let asked = match version {
        Version::One => Asked::registered(),
        Version::Two => walk.asked()?,
    };
    let user = match walk.person() {
        Person::Known(signed_in) => signed_in.user,
        Person::Asked(page) => return Ok(page),
    };
    let may = match asked.roles(&walk.app).is_empty() {
        true => consent::may_grant_for_all(&user),
        false => consent::may_grant_roles(&user),
    };
    match walk.answer("decision") {
        Some("accept") if may => Ok(grant(walk, &asked, &user, version)),
        Some(_) if may => Err(refusal(walk)),
        Some(_) => Err(approval_needed()),
        None => Ok(ask(walk, &asked, &user, may)),
    }
}

fn ask(walk: &Walk, asked: &Asked, user: &User, may: bool) -> Reply {
    let action = walk.address(&[]);
    let (app, name) = (&walk.app.display_name, &user.principal_name);
    if !may {
        return page::need_approval(&action, app, name, &approval_needed(), walk.request.stamp);
    }
    let scopes = asked.scopes(&walk.app);
    let roles = asked.roles(&walk.app);
    let of_scopes = scopes
        .iter()
        .filter(|scope| !is_openid(scope))
        .map(|scope| Line {
            name: scope.name,
            description: scope.description,
        });
    let of_roles = roles.iter().map(|role| Line {
        name: role.name,
        description: role.description,
    });
    let lines: Vec<_> = of_roles.chain(of_scopes).collect();
    page::consent(&action, app, name, &lines, Some(true))
}

fn grant(walk: &Walk, asked: &Asked, user: &User, version: Version) -> Reply {
    let tenant = &walk.entra.tenant;
    let scopes = asked.scopes(&walk.app);
    let roles = asked.roles(&walk.app);
    let now = walk.request.stamp.now;
    consent::record(
        tenant,
        &walk.app,
        user,
        For::Everybody,
        (&scopes, &roles),
        now,
    );
    let mut fields = vec![
        ("admin_consent", "True".to_owned()),
        ("tenant", tenant.id.to_string()),
    ];
    if version == Version::Two {
        fields.push(("scope", walk.get("scope").unwrap_or_default().to_owned()));
    }
    walk.send(Mode::Query, fields)
}

/// What an administrator's Cancel says to the application: as captured in 2023, or as the page of 2019 has it.
fn refusal(walk: &Walk) -> EntraError {
    if !walk.entra.tenant.behaviour.refusal_is_consent_required {
        return declined();
    }
    EntraError::new(
        StatusCode::FORBIDDEN,
        "consent_required",
        65_004,
        "The resource owner or authorization server denied the request.",
    )
}
