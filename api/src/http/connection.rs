//! A connection within limits of time: 15 s for a request's head from its first byte, 75 s without a request, 2 s to take in what
//! is left when it is closed. How long a body takes is `body`'s; how long an answer takes, its handler's.

use std::{
    io::Result,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, Sleep, sleep, sleep_until},
};

use crate::clock::Clock;

/// How long a head may take to arrive.
const HEAD: Duration = Duration::from_secs(15);
/// How long a connection may be without a request: above the minute for which proxies keep theirs.
const IDLE: Duration = Duration::from_secs(75);
/// What is taken in, and for how long, of a caller who is still sending when their refusal is on its way: closed at once, the
/// system would reset the connection and the refusal could be lost (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// What is known of a connection, for whoever drives it.
pub struct Line {
    clock: Clock,
    phase: Mutex<Phase>,
    /// The time that it has may have become shorter.
    changed: Notify,
    makes_room: AtomicBool,
    lingers: AtomicBool,
}

#[derive(Clone, Copy)]
enum Phase {
    /// A head arrives, since then.
    Head(Instant),
    /// A handler is at work.
    Served,
    /// Nothing is asked for since then.
    Idle(Instant),
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The head of a request did not arrive in time.
    Slow,
    Idle,
    /// Others need its place.
    MakesRoom,
}

impl Line {
    /// The first head is awaited from the start.
    pub fn new(clock: Clock) -> Arc<Self> {
        let phase = Mutex::new(Phase::Head(clock.instant()));
        Arc::new(Self {
            clock,
            phase,
            changed: Notify::new(),
            makes_room: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
        })
    }

    /// A request has arrived and is handled.
    pub fn serve(&self) {
        self.set(|_, _| Phase::Served);
    }

    /// It was handled; its answer is on its way.
    pub fn answer(&self) {
        self.set(|_, now| Phase::Idle(now));
    }

    /// The request was refused: what is left of it is taken in before the connection is closed.
    pub fn linger(&self) {
        self.lingers.store(true, Relaxed);
    }

    pub fn make_room(&self) {
        self.makes_room.store(true, Relaxed);
        self.changed.notify_one();
    }

    /// Waits until it has to end.
    pub async fn over(&self) -> Over {
        loop {
            if self.makes_room.load(Relaxed) {
                return Over::MakesRoom;
            }
            let (until, over) = match *self.phase.lock().unwrap_or_else(PoisonError::into_inner) {
                Phase::Head(since) => (Some(since + HEAD), Over::Slow),
                Phase::Served => (None, Over::Idle),
                Phase::Idle(since) => (Some(since + IDLE), Over::Idle),
            };
            match until {
                Some(until) if until <= self.clock.instant() => return over,
                Some(until) => tokio::select! { () = sleep_until(until) => {}, () = self.changed.notified() => {} },
                None => self.changed.notified().await,
            }
        }
    }

    fn set(&self, next: impl FnOnce(Phase, Instant) -> Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, now) = (*phase, self.clock.instant());
        *phase = next(before, now);
        let is_other = std::mem::discriminant(&before) != std::mem::discriminant(&*phase);
        drop(phase);
        if is_other {
            self.changed.notify_one();
        }
    }

    /// The first bytes after an answer begin the next head.
    fn read(&self) {
        self.set(|phase, now| if matches!(phase, Phase::Idle(_)) { Phase::Head(now) } else { phase });
    }

    /// An answer that is being written is no idleness.
    fn wrote(&self) {
        self.set(|phase, now| if matches!(phase, Phase::Idle(_)) { Phase::Idle(now) } else { phase });
    }
}

pub struct Connection<Io> {
    io: Io,
    line: Arc<Line>,
    lingering: Option<Lingering>,
}

struct Lingering {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<Io> Connection<Io> {
    pub fn new(io: Io, line: Arc<Line>) -> Self {
        Self { io, line, lingering: None }
    }
}

impl<Io: AsyncRead + Unpin> Connection<Io> {
    /// Takes in what still comes, and forgets it.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering { until: Box::pin(sleep(LINGER)), left: LINGER_BYTES });
        loop {
            let mut bytes = [0; 4096];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && lingering.left >= buffer.filled().len() => {
                    lingering.left -= buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return lingering.until.as_mut().poll(context),
            }
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.io).poll_read(context, buffer));
        if buffer.filled().len() > before {
            this.line.read();
        }
        Poll::Ready(read)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.line.wrote();
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.line.wrote();
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
        }
        if this.line.lingers.load(Relaxed) {
            ready!(this.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}
