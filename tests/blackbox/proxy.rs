//! Proxies on loopback: they note what they are asked for and pass it on to one fixed server, whatever the name.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy; its listener lives as long as the test process.
pub struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// An HTTP proxy: CONNECT, and requests in absolute form.
    pub fn http(server: SocketAddr) -> Self {
        Self::start(server, http)
    }

    /// A SOCKS5 proxy without authentication.
    pub fn socks5(server: SocketAddr) -> Self {
        Self::start(server, socks5)
    }

    fn start(server: SocketAddr, talk: fn(TcpStream, SocketAddr, &Asked) -> io::Result<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let notes = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let notes = Arc::clone(&notes);
                thread::spawn(move || {
                    // A broken connection is seen by what did not arrive.
                    let _ = talk(stream, server, &notes);
                });
            }
        });
        Self { address, asked }
    }

    /// `SCHEME://127.0.0.1:PORT`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The targets asked for, as `HOST:PORT`, in order; `?` for a connection that asked for nothing sensible.
    pub fn targets(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

type Asked = Arc<Mutex<Vec<String>>>;

fn http(mut client: TcpStream, server: SocketAddr, asked: &Asked) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut server = TcpStream::connect(server)?;
    if method == "CONNECT" {
        note(asked, target);
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        let (host, path) = target.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap_or(("?", ""));
        note(asked, host);
        server.write_all(head.replacen(target, &format!("/{path}"), 1).as_bytes())?;
    }
    pass(client, server)
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16_384 {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn socks5(mut client: TcpStream, server: SocketAddr, asked: &Asked) -> io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    if greeting[0] != 5 {
        note(asked, "?");
        return Ok(());
    }
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods)?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 4];
    client.read_exact(&mut request)?;
    let host = match request[3] {
        1 => {
            let mut address = [0; 4];
            client.read_exact(&mut address)?;
            Ipv4Addr::from(address).to_string()
        }
        3 => {
            let mut length = [0];
            client.read_exact(&mut length)?;
            let mut name = vec![0; length[0].into()];
            client.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => "?".to_owned(),
    };
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    note(asked, &format!("{host}:{}", u16::from_be_bytes(port)));
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
    pass(client, TcpStream::connect(server)?)
}

fn note(asked: &Asked, target: &str) {
    asked.lock().unwrap().push(target.to_owned());
}

fn pass(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    to_client.shutdown(std::net::Shutdown::Both)
}
