"""The settings of docs/going-live.md, typed as they stand there, satisfy every program."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.config.test_deployment import PROGRAMS, start
from tests.config.test_settings import check

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run the commands that write .env, and return what is in it; the last of a name counts."""
    folder = tmp_path_factory.mktemp("live")
    shutil.copy(ROOT / ".env.example", folder)
    blocks = BLOCK.findall((ROOT / "docs/going-live.md").read_text("utf-8"))
    lines = [re.sub(r"^ {3,5}", "", block, flags=re.MULTILINE) for block in blocks[:2]]
    subprocess.run(["bash", "-euc", "".join(lines)], cwd=folder, check=True)
    pairs = re.findall(r"^([A-Z_]+)=(.*)$", (folder / ".env").read_text("utf-8"), re.MULTILINE)
    return dict(pairs)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_starts_with_them(
    program: str, environment: dict[str, str], tmp_path: Path
) -> None:
    assert environment["DEBUG"] == "False"
    assert environment["GATEWAY_CARDS"]
    done = start(program, tmp_path, only_given=True, **environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_warns_of_nothing_but_the_gateways_address(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folders = {"VAR_DIR": str(tmp_path / "var"), "LOG_DIR": str(tmp_path / "logs")}
    gateway = {"GATEWAY_URL": "http://gateway:8001"}  # as in docker-compose.yml
    done = check({**environment, **folders, **gateway}, "--deploy")
    assert done.returncode == 0
    assert re.findall(r"\((\w+\.\w+)\)", done.stderr) == ["config.W001"]
