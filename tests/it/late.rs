//! Two nodes on one store, and a network that keeps what one of them has sent: whatever the other answers meanwhile still holds when the
//! rest arrives. And nodes whose clock is off, which send nothing and say so.

mod clock;
mod keys;
mod link;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server};

/// What a node sends that names this is kept, with all that comes after it over the same connection.
type Names = Box<dyn Fn(&[u8]) -> bool + Send>;

/// A way to the store that keeps what it is told to keep, until it is told to deliver it.
pub struct Post {
    url: String,
    sorting: Arc<Mutex<Sorting>>,
}

#[derive(Default)]
struct Sorting {
    keeps: Option<Names>,
    /// Of each connection of which something is kept, its number and what it sent since.
    kept: Vec<(usize, UnixStream, Vec<u8>)>,
}

impl Post {
    pub fn to(redis: &OwnRedis) -> Post {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let sorting = Arc::new(Mutex::new(Sorting::default()));
        let (socket, shared) = (redis.url.trim_start_matches("unix://").to_owned(), sorting.clone());
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let Ok(store) = UnixStream::connect(&socket) else { continue };
                let (mut back, mut home) =
                    (store.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
                std::thread::spawn(move || std::io::copy(&mut back, &mut home));
                let sorting = shared.clone();
                std::thread::spawn(move || forward(number, client, &store, &sorting));
            }
        });
        Post { url, sorting }
    }

    /// From now on keeps whatever names all of these, one of them at least.
    pub fn keep(&self, words: &'static [&'static str]) {
        let names = |sent: &[u8], word: &str| sent.windows(word.len()).any(|part| part == word.as_bytes());
        self.sorting.lock().unwrap().keeps = Some(Box::new(move |sent| words.iter().all(|word| names(sent, word))));
    }

    pub fn has_kept(&self) -> bool {
        !self.sorting.lock().unwrap().kept.is_empty()
    }

    /// Delivers what was kept, and from now on everything: the store has it before whoever asks next.
    pub fn deliver(&self) {
        let mut sorting = self.sorting.lock().unwrap();
        sorting.keeps = None;
        for (_, mut store, sent) in sorting.kept.drain(..) {
            store.write_all(&sent).expect("the store reads");
        }
    }

    /// One more node of the installation of `first`, which has this way to the store.
    pub fn node(&self, first: &Server, clock: &str) -> Server {
        let (redis_url, keys_from) = (Some(self.url.clone()), Some(first.data.clone()));
        let settings = vec![("QUANYU_STORE_DEADLINE_MS", "1000".to_owned())];
        Server::start(Options { redis_url, keys_from, settings, ..Options::at(clock) })
    }
}

fn forward(number: usize, mut client: TcpStream, store: &UnixStream, sorting: &Mutex<Sorting>) {
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let sent = &buffer[..read];
        let mut sorting = sorting.lock().unwrap();
        if let Some((_, _, kept)) = sorting.kept.iter_mut().find(|(of, _, _)| *of == number) {
            kept.extend_from_slice(sent);
        } else if sorting.keeps.as_ref().is_some_and(|keeps| keeps(sent)) {
            sorting.kept.push((number, store.try_clone().expect("a handle"), sent.to_vec()));
        } else {
            let mut into = store;
            if into.write_all(sent).is_err() {
                return;
            }
        }
    }
}
