"""Change the code in small ways and see whether a test notices: `make mutants ARGS=app/payments`.

ARGS names folders or files in app/; the default is all folders of TESTS. Results are kept in
var/mutants.jsonl: an interrupted run continues, and a later one tries only files that changed.
--again tries the survivors again. The output ends with the survivors' changes and a table.
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

from tools.mutants.codes import swaps_of  # noqa: E402 - found only now
from tools.mutants.mutations import Mutant, mutants_of  # noqa: E402 - found only now

# Where the tests of a folder are.
TESTS = {
    "app/accounts": "tests/accounts",
    "app/orders": "tests/orders",
    "app/payments": "tests/payments",
    "app/products": "tests/products",
    "app/quality": "tests/quality",
    "app/retail/backup": "tests/retail/backup",
    "app/retail/history": "tests/retail/history",
    "app/retail/web": "tests/retail/web",
}
# Minutes of races between processes, and tests of the list of tests.
LEFT_OUT = ("tests/orders/test_races.py", "tests/quality/test_catalogue.py")
RESULTS = ROOT / "var" / "mutants.jsonl"


def _files(wanted: list[str]) -> dict[str, list[Path]]:
    """Return the files to mutate, by the folder in TESTS they are in."""
    found: dict[str, list[Path]] = {}
    for name in wanted or list(TESTS):
        path = Path(name)
        for folder in TESTS:
            files = sorted(path.glob("*.py")) if path.is_dir() else [path]
            inside = [file for file in files if file.parent == Path(folder)]
            found[folder] = found.get(folder, []) + inside
    return {folder: files for folder, files in found.items() if files}


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
    """Try the mutants that have no result yet, and print all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--again", action="store_true", help="try again what survived")
    parser.add_argument(
        "--part", type=float, default=1, help="try this part of them, chosen by --seed"
    )
    parser.add_argument(
        "--functions",
        action="store_true",
        help="leave out what runs on import: it costs a Python each",
    )
    parser.add_argument("--tests", nargs="+", help="run these tests instead of the folder's")
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
            print(f"{folder}: {len(keys)} mutants to try", flush=True)
            _try(options.tests or [TESTS[folder]], [file for file in files if mutants[file]], keys)
    _print(mutants, _results())


def _print(mutants: dict[Path, list[Mutant]], results: dict[str, dict[str, Any]]) -> None:
    rows = []
    for file, of_file in mutants.items():
        tried = [results[mutant.key] for mutant in of_file if mutant.key in results]
        for row in tried:
            if row["by"] is None:
                place, *change = row["diff"]
                print(f"{place}, which {row['tests']} tests run", *change, sep="\n", end="\n\n")
        counts = Counter(row["by"] is None for row in tried)
        rows.append((str(file), len(of_file), len(tried), counts[False], counts[True]))
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    print(f"{'module':40} {'mutants':>8} {'tried':>8} {'killed':>8} {'survived':>8}")
    for name, *numbers in rows:
        print(f"{name:40}", *(f"{number:8}" for number in numbers))


if __name__ == "__main__":
    main()
