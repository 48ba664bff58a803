//! TCP connections that can be cut from inside a handler: a server that took a request and died looks like that.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// The open connections, by the client's address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cuts(Arc<Mutex<HashMap<SocketAddr, Arc<AtomicBool>>>>);

impl Cuts {
    /// From now on nothing is written to this client; its connection closes with the handler's return.
    pub(crate) fn cut(&self, client: SocketAddr) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flag) = open.get(&client) {
            flag.store(true, Ordering::Release);
        }
    }

    fn open(&self, client: SocketAddr) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(client, flag.clone());
        flag
    }

    fn close(&self, client: SocketAddr, flag: &Arc<AtomicBool>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The port may be in use again already.
        if open.get(&client).is_some_and(|current| Arc::ptr_eq(current, flag)) {
            open.remove(&client);
        }
    }
}

/// Accepts connections that [`Cuts`] can cut.
pub(crate) struct CuttableAcceptor {
    pub listener: TcpListener,
    pub local: SocketAddr,
    pub cuts: Cuts,
}

impl Acceptor for CuttableAcceptor {
    type Io = CuttableStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.local.into())]
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let (stream, client) = self.listener.accept().await?;
        let flag = self.cuts.open(client);
        let stream = CuttableStream { stream, client, flag, cuts: self.cuts.clone() };
        Ok((stream, LocalAddr(self.local.into()), RemoteAddr(client.into()), Scheme::HTTP))
    }
}

pub(crate) struct CuttableStream {
    stream: TcpStream,
    client: SocketAddr,
    flag: Arc<AtomicBool>,
    cuts: Cuts,
}

impl CuttableStream {
    fn check(&self) -> io::Result<()> {
        if self.flag.load(Ordering::Acquire) { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

impl Drop for CuttableStream {
    fn drop(&mut self) {
        self.cuts.close(self.client, &self.flag);
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
