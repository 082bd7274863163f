//! The Homepage: is all well, and if not, what?

use askama::Template;
use axum::response::Response;

use crate::{Problem, Signed, page, page::Shell};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
}

pub(crate) async fn show(signed: Signed) -> Result<Response, Problem> {
    let shell = signed.shell("home").await?;
    Ok(page::html(&Home { shell }))
}
