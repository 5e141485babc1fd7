"""The page of the package: each of its programs runs, and is checked as a user's is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
PAGE = (PACKAGE / "README.md").read_text(encoding="utf-8")
FRONT_PAGE = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```\n", PAGE + FRONT_PAGE, re.DOTALL)


def end(program: str, folder: Path) -> str:
    """What a program prints, in a process of its own."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=[str(number) for number in range(len(PROGRAMS))])
def test_it_runs(program: str, tmp_path: Path) -> None:
    end(program, tmp_path)


def test_the_first_is_the_example_and_prints_what_is_shown(tmp_path: Path) -> None:
    example = (PACKAGE / "examples" / "quickstart.py").read_text(encoding="utf-8")
    assert PROGRAMS[0] == example[example.index("from datetime") :], "copy the example, without its head, into the page"
    assert f"```text\n{end(PROGRAMS[0], tmp_path)}```\n" in PAGE
    assert PAGE.splitlines().index("```python") < 6


def test_that_of_the_front_page_can_be_run_again(tmp_path: Path) -> None:
    assert [end(PROGRAMS[-1], tmp_path) for _ in range(2)] == ["92.75\n"] * 2


def test_a_type_checker_has_nothing_to_say(tmp_path: Path) -> None:
    files = [tmp_path / f"program_{number}.py" for number in range(len(PROGRAMS))]
    for file, program in zip(files, PROGRAMS, strict=True):
        file.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout
