//! The backend's HTTP side towards agents: thin handlers that authenticate, call a use case and answer.
//! (Telegram's webhook is `telegram::receive::webhook`: it belongs to the inbox.)

mod address;
mod agent;
pub mod body;
mod connection;
mod health;
mod keys;
mod packages;
pub mod problem;
mod rate;
mod signed;
mod state;

use std::sync::Arc;

use poem::{Endpoint, EndpointExt, IntoEndpoint, Route, get};
use poem_openapi::OpenApiService;

pub use address::with_network;
pub use connection::HangUps;
pub use state::Http;

fn service() -> OpenApiService<agent::AgentApi, ()> {
    OpenApiService::new(agent::AgentApi, "Online Server Monitor", env!("CARGO_PKG_VERSION"))
        .description(include_str!("openapi.md"))
        .license(poem_openapi::LicenseObject::new("Apache-2.0").identifier("Apache-2.0"))
}

/// The routes of agents, documents and health.
pub fn routes(http: &Arc<Http>) -> impl Endpoint + use<> {
    let service = service();
    let document = service.spec_endpoint();
    let pages = service.swagger_ui();
    Route::new()
        .at("/openapi.json", document)
        .nest("/docs", pages)
        .at("/healthz", get(health::live))
        .at("/readyz", get(health::ready))
        .at("/packages/*path", get(packages::file))
        .at("/install.sh", get(packages::script))
        .nest("/", service)
        .data(http.clone())
        .into_endpoint()
}

/// The OpenAPI document, as it is checked in.
pub fn document() -> String {
    let mut text = service().spec();
    text.push('\n');
    text
}
