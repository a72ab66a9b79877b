"""Run mutation tests, which change the code and expect a test to fail.

    make mutants ARGS=app/payments

ARGS are folders or files in app/; the default is all folders of TESTS. Results are stored in
var/mutants.jsonl, so an interrupted run continues, and later runs only include changed files. Use
--again to rerun survivors. The output ends with the survivors' changes and a table.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.mutants.codes import swaps_of  # noqa: E402 - needs sys.path
from tools.mutants.mutations import Mutant, mutants_of  # noqa: E402 - needs sys.path

# Tests of each folder.
TESTS = {
    "app/orders": "tests/orders",
    "app/payments": "tests/payments",
    "app/products": "tests/products",
    "app/quality": "tests/quality",
    "app/retail/history": "tests/retail/history",
}
# Slow race tests between processes, and tests of the list of tests.
LEFT_OUT = ("tests/orders/test_races.py", "tests/quality/test_catalogue.py")
RESULTS = ROOT / "var" / "mutants.jsonl"


def _files(paths: list[str]) -> dict[str, list[Path]]:
    """Return the files to mutate, by their folder in TESTS."""
    files_by_folder: dict[str, list[Path]] = {}
    for name in paths or list(TESTS):
        path = Path(name)
        for folder in TESTS:
            files = sorted(path.glob("*.py")) if path.is_dir() else [path]
            inside = [file for file in files if file.parent == Path(folder)]
            files_by_folder[folder] = files_by_folder.get(folder, []) + inside
    return {folder: files for folder, files in files_by_folder.items() if files}


def _results() -> dict[str, dict[str, Any]]:
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {row["key"]: row for row in rows}


def _try(tests: list[str], files: list[Path], keys: list[str]) -> None:
    environment = os.environ | {
        "MUTANTS_FILES": json.dumps([str(file) for file in files]),
        "MUTANTS_KEYS": json.dumps(keys),
        "MUTANTS_RESULTS": str(RESULTS),
        "PYTHONHASHSEED": "1",
    }
    environment.pop("DATABASE_URL", None)
    left_out = [f"--ignore={name}" for name in LEFT_OUT]
    command = [sys.executable, "-m", "pytest", "-p", "tools.mutants.plugin", "-q"]
    subprocess.run(
        ["nice", "-n", "19", *command, "-p", "no:cacheprovider", *left_out, *tests],
        env=environment,
        check=True,
    )


def main() -> None:
    """Run the mutants that have no result, and print all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--again", action="store_true", help="rerun survivors")
    parser.add_argument(
        "--part", type=float, default=1, help="run a random share of the mutants (0 to 1)"
    )
    parser.add_argument(
        "--functions",
        action="store_true",
        help="skip mutants of code that runs on import, which need a Python process each",
    )
    parser.add_argument("--tests", nargs="+", help="run these tests instead of those of the folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.chdir(ROOT)
    RESULTS.parent.mkdir(exist_ok=True)
    groups = _files(options.paths)
    mutants: dict[Path, list[Mutant]] = {}
    for folder, files in groups.items():
        for file in files:
            mutants[file] = [
                mutant
                for mutant in mutants_of(file)
                if not options.functions or swaps_of(mutant) is not None
            ]
        tried = {
            key for key, row in _results().items() if row["by"] is not None or not options.again
        }
        keys = [
            mutant.key
            for file in files
            for mutant in mutants[file]
            if mutant.key not in tried
            and random.Random(f"{options.seed} {mutant.key}").random() < options.part  # noqa: S311 - a sample
        ]
        if keys:
            print(f"{folder}: {len(keys)} mutants to run", flush=True)
            _try(options.tests or [TESTS[folder]], [file for file in files if mutants[file]], keys)
    _print(mutants, _results())


def _print(mutants: dict[Path, list[Mutant]], results: dict[str, dict[str, Any]]) -> None:
    rows = []
    for file, of_file in mutants.items():
        tried = [results[mutant.key] for mutant in of_file if mutant.key in results]
        for row in tried:
            if row["by"] is None:
                print("\n".join(row["diff"]), end="\n\n")
        counts = Counter(row["by"] is None for row in tried)
        rows.append((str(file), len(of_file), len(tried), counts[False], counts[True]))
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    print(f"{'module':40} {'mutants':>8} {'tried':>8} {'killed':>8} {'survived':>8}")
    for name, *numbers in rows:
        print(f"{name:40}", *(f"{number:8}" for number in numbers))


if __name__ == "__main__":
    main()
