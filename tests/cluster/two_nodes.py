"""Two nodes of Ray's on this machine, as a process of its own: prints the address of the first.

A line on standard input ends the second one as a crash would; the end of the input ends both.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

LOOPBACK = "127.0.0.1"
STORE_BYTES = 80 << 20


def main() -> None:
    """Run the nodes until the end of the input."""
    common = {"num_cpus": 1, "node_ip_address": LOOPBACK, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**common, "include_dashboard": False})
    second = cluster.add_node(**common)
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        sys.stdout.write("ended\n")
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
