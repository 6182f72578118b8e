"""Settings of this app, each from the environment."""

import socket

from config.env import env

#: How the trainer is started: `nursery` (forked from a process that has read the libraries),
#: `direct` (afresh), `accelerate` (through `accelerate launch`, for several devices or hosts; it
#: reads its own config file and costs some seconds a start), `auto` (the nursery without a GPU).
LAUNCHER = env("TRAINER_LAUNCHER", default="auto")

#: More arguments for `accelerate launch`, e.g. "--config_file fsdp.yaml".
LAUNCHER_ARGS = env("TRAINER_LAUNCHER_ARGS", default="")

#: This host's name among workers; hosts that share a database need different ones.
HOST = env("WORKER_HOST", default=socket.gethostname())

#: Where jobs train on this host, one at a time on each: "cuda:0,cuda:1" (empty: every GPU, or the
#: processor where there is none).
DEVICES = [name for name in env("TRAIN_DEVICES", default="").split(",") if name]

#: Niceness of the trainer, so that chats go first on a shared machine.
NICE = env("TRAINER_NICE", int, 5)

#: A running job whose heartbeat is older than this is taken for dead.
STALE_SECONDS = env("RUN_STALE_SECONDS", int, 15)

#: How often one job may be started before it counts as failed.
MAX_ATTEMPTS = env("RUN_MAX_ATTEMPTS", int, 4)

#: Seconds before a job is started again after its second death, doubled with each further one.
BACK_OFF_SECONDS = env("RUN_BACK_OFF_SECONDS", int, 2)

#: Free space a job asks for before it starts.
MIN_FREE_MB = env("RUN_MIN_FREE_MB", int, 200)

#: Seconds a stopped trainer has to write its checkpoint.
STOP_SECONDS = env("RUN_STOP_SECONDS", int, 12)

#: Price of an hour of the training device, for estimates; 0 shows no cost.
DEVICE_HOUR_COST = env("DEVICE_HOUR_COST", float, 0.0)
COST_CURRENCY = env("COST_CURRENCY", default="EUR")
