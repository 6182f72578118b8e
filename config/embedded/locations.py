"""Where the embedded services of one data folder keep their files and sockets."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

#: Number of the arrangement of files under VAR_DIR; raised when an older one cannot be read.
LAYOUT = 1

#: Major version of the embedded PostgreSQL; its data folder is bound to it.
POSTGRES_MAJOR = 18

#: Longest path a unix socket can be bound to (108 bytes with the final NUL).
SOCKET_PATH_LIMIT = 107

DATABASE = "preferendum"


@dataclass(frozen=True)
class Locations:
    """Paths and addresses that follow from one data folder."""

    var_dir: Path
    instance: str
    socket_dir: Path

    @property
    def postgres_data(self) -> Path:
        return self.var_dir / "postgres"

    @property
    def postgres_socket(self) -> Path:
        return self.socket_dir / ".s.PGSQL.5432"

    @property
    def valkey_data(self) -> Path:
        return self.var_dir / "valkey"

    @property
    def valkey_socket(self) -> Path:
        return self.socket_dir / "valkey.sock"

    @property
    def run_dir(self) -> Path:
        """Pid files, the lock and the gates of a running instance."""
        return self.var_dir / "run"

    @property
    def log_dir(self) -> Path:
        return self.var_dir / "log"

    @property
    def database_url(self) -> str:
        return f"postgresql://{DATABASE}@/{DATABASE}?host={self.socket_dir}"

    @property
    def maintenance_url(self) -> str:
        """The database that always exists, for creating and dropping others."""
        return f"postgresql://{DATABASE}@/postgres?host={self.socket_dir}"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.valkey_socket}"


def locations(var_dir: Path | str) -> Locations:
    """Derive every path of `var_dir`.

    Sockets get a short folder of their own, named by a hash of the data folder: a data folder
    may be nested as deep as its owner likes, a socket path may not. It is always under /tmp, so
    that every shell and service finds the same one; `folders` makes it private.
    """
    resolved = Path(var_dir).expanduser().resolve()
    instance = hashlib.sha256(str(resolved).encode()).hexdigest()[:12]
    return Locations(resolved, instance, Path("/tmp") / f"preferendum-{instance}")  # noqa: S108
