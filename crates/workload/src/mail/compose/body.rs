//! A body that is too large for the request that creates its message, cut to fit.
//!
//! Graph takes 4 MB in one request and has no other way to give a message its body, so a longer one is cut: between characters, in HTML between
//! tags, with what is open closed again, so that the last line, which says where the whole text is, can be seen. The whole text becomes an
//! attachment. It does not judge HTML otherwise and repairs nothing in it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::attachment::{self, ATTACHMENT_BYTES_MAX, Attachment};
use crate::mail::outline::Outline;

/// The name of the attachment that has the whole text, before its ending.
const WHOLE_NAME: &str = "whole message";
/// MIME up to half of what a message may have is attached as it is; of larger MIME the body alone, so that the attachments restored beside it do
/// not make the message too large.
const WHOLE_MIME_BYTES_MAX: u64 = ATTACHMENT_BYTES_MAX / 2;
/// What the last line and the closing tags have at most.
const END_BYTES_MAX: usize = 16 * 1024;
/// Elements that are closed again. What is nested deeper is decoration that ends with its parent.
const OPEN_MAX: usize = 256;
/// Length of a tag's name that is closed again; no name of HTML is longer.
const NAME_BYTES_MAX: usize = 32;
/// Elements whose content is no HTML.
const RAW_TEXT: [&str; 7] = [
    "script", "style", "title", "textarea", "xmp", "iframe", "noframes",
];
/// Elements that have no end tag, and those that need none for what follows to be seen.
const NEVER_CLOSED: [&str; 17] = [
    "area", "base", "body", "br", "col", "embed", "head", "hr", "html", "img", "input", "link",
    "meta", "param", "source", "track", "wbr",
];

/// Graph's `itemBody`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    content_type: String,
    content: String,
}

/// Cuts `body` so that its JSON has `room` bytes at most, and gives the attachment that holds the whole text. `None` when it fits already, or is no
/// body.
pub(super) fn cut(
    body: &RawValue,
    mime: &Outline,
    room: usize,
) -> Option<(Box<RawValue>, Attachment)> {
    if body.get().len() <= room {
        return None;
    }
    let mut body: Body = serde_json::from_str(body.get()).ok()?;
    let is_html = body.content_type.eq_ignore_ascii_case("html");
    let whole = whole(&body.content, is_html, mime);
    let fitting = fitting(&body.content, room.saturating_sub(END_BYTES_MAX));
    let line = format!(
        "[Cut here when it was restored: the text is longer than Microsoft Graph takes. All of it is in the attachment \"{}\".]",
        whole.name()
    );
    body.content = if is_html {
        let (html, open) = between_tags(fitting);
        let closing: String = open.iter().rev().map(|name| format!("</{name}>")).collect();
        format!("{html}{closing}<p>{line}</p>")
    } else {
        format!("{fitting}\r\n\r\n{line}")
    };
    Some((super::raw(&body), whole))
}

/// The message as it was served; its body alone when there is no MIME or too much of it.
fn whole(content: &str, is_html: bool, mime: &Outline) -> Attachment {
    if (1..=WHOLE_MIME_BYTES_MAX).contains(&mime.size_bytes()) {
        let eml = attachment::eml_file(WHOLE_NAME, mime.text().clone());
        return match mime.gap_count() {
            0 => eml,
            _ => eml.with_far(mime.raw(0..mime.held_bytes())),
        };
    }
    let (ending, content_type) = if is_html {
        ("html", "text/html; charset=utf-8")
    } else {
        ("txt", "text/plain; charset=utf-8")
    };
    let bytes = Bytes::copy_from_slice(content.as_bytes());
    attachment::text_file(&format!("{WHOLE_NAME}.{ending}"), content_type, bytes)
}

/// The longest beginning whose JSON has `room` bytes at most.
fn fitting(text: &str, room: usize) -> &str {
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, c)| {
        bytes += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            _ => c.len_utf8(),
        };
        bytes > room
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// The longest beginning that ends in no tag, comment, style or script, and the elements that are open there, outermost first.
fn between_tags(html: &str) -> (&str, Vec<&str>) {
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(start) = html[at..].find('<').map(|found| at + found) {
        match construct_end(html, start, &mut open) {
            Some(end) => at = end,
            None => return (&html[..start], open),
        }
    }
    (html, open)
}

/// Where what begins with the `<` at `start` ends; `None` when that is cut off.
fn construct_end<'a>(html: &'a str, start: usize, open: &mut Vec<&'a str>) -> Option<usize> {
    let rest = &html[start + 1..];
    if rest.starts_with("!--") {
        return html[start..].find("-->").map(|found| start + found + 3);
    }
    let is_end = rest.starts_with('/');
    let name = &rest[usize::from(is_end)..];
    let length = name
        .find(|c: char| c.is_whitespace() || "/><\"'=".contains(c))
        .unwrap_or(name.len());
    let name = &name[..length];
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || "!?".contains(c)) {
        // A plain "<" in the text, unless the cut is right behind it.
        return (!rest.is_empty() && rest != "/").then_some(start + 1);
    }
    let end = tag_end(html, start)?;
    let is_one_of = |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one));
    if is_end {
        if let Some(depth) = open.iter().rposition(|it| it.eq_ignore_ascii_case(name)) {
            open.truncate(depth);
        }
    } else if is_one_of(&RAW_TEXT) {
        return raw_text_end(html, end, name);
    } else if !html[..end].ends_with("/>")
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= NAME_BYTES_MAX
        && open.len() < OPEN_MAX
        && !is_one_of(&NEVER_CLOSED)
    {
        open.push(name);
    }
    Some(end)
}

/// Behind the `>` of a tag, which may also stand in quotes.
fn tag_end(html: &str, start: usize) -> Option<usize> {
    let mut quote = None;
    let found = html[start..].bytes().position(|byte| {
        match quote {
            Some(open) if open == byte => quote = None,
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            _ => {}
        }
        quote.is_none() && byte == b'>'
    });
    found.map(|found| start + found + 1)
}

/// Where the end tag of an element begins whose content is no HTML.
fn raw_text_end(html: &str, start: usize, name: &str) -> Option<usize> {
    let ends = html[start..].match_indices("</").map(|(at, _)| start + at);
    ends.into_iter().find(|at| {
        html.as_bytes()[at + 2..]
            .get(..name.len())
            .is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_json_fills_the_room() {
        let text = "a\"\u{1}é\n😀";
        for room in 0..20 {
            let cut = fitting(text, room);
            let json = serde_json::to_string(cut).expect("a text").len() - 2;
            assert!(json <= room, "{cut:?} in {room}");
            let next = text[cut.len()..].chars().next();
            if let Some(next) = next {
                let longer = format!("{cut}{next}");
                let json = serde_json::to_string(&longer).expect("a text").len() - 2;
                assert!(json > room, "{longer:?} fits in {room}");
            }
        }
    }

    #[test]
    fn html_is_cut_between_tags_and_what_is_open_is_known() {
        let check = |html: &str, kept: &str, open: &[&str]| {
            assert_eq!(between_tags(html), (kept, open.to_vec()), "{html}");
        };
        check("<p>a", "<p>a", &["p"]);
        check("<p>a</p", "<p>a", &["p"]);
        check(
            "<html><body><TABLE><tr><td>x<br>y<img src='a>b'>",
            "<html><body><TABLE><tr><td>x<br>y<img src='a>b'>",
            &["TABLE", "tr", "td"],
        );
        check("<b>a</b><a href=\"x>y", "<b>a</b>", &[]);
        check("a<!-- <p> -->b<!-- c", "a<!-- <p> -->b", &[]);
        check(
            "a<style>p > b {}</STYLE>b<style>p",
            "a<style>p > b {}</STYLE>b",
            &[],
        );
        check("1 < 2 <", "1 < 2 ", &[]);
        check(
            "<o:p/>é<table></p></table>",
            "<o:p/>é<table></p></table>",
            &[],
        );
        check(
            "<!DOCTYPE html><?xml x?><div>",
            "<!DOCTYPE html><?xml x?><div>",
            &["div"],
        );
    }
}
