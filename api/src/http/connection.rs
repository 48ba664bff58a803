//! Connections that notice when the caller has hung up.

use std::{
    io::{Error, ErrorKind, Result},
    pin::Pin,
    task::{Context, Poll, ready},
};

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Accepts as another one does. What it accepts ends with the first writing after the caller's end: hyper gives a call up then,
/// but poem drives the connection once more, and a waiting poll would take commands for an agent that is gone.
pub struct HangUps<A>(pub A);

pub struct Connection<Io> {
    io: Io,
    hung_up: bool,
}

impl<A: Acceptor> Acceptor for HangUps<A> {
    type Io = Connection<A::Io>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let (io, local, remote, scheme) = self.0.accept().await?;
        Ok((Connection { io, hung_up: false }, local, remote, scheme))
    }
}

impl<Io> Connection<Io> {
    fn line(&mut self) -> Result<Pin<&mut Io>>
    where
        Io: Unpin,
    {
        if self.hung_up { Err(Error::from(ErrorKind::BrokenPipe)) } else { Ok(Pin::new(&mut self.io)) }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = (buffer.filled().len(), buffer.remaining());
        let read = ready!(Pin::new(&mut this.io).poll_read(context, buffer));
        this.hung_up |= read.is_err() || (before.1 > 0 && buffer.filled().len() == before.0);
        Poll::Ready(read)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.get_mut().line()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.get_mut().line()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().line()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
