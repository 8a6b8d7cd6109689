"""How fast scoring is against its references: `python tests/benchmarks/bench_model.py [--json FILE] [--rounds N]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aicorona_desktop.cli import bench  # the checkout's own, whatever is installed

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    bench.add(parser.add_subparsers())
    sys.exit(bench.run(parser.parse_args(["bench", *sys.argv[1:]])))
