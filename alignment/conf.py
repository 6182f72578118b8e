"""Settings of this app, each from the environment."""

from config.env import env

#: How the trainer is started: `nursery` (forked from a process that has read the libraries),
#: `direct` (afresh), `accelerate` (through `accelerate launch`, for several devices or hosts; it
#: reads its own config file and costs some seconds a start), `auto` (the nursery without a GPU).
LAUNCHER = env("TRAINER_LAUNCHER", default="auto")

#: More arguments for `accelerate launch`, e.g. "--config_file fsdp.yaml".
LAUNCHER_ARGS = env("TRAINER_LAUNCHER_ARGS", default="--num_processes 1 --cpu")

#: Niceness of the trainer, so that chats go first on a shared machine.
NICE = env("TRAINER_NICE", int, 5)

#: A running job whose heartbeat is older than this is taken for dead.
STALE_SECONDS = env("RUN_STALE_SECONDS", int, 30)

#: How often one job may be started before it counts as failed.
MAX_ATTEMPTS = env("RUN_MAX_ATTEMPTS", int, 4)

#: Free space a job asks for before it starts.
MIN_FREE_MB = env("RUN_MIN_FREE_MB", int, 200)

#: Seconds a stopped trainer has to write its checkpoint.
STOP_SECONDS = env("RUN_STOP_SECONDS", int, 20)
