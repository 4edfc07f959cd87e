//! Starts that fail: each says what is wrong and what to do about it, with exit code 1, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use lab::namespace::Namespace;
use lab::process::{Finished, Process};
use lab::{poll, turn};

use super::{DEADLINE, Router};

/// A router without hosts, on ordinary pages; `port` stands for its device.
fn configuration(device: &str) -> String {
    format!(
        "[eal]\nhuge-pages = \"off\"\n[workers]\nidle-sleep = \"1ms\"\n\
         [[port]]\nname = \"lan\"\ndevice = \"{device}\"\n"
    )
}

/// The command that runs a configuration in a machine.
fn run(machine: &Namespace, program: &str, configuration: &str, eal: &[&str]) -> Command {
    fs::write(machine.run_file("start.toml"), configuration).expect("a file for the configuration");
    let mut words = program.split(' ');
    let mut command = machine.command(words.next().expect("a program"));
    command.args(words).args(["run", "-c", "/run/start.toml"]);
    if !eal.is_empty() {
        command.arg("--").args(eal);
    }
    command
}

/// What a start says that fails.
fn refusal(machine: &Namespace, program: &str, configuration: &str, eal: &[&str]) -> String {
    let Finished { status, stderr, .. } = Process::spawn(run(machine, program, configuration, eal))
        .expect("started")
        .finish(DEADLINE)
        .expect("an end");
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(
        !machine.run_file("manifold/control.sock").exists(),
        "it left its socket behind"
    );
    stderr
}

fn program() -> &'static str {
    Router::program().to_str().expect("a path that is text")
}

#[test]
fn each_failing_start_names_its_cause_and_remedy() {
    let _turn = turn::take();
    let machine = Namespace::new("failing").expect("a machine");
    let null = configuration("net_null0");
    let cases = [
        (
            configuration("net_nul0"),
            &[][..],
            ["port lan: no such device: net_nul0", "dpdk-devbind.py"],
        ),
        (
            null.clone(),
            &["--frobnicate"],
            [
                "does not understand its arguments (",
                "mend `args` in [eal]",
            ],
        ),
        (
            null.replace("\"off\"", "\"required\"\nmemory-mib = 1048576"),
            &[],
            ["the EAL", "sysctl vm.nr_hugepages"],
        ),
        (
            null.replace("\"off\"", "\"off\"\nmemory-mib = 64")
                .replace("[workers]", "[workers]\nmbufs = 1000000"),
            &[],
            [
                "no memory for 1000000 packet buffers",
                "Ask for fewer (`backlog`, `mbufs`",
            ],
        ),
    ];
    for (configuration, eal, parts) in cases {
        let said = refusal(&machine, program(), &configuration, eal);
        for part in parts {
            assert!(said.contains(part), "\"{part}\" is not in:\n{said}");
        }
    }
}

#[test]
fn a_start_without_permission_says_which_is_missing() {
    let _turn = turn::take();
    let machine = Namespace::new("nobody").expect("a machine");
    // Nobody may not enter the directory that the program was built in.
    let copy = std::env::temp_dir().join(format!("manifold-{}", std::process::id()));
    fs::copy(program(), &copy).expect("a copy of the program");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("permissions");
    let socket = std::env::temp_dir().join(format!("manifold-{}.sock", std::process::id()));
    let configuration = configuration("net_af_packet0,iface=lo")
        + &format!("[control]\nsocket = \"{}\"\n", socket.display());
    let as_nobody = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups {}",
        copy.display()
    );
    let said = refusal(&machine, &as_nobody, &configuration, &[]);
    fs::remove_file(copy).expect("the copy is still there");
    assert!(
        said.contains("net_af_packet0,iface=lo may not be opened")
            && said.contains("Run as root, or give the capabilities"),
        "{said}"
    );
}

#[test]
fn what_another_router_has_is_refused_and_not_disturbed() {
    let _turn = turn::take();
    let machine = Namespace::new("shared").expect("a machine");
    let first = configuration("net_memif0,role=server,socket-abstract=no,socket=/run/memif.sock");
    let running = Process::spawn(run(&machine, program(), &first, &[])).expect("the first router");
    poll::until("the first router", DEADLINE, || {
        let asked = machine.try_run(&[program(), "ctl", "show", "lcores"])?;
        Ok(asked.status.success().then_some(()))
    })
    .expect("it runs");

    let second = || {
        let command = run(
            &machine,
            program(),
            &(first.clone() + "[control]\nsocket = \"/run/second.sock\"\n"),
            &[],
        );
        Process::spawn(command).and_then(|process| process.finish(DEADLINE))
    };
    let said = second().expect("an end").stderr;
    assert!(said.contains("is in use by another program"), "{said}");

    let same_socket = Process::spawn(run(&machine, program(), &configuration("net_null0"), &[]))
        .and_then(|process| process.finish(DEADLINE))
        .expect("an end");
    assert_eq!(same_socket.status.code(), Some(1));
    assert!(
        same_socket.stderr.contains("belongs to a running router")
            && same_socket.stderr.contains("remedy:"),
        "{}",
        same_socket.stderr
    );

    machine
        .run(&[program(), "ctl", "quit"])
        .expect("the first router still answers");
    let ended = running.finish(DEADLINE).expect("an end");
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped\n"), "{}", ended.stderr);
}
