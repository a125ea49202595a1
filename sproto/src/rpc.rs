//! Calls: requests and responses as packed messages, each behind a header that says what it is.
//!
//! ```text
//! 0-pack( header {type, session, ud} .. content )
//! ```
//!
//! A request has the tag of its protocol as `type`, and a `session` when it wants an answer; a response has the session
//! alone. The header's type is one of the schema, `package` by custom; the tags of its fields are free.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{DecodeError, RpcError};
use crate::schema::{Protocol, Response, Schema};
use crate::value::{Struct, Value};
use crate::{pack, unpack};

/// One side of a connection: takes messages apart, and knows what its own requests wait for.
///
/// ```
/// use std::sync::Arc;
/// use fulmar_sproto::{Host, Incoming, Struct, parse};
///
/// let schema = Arc::new(parse(
///     ".package { type 0 : integer  session 1 : integer }
///      double 1 { request { n 0 : integer }  response { n 0 : integer } }",
///     "calls.sproto",
/// )?);
/// let mut client = Host::new(schema.clone(), "package")?;
/// let mut server = Host::new(schema.clone(), "package")?;
///
/// let request = client.request(&schema, "double", Some(&Struct::new().with("n", 21)), Some(1), None)?;
/// let Incoming::Request(call) = server.dispatch(&request)? else { panic!("it is a request") };
/// let n = call.content.value()?.and_then(|value| value.get("n")?.as_integer()).unwrap_or(0);
/// let responder = call.responder.expect("it has a session");
/// let response = responder.answer(Some(&Struct::new().with("n", 2 * n)), None)?;
///
/// let Incoming::Response(answer) = client.dispatch(&response)? else { panic!("it is a response") };
/// assert_eq!(answer.session, 1);
/// assert_eq!(answer.content.value()?.expect("it has content").get("n"), Some(&42.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Host {
    schema: Arc<Schema>,
    package: usize,
    /// What answers the requests that are under way, in the schema of the peer.
    sessions: HashMap<i64, (Arc<Schema>, Response)>,
}

/// A message that was taken apart.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// A peer asks.
    Request(Request),
    /// A peer answers.
    Response(Reply),
}

/// A request of a peer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name of the protocol.
    pub name: Arc<str>,
    /// Tag of the protocol.
    pub tag: u16,
    /// What the request carries.
    pub content: Content,
    /// Makes the answer, when the peer wants one.
    pub responder: Option<Responder>,
    /// User data of the header.
    pub ud: Option<Value>,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The session that the request had.
    pub session: i64,
    /// What the answer carries.
    pub content: Content,
    /// User data of the header.
    pub ud: Option<Value>,
}

/// What a message carries: decoded when it is asked for.
#[derive(Debug, Clone)]
pub struct Content {
    schema: Arc<Schema>,
    of: Option<usize>,
    unpacked: Vec<u8>,
    start: usize,
}

impl Content {
    /// The message without its header, with up to seven zero bytes behind it; none for a protocol that carries nothing. For a
    /// type of one's own, or a [`View`](crate::View).
    pub fn bytes(&self) -> Option<&[u8]> {
        self.of?;
        self.unpacked.get(self.start..)
    }

    /// As a tree; none for a protocol that carries nothing.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no message of the type.
    pub fn value(&self) -> Result<Option<Struct>, DecodeError> {
        let (Some(of), Some(bytes)) = (self.of, self.bytes()) else {
            return Ok(None);
        };
        let (value, _) = self.schema.decode(self.schema.type_at(of), bytes)?;
        Ok(Some(value))
    }
}

/// Makes the answer to one request.
#[derive(Debug, Clone)]
pub struct Responder {
    schema: Arc<Schema>,
    package: usize,
    response: Response,
    session: i64,
}

impl Responder {
    /// The packed answer. A protocol without a response, and one with `response nil`, take no value.
    ///
    /// # Errors
    /// [`RpcError::Encode`] when the value does not fit the response's type, [`RpcError::Content`] for a value that no type
    /// describes, or none where there is a type.
    pub fn answer(&self, value: Option<&Struct>, ud: Option<&Value>) -> Result<Vec<u8>, RpcError> {
        let mut out = self.header(ud)?;
        match (self.response, value) {
            (Response::Type(of), Some(value)) => {
                self.schema.encode(self.schema.type_at(of), value, &mut out)?
            }
            (Response::None | Response::Empty, None) => {}
            _ => return Err(RpcError::Content),
        }
        Ok(packed(&out))
    }

    /// The packed answer from a message that was encoded already.
    ///
    /// # Errors
    /// [`RpcError::Encode`] when `ud` does not fit the header, [`RpcError::Content`] for a protocol without content.
    pub fn answer_bytes(&self, content: &[u8], ud: Option<&Value>) -> Result<Vec<u8>, RpcError> {
        if !matches!(self.response, Response::Type(_)) {
            return Err(RpcError::Content);
        }
        let mut out = self.header(ud)?;
        out.extend_from_slice(content);
        Ok(packed(&out))
    }

    fn header(&self, ud: Option<&Value>) -> Result<Vec<u8>, RpcError> {
        header(&self.schema, self.package, None, Some(self.session), ud)
    }
}

impl Host {
    /// A host whose messages begin with a value of type `package`, which has the integers `type` and `session`.
    ///
    /// # Errors
    /// [`RpcError::NoPackage`] when the schema has no such type.
    pub fn new(schema: Arc<Schema>, package: &str) -> Result<Host, RpcError> {
        let package = schema.type_index(package).ok_or_else(|| RpcError::NoPackage {
            name: package.to_owned(),
        })?;
        Ok(Host {
            schema,
            package,
            sessions: HashMap::new(),
        })
    }

    /// The packed request for protocol `name` of the peer's schema. With a session its answer comes back through
    /// [`Host::dispatch`], once.
    ///
    /// # Errors
    /// [`RpcError::Unknown`] when the peer has no such protocol, [`RpcError::Content`] when a value is missing or superfluous,
    /// [`RpcError::Encode`] when it does not fit.
    pub fn request(
        &mut self,
        peer: &Arc<Schema>,
        name: &str,
        value: Option<&Struct>,
        session: Option<i64>,
        ud: Option<&Value>,
    ) -> Result<Vec<u8>, RpcError> {
        let protocol = find(peer, name)?;
        let mut out = header(&self.schema, self.package, Some(protocol.tag), session, ud)?;
        match (protocol.request, value) {
            (Some(of), Some(value)) => peer.encode(peer.type_at(of), value, &mut out)?,
            (None, None) => {}
            _ => return Err(RpcError::Content),
        }
        self.expect(peer, protocol.response, session);
        Ok(packed(&out))
    }

    /// The packed request from a message that was encoded already.
    ///
    /// # Errors
    /// As for [`Host::request`].
    pub fn request_bytes(
        &mut self,
        peer: &Arc<Schema>,
        name: &str,
        content: &[u8],
        session: Option<i64>,
        ud: Option<&Value>,
    ) -> Result<Vec<u8>, RpcError> {
        let protocol = find(peer, name)?;
        if protocol.request.is_none() {
            return Err(RpcError::Content);
        }
        let mut out = header(&self.schema, self.package, Some(protocol.tag), session, ud)?;
        out.extend_from_slice(content);
        self.expect(peer, protocol.response, session);
        Ok(packed(&out))
    }

    fn expect(&mut self, peer: &Arc<Schema>, response: Response, session: Option<i64>) {
        if let Some(session) = session {
            self.sessions.insert(session, (Arc::clone(peer), response));
        }
    }

    /// Takes a packed message apart. A response ends its session.
    ///
    /// Shape: memory in proportion to the input. Content is not decoded yet.
    ///
    /// # Errors
    /// [`RpcError`]: what cannot be unpacked, has no header, or answers nothing.
    pub fn dispatch(&mut self, packed: &[u8]) -> Result<Incoming, RpcError> {
        let mut unpacked = Vec::new();
        unpack(packed, &mut unpacked)?;
        let (header, start) = self.schema.decode(self.schema.type_at(self.package), &unpacked)?;
        let integer = |name| header.get(name).and_then(Value::as_integer);
        let ud = header.get("ud").cloned();
        let content = |schema: &Arc<Schema>, of| Content {
            schema: Arc::clone(schema),
            of,
            unpacked,
            start,
        };
        let session = integer("session");
        if let Some(tag) = integer("type") {
            let protocol = self
                .schema
                .protocol_tagged(tag)
                .ok_or_else(|| RpcError::Unknown {
                    name: tag.to_string(),
                })?;
            return Ok(Incoming::Request(Request {
                name: Arc::clone(&protocol.name),
                tag: protocol.tag,
                content: content(&self.schema, protocol.request),
                responder: session.map(|session| Responder {
                    schema: Arc::clone(&self.schema),
                    package: self.package,
                    response: protocol.response,
                    session,
                }),
                ud,
            }));
        }
        let session = session.ok_or(RpcError::NoSession)?;
        let (schema, response) = self
            .sessions
            .remove(&session)
            .ok_or(RpcError::UnknownSession { session })?;
        let of = match response {
            Response::Type(of) => Some(of),
            Response::None | Response::Empty => None,
        };
        Ok(Incoming::Response(Reply {
            session,
            content: content(&schema, of),
            ud,
        }))
    }

    /// Forgets a request: nobody waits for its answer any more. Says whether one was under way.
    pub fn forget(&mut self, session: i64) -> bool {
        self.sessions.remove(&session).is_some()
    }
}

fn find<'a>(peer: &'a Schema, name: &str) -> Result<&'a Protocol, RpcError> {
    peer.protocol_named(name).ok_or_else(|| RpcError::Unknown {
        name: name.to_owned(),
    })
}

fn header(
    schema: &Schema,
    package: usize,
    tag: Option<u16>,
    session: Option<i64>,
    ud: Option<&Value>,
) -> Result<Vec<u8>, RpcError> {
    let mut header = Struct::new();
    if let Some(tag) = tag {
        header.set("type", i64::from(tag));
    }
    if let Some(session) = session {
        header.set("session", session);
    }
    if let Some(ud) = ud {
        header.set("ud", ud.clone());
    }
    let mut out = Vec::new();
    schema.encode(schema.type_at(package), &header, &mut out)?;
    Ok(out)
}

fn packed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    pack(message, &mut out);
    out
}

/// A protocol as a type, for programs with derived types. Made by [`generate`](crate::generate).
pub trait Call {
    /// The protocol's name, for [`Host::request_bytes`].
    const NAME: &'static str;
    /// Its tag.
    const TAG: u16;
    /// What a request carries: `()` for nothing.
    type Request;
    /// What the answer carries: `()` for nothing.
    type Response;
}
