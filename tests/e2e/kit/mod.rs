//! What the tests share: the server under test, a small HTTP client, sources and listeners that
//! know every byte of their stream, and the real clients. It judges nothing but what every test
//! would.

pub mod audio;
pub mod clients;
pub mod crowd;
pub mod frames;
pub mod http;
pub mod random;
pub mod server;
pub mod source;
pub mod tune;
