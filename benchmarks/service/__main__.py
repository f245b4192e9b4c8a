"""
`make bench` or `python -m benchmarks.service WHAT`: what the service's bookkeeping costs on this machine.

Every run starts a PostgreSQL of its own (the embedded one) and the product's roles as processes beside it. Workers run
the product's loop with an engine that does nothing or sleeps. Each figure stands beside the load of the machine.
"""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.service.idle import idle
from benchmarks.service.jobs import idle_start, latency, throughput
from benchmarks.service.lists import lists
from benchmarks.service.scaling import scaling


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    part = what.add_parser("throughput", help="jobs a second from submit to callback, as fast as it goes")
    part.add_argument("--jobs", type=int, default=2000)
    part.add_argument("--slots", type=int, default=8, help="jobs that the one worker handles at once (default: 8)")
    part.add_argument("--covers", type=int, default=0, help="covers of 50 kB that each job publishes (default: 0)")
    part.add_argument("--in-flight", type=int, default=16, help="submits at once (default: 16)")
    part = what.add_parser("latency", help="how long submits and starts take at a steady rate")
    part.add_argument("--rate", type=float, default=100.0, help="submits a second, at random times (default: 100)")
    part.add_argument("--seconds", type=float, default=30.0)
    part.add_argument("--slots", type=int, default=8)
    part = what.add_parser("start", help="from submit to start when nothing else is to do")
    part.add_argument("--jobs", type=int, default=60)
    part = what.add_parser("idle", help="CPU of smartcover serve with nothing to do")
    part.add_argument("--seconds", type=float, default=60.0)
    part = what.add_parser("lists", help="pages of lists over many jobs (minutes, and 4 GB of disk)")
    part.add_argument("--jobs", type=int, default=2_000_000)
    part.add_argument("--size", type=int, default=10, help="entries of a page (default: 10, as the API's)")
    part.add_argument("--shown", type=int, default=10, help="how many of the slowest pages are named (default: 10)")
    part = what.add_parser("scaling", help="jobs a second by number of worker slots, with jobs that sleep")
    part.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128])
    part.add_argument("--sleep", type=float, default=0.25, help="seconds that each job takes (default: 0.25)")
    part.add_argument("--seconds", type=float, default=8.0, help="how long a round would ideally take (default: 8)")
    given = parser.parse_args()
    if given.what == "throughput":
        asyncio.run(throughput(given.jobs, given.slots, given.covers, given.in_flight))
    elif given.what == "latency":
        asyncio.run(latency(given.rate, given.seconds, given.slots))
    elif given.what == "start":
        asyncio.run(idle_start(given.jobs))
    elif given.what == "idle":
        idle(given.seconds)
    elif given.what == "lists":
        asyncio.run(lists(given.jobs, given.size, given.shown))
    else:
        asyncio.run(scaling(given.slots, given.sleep, given.seconds))


if __name__ == "__main__":
    main()
