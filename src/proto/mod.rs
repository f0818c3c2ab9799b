//! FLOOR 1 · proto: wire grammars, sans-IO. Bytes go in and values come out, values go in and bytes
//! come out. This room keeps no socket, clock, configuration or log, names no room but `base`, and
//! runs on whichever core or thread calls it.
//!
//! | file | grammar |
//! |---|---|
//! | `http`, `target` | request heads and request targets |
//! | `chunked` | the body of a chunked upload |
//! | `credentials` | `Authorization: Basic` |
//! | `query`, `burst` | query strings and forms, and the burst a listener asks for |
//! | `title`, `icy` | titles, and the metadata blocks between a listener's bytes |
//! | `answer`, `cors` | response heads and bodies, and who may read them from a web page |
//! | `icecast` | what the Icecast family adds: source answers, refusals, stream heads, admin XML |
//! | `playlist`, `status`, `json` | the documents players and monitors fetch |
//! | `text` | charsets, control characters, cutting and escaping, for all of the above |

pub mod answer;
pub mod burst;
pub mod chunked;
pub mod cors;
pub mod credentials;
pub mod http;
pub mod icecast;
pub mod icy;
pub mod json;
pub mod playlist;
pub mod query;
pub mod status;
mod target;
pub mod text;
pub mod title;
