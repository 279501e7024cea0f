//! The page, within the program.

use std::path::Path;

use axum::{
    Router,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use include_dir::{Dir, include_dir};

static PAGE: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../webui/files");

/// The page from `files` where this directory exists: an edit shows at the next reload.
pub(crate) fn page(files: &Path) -> Router {
    if files.is_dir() {
        return webui::page(files);
    }
    Router::new().fallback(embedded_file)
}

async fn embedded_file(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    match PAGE.get_file(path) {
        Some(file) => {
            let kind = mime_guess::from_path(path).first_or_octet_stream();
            ([(header::CONTENT_TYPE, kind.as_ref())], file.contents()).into_response()
        }
        None => (
            StatusCode::NOT_FOUND,
            "not found: the page is /index.html\n",
        )
            .into_response(),
    }
}
