//! The console's own files, which are part of the program. Their address has a hash of all of them, so that browsers may keep them for ever.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::Problem;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// Of all files; another version of the console has another one.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for name in Files::iter() {
        if let Some(file) = Files::get(&name) {
            hash.update(file.metadata.sha256_hash());
        }
    }
    HEXLOWER.encode(&hash.finalize()[..8])
});

/// The address of a file.
pub(crate) fn url(name: &str) -> String {
    format!("/assets/{}/{name}", *HASH)
}

/// Gives a file. One of another version is not there.
pub(crate) async fn show(Path((hash, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let file = (hash == *HASH).then(|| Files::get(&name)).flatten();
    let file = file.ok_or(Problem::NotFound)?;
    let media_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = file.data.into_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(CACHE_CONTROL, for_ever);
    Ok(response)
}
