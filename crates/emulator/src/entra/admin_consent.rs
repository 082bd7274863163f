//! `/{tenant}/v2.0/adminconsent`: an administrator grants an application, for everybody, what it asks for, without signing in to it.

use http::StatusCode;

use super::{
    Entra, EntraError, LoginRequest,
    asked::{Asked, is_openid},
    authorize::{approval_needed, declined},
    consent::{self, For},
    deliver::Mode,
    page::{self, Line},
    walk::{Person, Walk},
};
use crate::{Reply, User};

/// Answers a request or a page of ours.
///
/// # Errors
/// What only a page can tell; everything else is sent to the application.
pub(super) fn answer(
    entra: &Entra,
    request: &LoginRequest,
    authority: &str,
) -> Result<Reply, EntraError> {
    let walk = Walk::begin(entra, request, authority)?;
    Ok(step(&walk).unwrap_or_else(|error| {
        let mut fields = walk.told(&error);
        fields.push(("admin_consent", "True".to_owned()));
        walk.send(Mode::Query, fields)
    }))
}

fn step(walk: &Walk) -> Result<Reply, EntraError> {
    let asked = walk.asked()?;
    let user = match walk.person() {
        Person::Known(signed_in) => signed_in.user,
        Person::Asked(page) => return Ok(page),
    };
    let may = match asked.roles(&walk.app).is_empty() {
        true => consent::may_grant_for_all(&user),
        false => consent::may_grant_roles(&user),
    };
    match walk.answer("decision") {
        Some("accept") if may => Ok(grant(walk, &asked, &user)),
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

fn grant(walk: &Walk, asked: &Asked, user: &User) -> Reply {
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
    let fields = vec![
        ("admin_consent", "True".to_owned()),
        ("tenant", tenant.id.to_string()),
        ("scope", walk.get("scope").unwrap_or_default().to_owned()),
    ];
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
