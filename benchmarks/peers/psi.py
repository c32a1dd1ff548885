"""One side of a private set intersection by spu's libpsi, for ``benchmarks/psi_peers.py``.

It is told everything by one JSON line on the command line, intersects, and writes one file: the
seconds by the clock, the core-seconds of this process, and how many keys were found.
"""

import json
import resource
import sys
import time
from pathlib import Path

from spu import libspu, psi

link = libspu.link


def main() -> None:
    """Joins the link, waits for the other side, intersects."""
    told = json.loads(sys.argv[1])
    desc = link.Desc()
    for rank, address in enumerate(told["addresses"]):
        desc.add_party(f"side-{rank}", address)
    context = link.create_brpc(desc, told["rank"])
    context.barrier()
    begun, used = time.perf_counter(), core_s()
    report = intersected(told, context)
    took = time.perf_counter() - begun, core_s() - used
    context.barrier()
    context.stop_link()
    figures = {"seconds": took[0], "core_s": took[1], "found": report.intersection_count}
    Path(told["figures"]).write_text(json.dumps(figures))  # standard output has libpsi's log


def intersected(told: dict, context: object) -> object:
    """Runs the protocol; only rank 0 is given the intersection."""
    files = (
        psi.InputParams(path=told["keys"], selected_keys=["id"], keys_unique=True),
        psi.OutputParams(path=told["out"], disable_alignment=True),
    )
    wanted = getattr(psi.PsiProtocol, f"PROTOCOL_{told['protocol']}")
    ecdh = psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519)
    how = psi.PsiProtocolConfig(protocol=wanted, receiver_rank=0, ecdh_params=ecdh)
    return psi.psi_execute(psi.PsiExecuteConfig(how, *files), context)


def core_s() -> float:
    """Processor time of this process, all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
