//! Accepts connections and speaks HTTP/1.1 on them, and nothing else: not even HTTP/2 without TLS, which one connection could
//! carry many requests over.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use poem::{
    Addr, Endpoint, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    domain::event::Refused,
    http::{
        address::subscriber,
        connection::{Connection, Over},
        crowd::{Crowd, Guest},
    },
    usecase::Core,
};

/// How long requests under way have after the signal to stop.
const GRACE: Duration = Duration::from_secs(5);
/// The longest head of a request; what is read ahead of a body has as much.
const BUFFER: usize = 16 * 1024;
/// Out of files, for example: connections that end give some back.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Serves until `stop`, and then until what is under way has ended.
pub async fn serve<E>(core: Arc<Core>, listener: TcpListener, endpoint: E, stop: impl Future<Output = ()>) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let here = listener.local_addr()?;
    let (endpoint, crowd) = (Arc::new(endpoint), Arc::new(Crowd::default()));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Some(guest) = crowd.enter(&core.clock) else {
            core.refusals.count(Refused::NoRoom, Some(subscriber(peer.ip()).to_string()));
            let _ = stream.try_write(FULL);
            continue;
        };
        let caller = Caller { core: core.clone(), guest, here, peer };
        connections.spawn(caller.converse(stream, endpoint.clone(), stopped.clone()));
    }
    drop(listener);
    let _ = stopping.send(true);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
    Ok(())
}

struct Caller {
    core: Arc<Core>,
    guest: Arc<Guest>,
    here: SocketAddr,
    peer: SocketAddr,
}

impl Caller {
    async fn converse<E>(self, stream: TcpStream, endpoint: Arc<E>, mut stopped: watch::Receiver<bool>)
    where
        E: Endpoint<Output = Response> + 'static,
    {
        // Answers are written whole; none waits for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let line = self.guest.line.clone();
        let answer = service_fn(|request: hyper::Request<Incoming>| {
            let (local, remote) = (LocalAddr(Addr::SocketAddr(self.here)), RemoteAddr(Addr::SocketAddr(self.peer)));
            let mut request: Request = (request, local, remote, Scheme::HTTP).into();
            request.set_data(self.guest.clone());
            let (endpoint, line) = (endpoint.clone(), line.clone());
            async move {
                line.serve();
                let response = endpoint.get_response(request).await;
                if response.status().is_client_error() || response.status().is_server_error() {
                    line.linger();
                }
                line.answer();
                Ok::<hyper::Response<_>, Infallible>(response.into())
            }
        });
        let io = TokioIo::new(Connection::new(stream, line.clone()));
        // Its own time-out for heads would count the time between two requests, too.
        let connection = http1::Builder::new().header_read_timeout(None).max_buf_size(BUFFER).serve_connection(io, answer);
        tokio::pin!(connection);
        let told_to_stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
        tokio::select! {
            // First of all what has come: a process that was held up for long does not blame its callers.
            biased;
            _ = connection.as_mut() => {}
            over = line.over() => match over {
                Over::Slow => self.refused(Refused::TooSlow),
                Over::MakesRoom => self.refused(Refused::NoRoom),
                Over::Idle => {}
            },
            () = told_to_stop => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    fn refused(&self, what: Refused) {
        self.core.refusals.count(what, Some(subscriber(self.peer.ip().to_canonical()).to_string()));
    }
}
