//! What holds for every route: room for those who show nothing, and headers that browsers and caches obey.

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt, IntoResponse, Response,
    http::{
        HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, Entry, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
};

use crate::http::state::Http;

/// Nothing here is a page, but for one that brings its own policy.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Lets so many requests in at once that no signature and no secret will be asked of.
pub fn with_room(http: Arc<Http>, endpoint: impl Endpoint<Output = Response> + 'static) -> impl Endpoint<Output = Response> {
    endpoint.around(move |endpoint, request| {
        let http = http.clone();
        async move {
            let _room = if is_open(request.uri().path()) { Some(http.budget.stranger()?) } else { None };
            endpoint.call(request).await
        }
    })
}

/// Sends with every answer what keeps it from being guessed at, framed, kept or run.
pub fn guarded(endpoint: impl Endpoint<Output: IntoResponse> + 'static) -> impl Endpoint<Output = Response> {
    endpoint.around(|endpoint, request| async move {
        let may_be_kept = is_open(request.uri().path());
        let mut response = endpoint.call(request).await?.into_response();
        let mut set = |name: HeaderName, value: &'static str| {
            if let Entry::Vacant(place) = response.headers_mut().entry(name) {
                place.insert(HeaderValue::from_static(value));
            }
        };
        set(CONTENT_SECURITY_POLICY, NO_PAGE);
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(X_FRAME_OPTIONS, "DENY");
        set(REFERRER_POLICY, "no-referrer");
        if !may_be_kept {
            set(CACHE_CONTROL, "no-store");
        }
        Ok(response)
    })
}

/// Tells whether a path is everybody's.
fn is_open(path: &str) -> bool {
    !path.starts_with("/agent/") && !path.starts_with("/telegram/")
}
