//! The description of this API for programs, and the page for people. Both are made once and shared by all answers: the page has
//! more than a megabyte, which a copy for each caller would multiply.

use data_encoding::BASE64;
use hyper::body::Bytes;
use poem::{Endpoint, Response, endpoint::make_sync, http::header::CONTENT_SECURITY_POLICY};
use poem_openapi::{OpenApi, OpenApiService};
use sha2::{Digest, Sha256};

pub struct Documents {
    description: Bytes,
    page: Bytes,
    policy: String,
}

impl Documents {
    pub fn of<T: OpenApi>(service: &OpenApiService<T, ()>) -> Self {
        let page = service.swagger_ui_html();
        let policy = policy(&page);
        Self { description: service.spec().into(), page: page.into(), policy }
    }

    pub fn description(&self) -> impl Endpoint + use<> {
        let description = self.description.clone();
        make_sync(move |_| Response::builder().content_type("application/json").body(description.clone()))
    }

    pub fn page(&self) -> impl Endpoint + use<> {
        let (page, policy) = (self.page.clone(), self.policy.clone());
        make_sync(move |_| {
            let response = Response::builder().content_type("text/html; charset=utf-8");
            response.header(CONTENT_SECURITY_POLICY, &policy).body(page.clone())
        })
    }
}

/// Lets the page run its own scripts, by their hashes, ask this host, and nothing else.
fn policy(page: &str) -> String {
    let hashes: Vec<String> =
        scripts(page).map(|script| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(script)))).collect();
    format!(
        "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        hashes.join(" ")
    )
}

/// Gives what stands between the tags. A script ends at the first `</script`, whatever it says; what looks like a tag in it is
/// none.
fn scripts(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let from = rest.split_once("<script")?.1.split_once('>')?.1;
        let (script, after) = from.split_once("</script")?;
        rest = after;
        Some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_of_the_page_is_allowed_by_its_hash() {
        let page = "<head><script charset=\"UTF-8\">1</script></head><script>\n'<script>'\n</script>";
        assert_eq!(scripts(page).collect::<Vec<_>>(), ["1", "\n'<script>'\n"]);
        // printf 1 | openssl dgst -sha256 -binary | base64
        assert!(policy(page).contains("'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='"), "{}", policy(page));
    }
}
