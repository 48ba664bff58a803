//! The backend's HTTP side towards agents: thin handlers that authenticate, call a use case and answer.
//! (Telegram's webhook is `telegram::receive::webhook`: it belongs to the inbox.)

mod address;
mod agent;
mod body;
mod budget;
mod connection;
mod crowd;
mod documents;
mod headers;
mod health;
mod keys;
mod packages;
pub mod problem;
mod rate;
mod server;
mod signed;
mod state;

use std::sync::Arc;

use poem::{Endpoint, EndpointExt, IntoEndpoint, Response, Route, get, middleware::CatchPanic};
use poem_openapi::OpenApiService;

pub use body::Taken;
use documents::Documents;
pub use server::serve;
pub use state::Http;

fn service() -> OpenApiService<agent::AgentApi, ()> {
    OpenApiService::new(agent::AgentApi, "Online Server Monitor", env!("CARGO_PKG_VERSION"))
        .description(include_str!("openapi.md"))
        .license(poem_openapi::LicenseObject::new("Apache-2.0").identifier("Apache-2.0"))
}

/// Gives the routes of agents, documents and health.
pub fn routes(http: &Arc<Http>) -> impl Endpoint + use<> {
    let service = service();
    let documents = Documents::of(&service);
    // What nobody has to show anything for takes up little of the process.
    let open = Route::new()
        .at("/openapi.json", get(documents.description()))
        .at("/docs", get(documents.page()))
        .at("/healthz", get(health::live))
        .at("/readyz", get(health::ready))
        .at("/packages/*path", get(packages::file))
        .at("/install.sh", get(packages::script));
    open.nest("/", service).data(http.clone()).into_endpoint()
}

/// Puts around all routes what holds for every one of them.
pub fn edge(http: &Arc<Http>, routes: Route) -> impl Endpoint<Output = Response> + use<> {
    let routes = headers::with_room(http.clone(), routes.map_to_response());
    let routes = address::with_network(http.core.clone(), routes);
    let routes = routes.with(CatchPanic::new().with_handler(problem::panicked));
    let routes = problem::told(routes);
    headers::guarded(routes)
}

/// Gives the OpenAPI document, as it is checked in.
pub fn document() -> String {
    let mut text = service().spec();
    text.push('\n');
    text
}
