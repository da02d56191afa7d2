//! One connection: one request, its answer, and the end.
//!
//! Why only one: a process that ends when nobody is there must not have anybody waiting on an open connection, and what
//! one request smuggles behind itself is never read.
//!
//! Why a seat is left before the connection ends: who goes on sending after his answer keeps nobody else out.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::Response;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::Body;
use super::hub::Hub;
use super::routes;
use super::seats::Seat;

/// A request's head is there within so long.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Bytes of a head at the most, and of what is read ahead.
const HEAD_LIMIT: usize = 16 * 1024;
/// Everything is over within so long, however slowly the answer is read.
const TIME: Duration = Duration::from_secs(20);
/// Who still sends after the answer is listened to for so long, and for so many bytes.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_LIMIT: usize = 256 * 1024;
/// When many do so, each is listened to for so long.
const GLANCE: Duration = Duration::from_millis(20);
/// What is said to an address that has more than its share of the connections, whatever it asks.
const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\nconnection: close\r\n\
    content-type: application/json\r\ncontent-length: 66\r\n\r\n\
    {\"success\":false,\"message\":\"too many connections of this address\"}";

/// Answers who is at the other end.
pub async fn serve(stream: TcpStream, peer: IpAddr, hub: Rc<Hub>, seat: Seat) {
    // Without it answers are only a little later.
    stream.set_nodelay(true).ok();
    // Who takes longer is cut off.
    let conversed = timeout(TIME, converse(TokioIo::new(stream), peer, Rc::clone(&hub))).await;
    if let Ok((stream, Parting::Polite)) = conversed {
        let door = hub.seats.door();
        drop(seat);
        part(stream.into_inner(), door).await;
    }
}

/// Tells who has no seat that he has none.
pub async fn turn_away(mut stream: TcpStream, door: Option<Seat>) {
    // It fits into the buffer of a new connection.
    if timeout(GLANCE, poll_fn(|context| Pin::new(&mut stream).poll_write(context, TOO_MANY))).await.is_ok() {
        part(stream, door).await;
    }
}

async fn part(stream: TcpStream, door: Option<Seat>) {
    timeout(if door.is_some() { LINGER } else { GLANCE }, linger(stream)).await.ok();
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// There was an answer, or a refusal of what was no request: the other end is to see it.
    Polite,
    /// The other end is gone, or took too long.
    Abrupt,
}

/// One request and its answer; the stream is given back.
pub async fn converse<S>(stream: S, peer: IpAddr, hub: Rc<Hub>) -> (S, Parting)
where
    S: Read + Write + Unpin + 'static,
{
    let service = service_fn(|request| {
        let hub = Rc::clone(&hub);
        Box::pin(async move { Ok::<_, Infallible>(Response::<Body>::from(routes::answer(&hub, peer, request).await)) })
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_LIMIT);
    builder.keep_alive(false).half_close(true);
    let mut connection = builder.serve_connection(stream, service);
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let parting = match ended {
        Err(error) if !error.is_parse() => Parting::Abrupt,
        _ => Parting::Polite,
    };
    (connection.into_parts().io, parting)
}

/// Says that all was said, and listens until the other end has seen it: a connection that is closed while something comes
/// in is reset, and the answer may be lost with it.
async fn linger(mut stream: TcpStream) {
    if poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await.is_err() {
        return;
    }
    let mut bytes = [0; 4096];
    let mut heard = 0;
    while heard < LINGER_LIMIT {
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = poll_fn(|context| Pin::new(&mut stream).poll_read(context, &mut buffer)).await;
        match buffer.filled().len() {
            0 => return,
            _ if read.is_err() => return,
            more => heard += more,
        }
    }
}

#[cfg(test)]
mod tests;
