"""A Slurm and an HTCondor pool on this one machine, in a folder of their own, on loopback, as root or not.

python pools.py prepare               get HTCondor, where the system has no package of it: minutes, once
python pools.py slurm COMMAND...      run a command with a pool
python pools.py htcondor COMMAND...
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CORES = 2
START_S = 60.0
PREPARED = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "magicpy_assets" / "htcondor"
SUITE = "trixie"
"""The Debian that has HTCondor; its programs are made to run on other ones."""
NOBODY = 1000
"""HTCondor takes no jobs from root; then the pool is of this user, who may still read and write root's files."""


class NoPoolError(Exception):
    """A pool cannot be had here; says why."""


def until(ready: Callable[[], bool], what: str, seconds: float = START_S) -> None:
    """Wait for something that comes soon."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise NoPoolError(f"{what} has not come within {seconds:g} s")
        time.sleep(0.1)


def needs(*programs: str, where: str | None = None, how: str) -> None:
    missing = [name for name in programs if shutil.which(name, path=where) is None]
    if missing:
        raise NoPoolError(f"{', '.join(missing)} not found: {how}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def succeeds(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def daemon(folder: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon in the foreground, its words in a log; at the end it is stopped."""
    with (folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen([name, *words], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# Slurm

SLURM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@contextlib.contextmanager
def slurm() -> Iterator[Path]:
    """Bring up a controller, a node daemon and munge; the variables that lead to them are set meanwhile."""
    path = f"{os.environ['PATH']}:{SLURM_PATH}"
    needs("slurmctld", "slurmd", "sbatch", "munged", where=path, how="apt-get install slurm-wlm munge")
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        stack.enter_context(environment(PATH=path, SLURM_CONF=str(folder / "slurm.conf")))
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        (folder / "slurm.conf").write_text(_slurm_conf(folder))
        for part in ("state", "spool"):
            (folder / part).mkdir()
        own = ("socket", "pid-file", "log-file", "seed-file")
        words = [f"--{part}={folder / 'munge'}.{part}" for part in own]
        munge = ("--foreground", "--force", f"--key-file={folder / 'munge.key'}", *words)
        stack.enter_context(daemon(folder, "munged", *munge))
        until((folder / "munge.socket").exists, "munge")
        stack.enter_context(daemon(folder, "slurmctld", "-D", "-i"))
        until(lambda: succeeds("scontrol", "ping"), "Slurm's controller")
        stack.enter_context(daemon(folder, "slurmd", "-D", "-N", "here"))
        until(lambda: _said("sinfo", "-h", "-o", "%T") == "idle", "Slurm's node")
        stack.callback(lambda: succeeds("scancel", "--me"))
        yield folder


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _slurm_conf(folder: Path) -> str:
    user = _said("id", "-un")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"""\
ClusterName=one
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={free_port()}
SlurmUser={user}
SlurmdUser={user}
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
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
KillWait=5
ReturnToService=2
MinJobAge=10
NodeName=here NodeAddr=127.0.0.1 NodeHostname={socket.gethostname()} Port={free_port()} \
CPUs={CORES} Boards=1 SocketsPerBoard=1 CoresPerSocket={CORES} ThreadsPerCore=1 RealMemory={memory}
PartitionName=magic Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


# HTCondor


def mirror() -> str:
    """Return the address from which this system gets its own packages."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return next(address for address in told if "security" not in address).rstrip("/")


def prepare() -> None:
    """Get HTCondor from Debian and make it run here, if the system does not have it: some 20 s."""
    if shutil.which("condor_master") or (PREPARED / "ready").exists():
        return
    needs("mmdebstrap", "patchelf", how="apt-get install mmdebstrap patchelf")
    shutil.rmtree(PREPARED, ignore_errors=True)
    PREPARED.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trixie-") as name:
        root = Path(name) / "root"
        words = ["mmdebstrap", "--quiet", "--variant=extract", "--include=condor", SUITE, str(root)]
        subprocess.run([*words, mirror()], check=True)
        for part in ("usr/bin", "usr/sbin"):
            (PREPARED / part).mkdir(parents=True)
            for program in (root / part).glob("condor_*"):
                shutil.copy2(program, PREPARED / part, follow_symlinks=False)
        for part in ("usr/lib", "usr/libexec/condor"):
            shutil.copytree(
                root / part, PREPARED / part, symlinks=True, ignore=shutil.ignore_patterns("python3*", "perl*")
            )
    libraries = PREPARED / "usr" / "lib" / "x86_64-linux-gnu"
    rpath = f"{libraries}:{PREPARED}/usr/lib:{PREPARED}/usr/lib/condor:{libraries}/condor"
    loader = next(libraries.glob("ld-linux*.so.*"))
    for folder in ("usr/bin", "usr/sbin", "usr/libexec/condor"):
        for program in (PREPARED / folder).iterdir():
            if _is_elf(program):
                _patch(program, rpath, "--set-interpreter", str(loader))
    for library in [*libraries.rglob("libcondor*"), *libraries.rglob("libclassad*")]:
        if _is_elf(library):
            _patch(library, rpath)
    (PREPARED / "ready").touch()


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _patch(path: Path, rpath: str, *words: str) -> None:
    done = subprocess.run(
        ["patchelf", *words, "--force-rpath", "--set-rpath", rpath, path], capture_output=True, text=True, check=False
    )
    if done.returncode and words and "interp" in done.stderr:  # a library among the programs
        _patch(path, rpath)


@contextlib.contextmanager
def htcondor() -> Iterator[Path]:
    """Bring up a personal pool; its programs are found, and lead to it, meanwhile."""
    ours = (PREPARED / "ready").exists()
    release = PREPARED / "usr" if ours else Path("/usr")
    if not ours:
        needs("condor_master", how="`python magicpy_assets_tests/batch/pools.py prepare` gets it")
    with tempfile.TemporaryDirectory(prefix="condor-", dir="/tmp") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "condor_config").write_text(_condor_config(folder, release))
        for part in ("log", "spool", "execute", "lock", "run", "bin", "etc/passwords.d", "etc/tokens.d"):
            (folder / part).mkdir(parents=True)
        for program in ("condor_submit", "condor_q", "condor_rm", "condor_status", "condor_vacate_job", "condor_hold"):
            _wrap(folder, release / "bin" / program)
        for program in ("condor_master", "condor_off"):
            _wrap(folder, release / "sbin" / program)
        if os.getuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        stack.enter_context(environment(PATH=f"{folder / 'bin'}:{os.environ['PATH']}"))
        process = stack.enter_context(daemon(folder, "condor_master", "-f"))
        stack.callback(lambda: _off(process))
        until(lambda: "slot" in _said("condor_status", "-af", "Name"), "HTCondor's slot")
        until(lambda: succeeds("condor_q"), "HTCondor's queue")
        yield folder


def _off(master: subprocess.Popen[bytes]) -> None:
    succeeds("condor_rm", "-all")
    succeeds("condor_off", "-master", "-fast")
    with contextlib.suppress(subprocess.TimeoutExpired):
        master.wait(15)


def _wrap(folder: Path, program: Path) -> None:
    """Write a script that runs a program of the pool as the pool's user."""
    become = ""
    if os.getuid() == 0:
        caps = "+dac_override,+dac_read_search,+fowner"
        # Without the bit, questions whether a file may be read are answered as for a user without those rights.
        rights = f"--inh-caps={caps} --ambient-caps={caps} --securebits=+no_setuid_fixup"
        become = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {rights} "
    script = folder / "bin" / program.name
    script.write_text(f'#!/bin/sh\nexport CONDOR_CONFIG={folder}/condor_config\nexec {become}{program} "$@"\n')
    script.chmod(0o755)


def _condor_config(folder: Path, release: Path) -> str:
    return f"""\
RELEASE_DIR = {release}
LOCAL_DIR = {folder}
LOG = {folder}/log
SPOOL = {folder}/spool
EXECUTE = {folder}/execute
LOCK = {folder}/lock
RUN = {folder}/run
BIN = {release}/bin
SBIN = {release}/sbin
LIB = {release}/lib
LIBEXEC = {release}/libexec/condor
SHARE = {release}/share
ETC = {folder}/etc
SEC_PASSWORD_DIRECTORY = {folder}/etc/passwords.d
SEC_TOKEN_SYSTEM_DIRECTORY = {folder}/etc/tokens.d
use ROLE: CentralManager
use ROLE: Submit
use ROLE: Execute
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
ENABLE_IPV6 = False
COLLECTOR_PORT = {free_port()}
SHARED_PORT_PORT = 0
USE_SHARED_PORT = False
UID_DOMAIN = one.machine
FILESYSTEM_DOMAIN = one.machine
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_ADMINISTRATOR = *
ALLOW_NEGOTIATOR = *
PER_JOB_NAMESPACES = False
MOUNT_UNDER_SCRATCH =
USE_PROCD = False
NUM_CPUS = {CORES}
START = True
SUSPEND = False
PREEMPT = False
KILL = False
JOB_MAX_VACATE_TIME = 5
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 1
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 5
MAIL = /bin/true
"""


POOLS = {"slurm": slurm, "htcondor": htcondor}


def main(words: list[str]) -> int:
    if words == ["prepare"]:
        prepare()
        return 0
    if len(words) < 2 or words[0] not in POOLS:
        print(__doc__)
        return 2
    with POOLS[words[0]]():
        return subprocess.run(words[1:], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
