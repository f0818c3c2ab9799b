//! One send to one established socket, as the pump makes it: what the kernel's TCP path costs over
//! loopback. Guards the figure "server CPU against the bare send loop" of `docs/performance.md`.

use std::io::{IoSlice, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use divan::Bencher;
use divan::counter::BytesCount;
use floe::rt::wire::{Sent, Wire};

fn main() {
    divan::main();
}

const BEAT_BYTES: usize = 16_000;

/// A wire and its other end.
fn pair() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("it listens");
    let (server, _) = listener.accept().expect("a client has connected");
    (Wire::from(OwnedFd::from(server)), client)
}

/// Reads what was sent, so that the next send finds room.
fn drain(client: &mut TcpStream, sent: Sent, buffer: &mut [u8]) {
    let Sent::Bytes(count) = sent else { panic!("the peer reads everything: {sent:?}") };
    client.read_exact(&mut buffer[..count]).expect("these bytes were sent");
}

#[divan::bench]
fn send_a_beat(bencher: Bencher) {
    let (wire, mut client) = pair();
    let (bytes, mut buffer) = (vec![7; BEAT_BYTES], vec![0; BEAT_BYTES]);
    bencher.counter(BytesCount::new(BEAT_BYTES)).bench_local(|| {
        let sent = wire.send(&bytes);
        drain(&mut client, sent, &mut buffer);
    });
}

#[divan::bench]
fn send_a_beat_with_a_metadata_block(bencher: Bencher) {
    let (wire, mut client) = pair();
    let (bytes, mut buffer) = (vec![7; BEAT_BYTES], vec![0; BEAT_BYTES + 1]);
    bencher.counter(BytesCount::new(BEAT_BYTES + 1)).bench_local(|| {
        let (before, after) = bytes.split_at(9_000);
        let pieces = [IoSlice::new(before), IoSlice::new(&[0]), IoSlice::new(after)];
        let sent = wire.send_pieces(&pieces);
        drain(&mut client, sent, &mut buffer);
    });
}
