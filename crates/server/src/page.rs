//! Templates to answers, and the frames that all pages have in common.

use askama::Template;
use axum::{
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
};

use catalog::Role;

use crate::{Problem, Who, assets, flash::Flash};

/// What `layout.html` shows around a page of somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    pub(crate) organization: String,
    pub(crate) user_name: String,
    pub(crate) user_address: String,
    /// For every form.
    pub(crate) csrf: String,
    /// What the user may do.
    pub(crate) role: Role,
    /// Where in the navigation: `home`, `runs`, `restores`, `failures`, `audit`, `settings` or nothing of these.
    pub(crate) here: &'static str,
    pub(crate) tasks: Vec<NavTask>,
    /// Backups in progress.
    pub(crate) running: u64,
    /// Restores in progress.
    pub(crate) restoring: u64,
    /// Open failures.
    pub(crate) failures: u64,
    pub(crate) flash: Option<Flash>,
}

/// A task in the navigation.
#[derive(Clone, Debug)]
pub(crate) struct NavTask {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) icon: &'static str,
    pub(crate) current: bool,
}

impl Shell {
    /// The address of one of the console's own files.
    #[expect(clippy::unused_self, reason = "templates call it on what they have")]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }

    /// Whether the user backs up, restores and looks into backups.
    pub(crate) fn may_act(&self) -> bool {
        Who::Operator.includes(self.role)
    }

    /// Whether the user changes the organization.
    pub(crate) fn may_manage(&self) -> bool {
        Who::Administrator.includes(self.role)
    }

    /// Marks the task that the page is about.
    pub(crate) fn mark_task(&mut self, id: &str) {
        for task in &mut self.tasks {
            task.current = task.id == id;
        }
    }

    /// The first letters of the user's first and last name.
    pub(crate) fn initials(&self) -> String {
        let mut words = self.user_name.split_whitespace();
        let first = words.next();
        let last = words.next_back();
        let letters = [first, last].into_iter().flatten();
        letters
            .filter_map(|word| word.chars().next())
            .flat_map(char::to_uppercase)
            .collect()
    }
}

/// What `sheet.html` shows around a page of somebody who is not signed in.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    /// For every form.
    pub(crate) csrf: String,
}

impl Sheet {
    /// The address of one of the console's own files.
    #[expect(clippy::unused_self, reason = "templates call it on what they have")]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

/// The page that a template makes.
pub(crate) fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    sheet: Sheet,
    title: &'a str,
    text: &'a str,
}

/// A page that says one thing.
pub(crate) fn notice(title: &str, text: &str) -> Response {
    let sheet = Sheet {
        csrf: String::new(),
    };
    let page = Notice { sheet, title, text };
    // Not by way of `html`, whose errors come here.
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(_) => text.to_owned().into_response(),
    }
}

/// Whether an answer is a page.
pub(crate) fn is_html(response: &Response) -> bool {
    let content_type: Option<&HeaderValue> = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_first_and_the_last_name() {
        let initials = |name: &str| {
            let shell = Shell {
                organization: String::new(),
                user_name: name.to_owned(),
                user_address: String::new(),
                csrf: String::new(),
                role: Role::Auditor,
                here: "",
                tasks: Vec::new(),
                running: 0,
                restoring: 0,
                failures: 0,
                flash: None,
            };
            shell.initials()
        };
        assert_eq!(initials("Ada King of Lovelace"), "AL");
        assert_eq!(initials("Åke"), "Å");
        assert_eq!(initials("  "), "");
    }
}
