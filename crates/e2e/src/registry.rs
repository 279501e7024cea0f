//! A container registry of the test's own: Debian's `docker-registry`, on the `PATH`.

use std::{fs, net::TcpListener, time::Duration};

use tempfile::TempDir;

use crate::{Running, cleanup::Cleanup, get, shell, until};

/// A registry on a free port of 127.0.0.1, which an engine takes without TLS. Dropping it ends it, and
/// removes the engine's images that are named after it.
pub struct Registry {
    /// What the names of its images begin with.
    pub address: String,
    _cleanup: Cleanup,
    _program: Running,
    _directory: TempDir,
}

impl Registry {
    /// Starts an empty one, and waits until it answers.
    #[track_caller]
    pub fn start() -> Self {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().to_string()
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        let config = directory.path().join("config.yml");
        let storage = format!("storage: {{filesystem: {{rootdirectory: {path}}}}}");
        let text = format!("version: 0.1\n{storage}\nhttp: {{addr: '{address}'}}\n");
        fs::write(&config, text).unwrap();
        let serve = format!("exec docker-registry serve {}", config.display());
        let registry = Self {
            _cleanup: Cleanup::new(&format!("remove_images {address}")),
            _program: Running::start(shell(serve)),
            _directory: directory,
            address,
        };
        let url = format!("http://{}/v2/", registry.address);
        until(Duration::from_secs(10), || get(&url).is_ok());
        registry
    }
}
