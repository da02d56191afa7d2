//! Answers requests on a socket that somebody else holds, and ends when nobody is there any more.
//!
//! | module | is |
//! |---|---|
//! | [`connection`] | one connection, its limits |
//! | [`routes`] | from a request to its answer |
//! | [`views`] | the page and what it is made of |
//! | [`access`] | who may do what |
//! | [`head`] | what a request says of whom it is of |
//! | [`guesses`] | how fast passwords can be guessed |
//! | [`seats`] | who is in |
//! | [`tally`] | how many are of one origin |
//! | [`program`] | whether an upgrade has replaced the program |
//! | [`hub`] | what the requests share |
//! | [`answer`] | the shape of answers |
//!
//! Invariants: nobody who was accepted is left without an answer, since there is one accepter, and it ends only when
//! nobody is in, also when a signal or an upgrade tells it to end; who comes after that waits in the kernel's queue, which
//! belongs to whoever holds the socket. The state and its lock are never touched: what nodes report goes to the spool.
//! Passwords and tokens go nowhere.
//!
//! Why a wrong configuration is answered, and no reason to exit: a service that fails to start again and again is given
//! up, and its socket with it.

mod access;
pub mod answer;
mod connection;
mod guesses;
mod head;
mod hub;
mod program;
mod routes;
mod seats;
mod tally;
pub mod views;

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use listenfd::ListenFd;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::error::{Error, Exit, Result, in_words};
use crate::host::Host;
use crate::log::Log;
use hub::Hub;
pub use hub::Load;
use program::Program;

/// After an error of accepting, such as too many open files.
const BREATH: Duration = Duration::from_millis(100);

/// Answers until nobody has come for long enough, or it is told to end.
pub fn run(host: &Arc<dyn Host>, load: Load, listen: Option<SocketAddr>, log: &mut Log) -> Result<Exit> {
    let listener = match listen {
        Some(address) => bound(address, log)?,
        None => handed_over()?,
    };
    let failed = |error: io::Error| Error::failed(format!("serve: {}", in_words(&error)));
    listener.set_nonblocking(true).map_err(failed)?;
    let runtime =
        Builder::new_current_thread().max_blocking_threads(hub::DESKS).enable_all().build().map_err(failed)?;
    let hub = Rc::new(Hub::new(Arc::clone(host), load));
    // What is wrong is told at the start, and not only when somebody asks.
    hub.config();
    let _entered = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    // Who has the socket starts the new program; a socket of our own would end with the old one.
    let program = if listen.is_none() { Program::own(host.elapsed()) } else { None };
    let mut signals = Signals::new().map_err(failed)?;
    let end = LocalSet::new().block_on(&runtime, async {
        let end = accept(&listener, &hub, &mut signals, program.as_ref()).await;
        hub.seats.emptied().await;
        end
    });
    if listen.is_some() {
        log.detail(&match end {
            End::Idle => format!("nobody has asked for {} s: ended", hub.idle_exit().as_secs()),
            End::Told => "ended".into(),
        });
    }
    Ok(Exit::Done)
}

/// Why nobody is accepted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nobody has come.
    Idle,
    /// By a signal, or since the program was replaced.
    Told,
}

/// Those that tell it to end.
struct Signals([Signal; 2]);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }
}

/// Who has come; none when it is told to end.
async fn next(
    listener: &tokio::net::TcpListener,
    signals: &mut Signals,
) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    let next = poll_fn(|context| {
        if signals.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
            return Poll::Ready(None);
        }
        listener.poll_accept(context).map(Some)
    });
    next.await
}

/// A socket of our own; where it is, is told.
fn bound(address: SocketAddr, log: &mut Log) -> Result<TcpListener> {
    let failed = |error: io::Error| Error::failed(format!("listen on {address}: {}", in_words(&error)));
    let listener = TcpListener::bind(address).map_err(failed)?;
    log.detail(&format!("listening on http://{}", listener.local_addr().map_err(failed)?));
    Ok(listener)
}

/// The socket that systemd holds.
fn handed_over() -> Result<TcpListener> {
    let hint = "start it by its systemd socket, or give --listen ADDR";
    let mut handed = ListenFd::from_env();
    match handed.len() {
        0 => Err(Error::usage(format!("no socket was handed over: {hint}"))),
        1 => match handed.take_tcp_listener(0) {
            Ok(Some(listener)) => Ok(listener),
            Ok(None) => Err(Error::usage(format!("no socket was handed over: {hint}"))),
            Err(error) => Err(Error::usage(format!("the socket that was handed over: {}", in_words(&error)))),
        },
        many => Err(Error::usage(format!("{many} sockets were handed over, and only one can be served: {hint}"))),
    }
}

/// Accepts until nobody is in and nobody has come for long enough, or until it is told to end.
async fn accept(
    listener: &tokio::net::TcpListener,
    hub: &Rc<Hub>,
    signals: &mut Signals,
    program: Option<&Program>,
) -> End {
    loop {
        hub.seats.free().await;
        let idle_exit = hub.idle_exit();
        let patience = idle_exit - hub.seats.empty_for().unwrap_or_default().min(idle_exit);
        match timeout(patience, next(listener, signals)).await {
            Ok(None) => return End::Told,
            Ok(Some(Ok((stream, address)))) => {
                admit(stream, address, hub);
                if program.is_some_and(|program| program.is_replaced(hub.host.elapsed())) {
                    return End::Told;
                }
            }
            Ok(Some(Err(error))) => {
                hub.tell("accept", &format!("accept: {}", in_words(&error)));
                sleep(BREATH).await;
            }
            Err(_) if hub.seats.empty_for().is_some_and(|empty| empty >= hub.idle_exit()) => return End::Idle,
            Err(_) => {}
        }
    }
}

/// Gives who has come a seat, if it can be.
fn admit(stream: TcpStream, address: SocketAddr, hub: &Rc<Hub>) {
    let peer = address.ip();
    match hub.seats.take(peer) {
        Some(seat) => drop(spawn_local(connection::serve(stream, peer, Rc::clone(hub), seat))),
        None => drop(spawn_local(connection::turn_away(stream, hub.seats.door()))),
    }
}
