//! HTTP: which request is a Bot API call, which is for the page, and how parameters are read out of it.

use std::sync::Arc;

use poem::{
    Body, Endpoint, FromRequest, Request, RequestBody, Response, Server,
    http::StatusCode,
    web::{Form, Multipart},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Duration, sleep},
};

use crate::{
    api::{self, Params, Reply},
    net::CuttableAcceptor,
    sim::Inner,
    web,
};

/// Serves until the stand-in stops; then open connections are closed at once.
pub(crate) fn spawn(listener: TcpListener, sim: &Arc<Inner>) {
    let acceptor = CuttableAcceptor { listener, local: sim.address, cuts: sim.cuts.clone() };
    let mut stop = sim.stop.subscribe();
    let front = Front(sim.clone());
    tokio::spawn(async move {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let server = Server::new_with_acceptor(acceptor);
        server.run_with_graceful_shutdown(front, stopped, Some(Duration::ZERO)).await
    });
}

struct Front(Arc<Inner>);

impl Endpoint for Front {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let path = request.uri().path().to_owned();
        let Some((token, method)) = path.strip_prefix("/bot").and_then(|rest| rest.split_once('/')) else {
            return Ok(web::answer(&self.0, &path, request).await);
        };
        if token != self.0.options.token {
            return Ok(json_response(401, &json!({"ok": false, "error_code": 401, "description": "Unauthorized"})));
        }
        let client = request.remote_addr().as_socket_addr().copied();
        let reply = match parameters(&mut request).await {
            Ok(params) => api::call(&self.0, method.trim_end_matches('/'), params).await,
            Err(description) => Reply::Json(400, json!({"ok": false, "error_code": 400, "description": description})),
        };
        Ok(match reply {
            Reply::Json(status, body) => json_response(status, &body),
            Reply::BadGateway => Response::builder().status(StatusCode::BAD_GATEWAY).content_type("text/html").body(
                "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n\
                 <hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n",
            ),
            Reply::Silence { hang } => {
                if hang {
                    sleep(self.0.options.hang).await;
                }
                if let Some(client) = client {
                    self.0.cuts.cut(client);
                }
                Response::builder().status(StatusCode::BAD_GATEWAY).finish()
            }
        })
    }
}

pub(crate) fn json_response(status: u16, body: &Value) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .content_type("application/json")
        .body(body.to_string())
}

async fn parameters(request: &mut Request) -> Result<Params, &'static str> {
    let mut params = Params::default();
    for (name, value) in request.params::<Vec<(String, String)>>().unwrap_or_default() {
        params.insert(name, value.into());
    }
    let kind = request.content_type().unwrap_or_default().to_ascii_lowercase();
    let mut body = RequestBody::new(request.take_body());
    if kind.starts_with("multipart/form-data") {
        let mut form = Multipart::from_request(request, &mut body).await.map_err(|_| "Bad Request: can't parse multipart")?;
        while let Some(field) = form.next_field().await.map_err(|_| "Bad Request: can't parse multipart")? {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.text().await.map_err(|_| "Bad Request: strings must be encoded in UTF-8")?;
            params.insert(name, value.into());
        }
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        let Form(fields) =
            Form::<Vec<(String, String)>>::from_request(request, &mut body).await.map_err(|_| "Bad Request: can't parse form")?;
        for (name, value) in fields {
            params.insert(name, value.into());
        }
    } else if kind.starts_with("application/json") {
        let bytes = Body::into_vec(body.take().map_err(|_| "Bad Request: no body")?).await;
        let bytes = bytes.map_err(|_| "Bad Request: can't read the request")?;
        if !bytes.is_empty() {
            let object = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes)
                .map_err(|_| "Bad Request: can't parse request parameters: JSON object expected")?;
            for (name, value) in object {
                params.insert(name, value);
            }
        }
    }
    Ok(params)
}
