//! Clean-up that runs even when a test is killed.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

/// What the commands of a clean-up may use.
const FUNCTIONS: &str = "
    set -f
    # Removes what the command $1 lists by the command $2; retries, since it may still be in use.
    remove() {
        for second in $(seq 60); do
            list=$($1)
            [ -n \"$list\" ] || break
            $2 $list || sleep 1
        done
    }
    # Removes everything with the label $1.
    remove_labelled() {
        remove \"docker ps -aq --filter label=$1\" 'docker rm -fv'
        remove \"docker network ls -q --filter label=$1\" 'docker network rm'
        remove \"docker volume ls -q --filter label=$1\" 'docker volume rm'
    }
    # Removes the images of the registry $1, by name: one may have other names, which stay.
    remove_images() {
        remove \"names $1\" 'docker rmi'
    }
    # One that was pulled by digest has no tag.
    names() {
        docker images --digests --format '{{.Repository}}:{{.Tag}}@{{.Digest}}' \"$1/*\" |
            sed '/:<none>@/!s/@.*//; s/:<none>@/@/' | sort -u
    }
";

/// Commands that run when this is dropped, and also when the process ends in any other way: by a
/// panic, by `^C`, by KILL.
pub(crate) struct Cleanup {
    shell: Child,
}

impl Cleanup {
    /// Starts a shell that waits for the end of its input: this process holds the other end. In a
    /// process group of its own it does not get the INT of `^C`.
    pub(crate) fn new(commands: &str) -> Self {
        let shell = Command::new("sh")
            .args(["-c", &format!("cat\n{FUNCTIONS}\n{commands}")])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { shell }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // This closes its input first.
        let _ = self.shell.wait();
    }
}
