//! The socket's two ends against each other, and the server against clients that do not keep to the rules. The control
//! thread is a thread that repeats what it was asked.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::*;
use crate::command::Command;
use crate::request::{Ask, AskError, Asker, Form, PATIENCE, queue};
use crate::show::{Answer, Done};

/// A directory of the test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("manifold-ctl-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("below/m.sock")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A control thread that answers until its last asker is gone. `stop` it refuses, `show mempool` it answers at length.
fn control() -> (Asker, JoinHandle<()>) {
    let (asker, requests) = queue(PATIENCE);
    let thread = std::thread::spawn(move || {
        for request in requests {
            let reply = match request.command {
                Command::Stop => Err("not now".to_owned()),
                Command::Show(crate::command::Show::Mempool) => {
                    Ok(Answer::Done(Done::new("x".repeat(4 << 20))))
                }
                _ => Ok(Answer::Done(Done::new(format!("{:?}", request.command)))),
            };
            request.answer(reply);
        }
    });
    (asker, thread)
}

struct Router {
    server: Option<Server>,
    control: Option<JoinHandle<()>>,
    scratch: Scratch,
}

impl Router {
    fn new(limits: Limits) -> Self {
        let scratch = Scratch::new();
        let (asker, control) = control();
        let server = Server::with_limits(&scratch.socket(), asker, limits).unwrap();
        Self {
            server: Some(server),
            control: Some(control),
            scratch,
        }
    }

    fn path(&self) -> PathBuf {
        self.scratch.socket()
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    fn counted(&self, name: &str) -> u64 {
        let counters = self.server.as_ref().unwrap().counters();
        counters.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Waits until a counter has reached a value.
    fn wait_for(&self, name: &str, value: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.counted(name) < value {
            assert!(Instant::now() < deadline, "{name} stays below {value}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        drop(self.server.take());
        // With the server its threads are gone, and with them all that could ask.
        self.control.take().unwrap().join().unwrap();
        assert!(!self.path().exists(), "the socket stays behind");
    }
}

fn answers(stream: &UnixStream) -> Vec<Answered> {
    BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

fn error_of(answers: &[Answered]) -> &str {
    match answers {
        [Answered::Error(error)] => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_asks_and_is_answered() {
    let router = Router::new(Limits::default());
    let client = Client::new(&router.path());
    assert_eq!(client.ask("start", Form::Text).unwrap(), "Start\n");
    assert_eq!(
        client.ask("start", Form::Json).unwrap(),
        "{\"done\":\"Start\"}\n"
    );
    assert_eq!(
        client.ask("stop", Form::Text),
        Err(AskError::Refused("not now".into()))
    );
    assert_eq!(
        client.ask("show mempool", Form::Text).unwrap().len(),
        (4 << 20) + 1
    );
}

#[test]
fn wrong_lines_and_help_never_reach_the_router() {
    let client = Client::new(Path::new("/nonexistent/socket"));
    assert!(matches!(
        client.ask("show prot", Form::Text),
        Err(AskError::Wrong(_))
    ));
    assert!(
        client
            .ask("help show", Form::Text)
            .unwrap()
            .contains("port")
    );
}

#[test]
fn the_socket_is_its_owners_alone() {
    let router = Router::new(Limits::default());
    let metadata = fs::metadata(router.path()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_socket_of_a_dead_router_is_replaced() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("below")).unwrap();
    drop(UnixListener::bind(scratch.socket()).unwrap());
    assert!(scratch.socket().exists());

    let client = Client::new(&scratch.socket());
    let Err(AskError::Unreachable(reason)) = client.ask("start", Form::Text) else {
        panic!("somebody answered");
    };
    assert!(reason.contains("has ended"), "{reason}");

    let (asker, control) = control();
    let server = Server::start(&scratch.socket(), asker).unwrap();
    assert_eq!(client.ask("start", Form::Text).unwrap(), "Start\n");
    drop(server);
    control.join().unwrap();
}

#[test]
fn the_socket_of_a_living_router_is_left_alone() {
    let router = Router::new(Limits::default());
    let (asker, _requests) = queue(PATIENCE);
    let error = Server::start(&router.path(), asker).unwrap_err();
    assert!(matches!(error, SocketError::InUse(_)), "{error}");
    assert!(error.to_string().contains("remedy:"));
    let client = Client::new(&router.path());
    assert_eq!(client.ask("start", Form::Text).unwrap(), "Start\n");
}

#[test]
fn a_router_too_busy_to_accept_is_a_living_one() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("below")).unwrap();
    // Never accepts; its queue is full when connecting without waiting fails.
    let _listener = UnixListener::bind(scratch.socket()).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = socket::connect_to(&scratch.socket(), Duration::from_millis(1)) {
        waiting.push(stream);
    }
    let (asker, _requests) = queue(PATIENCE);
    let error = Server::start(&scratch.socket(), asker).unwrap_err();
    assert!(matches!(error, SocketError::InUse(_)), "{error}");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("below")).unwrap();
    fs::write(scratch.socket(), "precious").unwrap();
    let (asker, _requests) = queue(PATIENCE);
    let error = Server::start(&scratch.socket(), asker).unwrap_err();
    assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(scratch.socket()).unwrap(), "precious");
}

#[test]
fn of_two_that_start_at_once_one_serves_and_one_is_refused() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("below")).unwrap();
    drop(UnixListener::bind(scratch.socket()).unwrap());
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let path = scratch.socket();
            std::thread::spawn(move || Server::start(&path, queue(PATIENCE).0))
        })
        .collect();
    let started: Vec<_> = starts
        .into_iter()
        .map(|start| start.join().unwrap())
        .collect();
    assert_eq!(started.iter().filter(|start| start.is_ok()).count(), 1);
}

#[test]
fn at_its_end_a_server_removes_no_socket_but_its_own() {
    let scratch = Scratch::new();
    let (asker, control) = control();
    let server = Server::start(&scratch.socket(), asker).unwrap();
    fs::remove_file(scratch.socket()).unwrap();
    fs::write(scratch.socket(), "another's").unwrap();
    drop(server);
    control.join().unwrap();
    assert_eq!(fs::read_to_string(scratch.socket()).unwrap(), "another's");
}

#[test]
fn garbage_is_refused_with_a_reason_and_counted() {
    let router = Router::new(Limits::default());
    for garbage in [
        "start",
        "{}",
        "{\"command\":1}",
        "{\"command\":\"start\",\"extra\":1}",
        "\u{1}\u{2}",
        "",
        &"[".repeat(4000),
    ] {
        let mut stream = router.connect();
        writeln!(stream, "{garbage}").unwrap();
        let answers = answers(&stream);
        assert!(
            error_of(&answers).starts_with("not a request"),
            "{answers:?}"
        );
    }
    let mut stream = router.connect();
    stream.write_all(b"\xff\xfe\n").unwrap();
    assert!(error_of(&answers(&stream)).starts_with("not a request"));
    assert_eq!(router.counted("malformed"), 8);
}

#[test]
fn a_wrong_command_is_explained_and_the_next_one_answered() {
    let router = Router::new(Limits::default());
    let mut stream = router.connect();
    stream
        .write_all(b"{\"command\":\"show prot\"}\n{\"command\":\"start\"}\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answers = answers(&stream);
    assert!(matches!(&answers[0], Answered::Error(error) if error.contains("prot")));
    assert_eq!(answers[1], Answered::Ok("Start\n".into()));
}

#[test]
fn a_line_without_end_is_refused() {
    let limits = Limits {
        line_octets: 100,
        ..Limits::default()
    };
    let router = Router::new(limits);
    let mut stream = router.connect();
    // The server may hang up before it has all.
    let _ = stream.write_all(&[b'x'; 101]);
    assert!(error_of(&answers(&stream)).contains("at most 100 octets"));
    assert_eq!(router.counted("too-long"), 1);
}

#[test]
fn a_request_may_come_in_pieces() {
    let router = Router::new(Limits::default());
    let mut stream = router.connect();
    for octet in b"{\"command\":\"start\"}\n" {
        stream.write_all(&[*octet]).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(answers(&stream), [Answered::Ok("Start\n".into())]);
}

#[test]
fn a_client_that_says_nothing_is_sent_away_and_others_are_served_meanwhile() {
    let limits = Limits {
        request_within: Duration::from_millis(300),
        ..Limits::default()
    };
    let router = Router::new(limits);
    let mut slow = router.connect();
    slow.write_all(b"{").unwrap();
    let client = Client::new(&router.path());
    assert_eq!(client.ask("start", Form::Text).unwrap(), "Start\n");
    assert!(error_of(&answers(&slow)).starts_with("no request came"));
    assert_eq!(router.counted("timed-out"), 1);
}

#[test]
fn a_client_that_does_not_take_its_answer_is_left() {
    let limits = Limits {
        answer_taken_within: Duration::from_millis(100),
        ..Limits::default()
    };
    let router = Router::new(limits);
    let mut stream = router.connect();
    stream
        .write_all(b"{\"command\":\"show mempool\"}\n")
        .unwrap();
    router.wait_for("not-taken", 1);
    let client = Client::new(&router.path());
    assert_eq!(client.ask("start", Form::Text).unwrap(), "Start\n");
}

#[test]
fn more_clients_than_the_limit_are_told_to_come_again() {
    let limits = Limits {
        clients: 2,
        ..Limits::default()
    };
    let router = Router::new(limits);
    let waiting = [router.connect(), router.connect()];
    router.wait_for("accepted", 2);
    let client = Client::new(&router.path());
    let Err(AskError::Refused(reason)) = client.ask("start", Form::Text) else {
        panic!("a third was served");
    };
    assert!(reason.contains("2 clients are connected"), "{reason}");
    assert_eq!(router.counted("refused-full"), 1);
    drop(waiting);
}

#[test]
fn many_clients_are_served_at_once() {
    // Each request is a connection of its own, and one that was answered counts until the server has seen it closed.
    let router = Router::new(Limits {
        clients: 400,
        ..Limits::default()
    });
    let path = router.path();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let client = Client::new(&path);
            std::thread::spawn(move || {
                for _ in 0..50 {
                    assert_eq!(client.ask("start", Form::Text).unwrap(), "Start\n");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(router.counted("requests"), 400);
}

#[test]
fn an_ending_server_hangs_up_on_clients_that_wait() {
    let router = Router::new(Limits::default());
    let mut stream = router.connect();
    router.wait_for("accepted", 1);
    drop(router);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn no_router_is_told_with_a_remedy() {
    let scratch = Scratch::new();
    let client = Client::new(&scratch.socket());
    let Err(AskError::Unreachable(reason)) = client.ask("start", Form::Text) else {
        panic!("somebody answered");
    };
    assert!(
        reason.contains("there is no router") && reason.contains("remedy:"),
        "{reason}"
    );
}
