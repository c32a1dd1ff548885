"""Would RR22 or KKRT find common customers better than the alignment that is built in?

spu 0.9.5 (libpsi: RR22, KKRT and ECDH on curve 25519) in an environment of its own
(``.venv-psi``, made on first use), two processes on this machine, each with its own thread pool,
100,000 keys, and 1,000, against 100,000, with half and all in common; only one side is given the
result. Core-seconds are both sides' together; bytes are counted by a relay between them, framing
included. The built-in alignment is timed by ``benchmarks/alignment.py``.

    python benchmarks/psi_peers.py [--json FILE] [--keys 100000] [--repeats 3]
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from report import ROOT, at_least, finish, parser, show

PEER = "spu==0.9.5"
PEER_ENV = ROOT / ".venv-psi"
PROTOCOLS = ("RR22", "KKRT", "ECDH")
FEW = 1000


class Relay:
    """Passes connections on to another port of this machine and counts their bytes."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.bytes = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._take, daemon=True).start()

    def close(self) -> None:
        """Takes no connection any more."""
        self._listening.close()

    def _take(self) -> None:
        while True:
            try:
                came, _ = self._listening.accept()
            except OSError:
                return  # closed
            try:
                onward = socket.create_connection(self._to)
            except OSError:
                came.close()  # the other side is not up yet: its peer tries again
                continue
            for pair in ((came, onward), (onward, came)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while part := source.recv(1 << 16):
                sink.sendall(part)
                with self._lock:
                    self.bytes += len(part)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # one end is gone


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def intersected(python: Path, protocol: str, keys: list[Path], folder: Path) -> dict[str, float]:
    """One run of both sides."""
    ports = free_ports(2)
    relays = [Relay(port) for port in ports]
    sides = []
    for rank in (0, 1):
        addresses = [relay.address for relay in relays]
        addresses[rank] = f"127.0.0.1:{ports[rank]}"
        told = {
            "addresses": addresses,
            "rank": rank,
            "protocol": protocol,
            "keys": str(keys[rank]),
            "out": str(folder / f"out-{rank}.csv"),
            "figures": str(folder / f"figures-{rank}.json"),
        }
        command = [str(python), str(ROOT / "benchmarks/peers/psi.py"), json.dumps(told)]
        environment = os.environ | {"PYTHONPATH": ""}
        sides.append(
            subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=folder,
            )
        )
    for side in sides:
        side.wait(600)
    for relay in relays:
        relay.close()
    if any(side.returncode for side in sides):
        raise SystemExit(f"{protocol}: a side ended with {[one.returncode for one in sides]}")
    each = [json.loads((folder / f"figures-{rank}.json").read_text()) for rank in (0, 1)]
    found = (folder / "out-0.csv").read_text().count("\n") - 1
    return {
        "seconds": max(one["seconds"] for one in each),
        "core_s": sum(one["core_s"] for one in each),
        "mb": sum(relay.bytes for relay in relays) / 1e6,
        "found": found,
        "other_side": each[1]["found"],
    }


def main() -> int:
    """Measures and prints."""
    options = parser(__doc__)
    options.add_argument("--keys", type=int, default=100_000)
    options.add_argument("--repeats", type=int, default=3)
    args = options.parse_args()
    python = PEER_ENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER_ENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", PEER], check=True)
    n, rows = args.keys, []
    data: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, files = Path(name), []
        for rank, first in enumerate((0, n // 2)):
            files.append(folder / f"keys-{rank}.csv")
            written = "\n".join(f"+86138{at:08d}" for at in range(first, first + n))
            files[-1].write_text(f"id\n{written}\n")
        few = folder / "few.csv"
        lines = files[0].read_text().splitlines()
        few.write_text("\n".join([lines[0], *lines[-FEW:]]) + "\n")
        wanted = {n: n - n // 2, FEW: FEW}
        for protocol, own in itertools.product(PROTOCOLS, (n, FEW)):
            keys = [files[0] if own == n else few, files[1]]
            runs = [intersected(python, protocol, keys, folder) for _ in range(args.repeats)]
            middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            data[f"{protocol}, {own} keys"] = middle | {"share": middle["found"] / wanted[own]}
            rows.append((protocol, f"{own:,}", f"{middle['seconds']:.2f}",
                         f"{middle['core_s']:.2f}", f"{middle['mb']:.1f}",
                         int(middle["found"]), int(middle["other_side"])))  # fmt: skip
    show(
        f"against {n:,} keys, spu 0.9.5, median of {args.repeats}",
        ("protocol", "keys", "seconds", "core-seconds", "MB both ways", "found", "other side told"),
        rows,
    )
    print(f"\nload average {os.getloadavg()[0]:.1f}")
    right = [at_least(f"{name}: share found", one["share"], 1) for name, one in data.items()]
    finish("psi_peers", right, data, args.json)
    return 0 if all(bar.holds for bar in right) else 1


if __name__ == "__main__":
    sys.exit(main())
