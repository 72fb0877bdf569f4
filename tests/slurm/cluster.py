"""A one-node Slurm on this machine: CPU, GPU and urgent partitions, one GPU that is none."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
CONF = """\
ClusterName=mini
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
MinJobAge=86400
KillWait=30
MessageTimeout=5
BatchStartTimeout=5
SlurmctldTimeout=30
SlurmdTimeout=60
GresTypes=gpu
JobRequeue=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10
"""


def missing() -> str:
    """Return why no cluster can be brought up here; empty if one can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} (Debian: apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    if any((ETC / name).exists() for name in FILES):
        return f"{ETC} holds a configuration: this machine has a Slurm of its own"
    return ""


class Cluster:
    """The daemons, their folder, and the lines that Slurm was given."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname()

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self._configure()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        options = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
        run(
            "munged",
            "--force",
            *(f"--{name}={self.folder}/munge.{end}" for name, end in options.items()),
            f"--seed-file={self.folder}/munge.seed",
        )
        run("slurmctld")
        self.start_node()

    def start_node(self) -> None:
        run("slurmd", "-N", self.host)
        # a node with a job is not idle, one that does not answer has a star
        up = {"idle", "mix", "alloc"}
        self.wait_for(lambda: set(run("sinfo", "-h", "-o", "%t").split()) <= up, "the node")

    def kill_node(self) -> None:
        """Kill -9 slurmd and the steps of its jobs, as a crash of the node would."""
        for pattern in ("slurmstepd", "slurmd -N"):
            subprocess.run(["pkill", "-9", "-f", pattern], check=False)
        (self.folder / "slurmd.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        with suppress(subprocess.CalledProcessError):
            run("scancel", "--user=root")
        for name in ("slurmd", "slurmctld", "munge"):
            pid = self.folder / f"{name}.pid"
            if pid.exists():
                with suppress(ProcessLookupError):
                    os.kill(int(pid.read_text()), signal.SIGTERM)
        time.sleep(1)
        for name in FILES:
            (ETC / name).unlink(missing_ok=True)

    def jobs(self) -> list[dict[str, str]]:
        """Return what Slurm knows of each job, ended ones too."""
        records = run("scontrol", "show", "job", "--oneliner").splitlines()
        return [
            dict(part.split("=", 1) for part in record.split() if "=" in part)
            for record in records
            if record.startswith("JobId=")
        ]

    @staticmethod
    def wait_for(holds: object, what: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s for {what}")
            time.sleep(0.2)

    def _configure(self) -> None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        texts = {
            "slurm.conf": CONF.format(
                host=self.host,
                folder=self.folder,
                ports=free_ports(2),
                cpus=os.cpu_count(),
                memory=int(memory * 0.9),
            ),
            # a count alone is refused: the GPU needs a file
            "gres.conf": f"NodeName={self.host} Name=gpu File=/dev/null\n",
            "cgroup.conf": "CgroupPlugin=cgroup/v1\n",
        }
        ETC.mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            # a job's step loses SLURM_CONF, and looks here
            (ETC / name).symlink_to(self.folder / name)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Bring a cluster up, and down at the end."""
    one = Cluster(folder)
    try:
        one.start()
        yield one
    finally:
        one.stop()


def run(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
