"""The arrows of shared/DESIGN.md, held against the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import metamers

ROOT = Path(metamers.__file__).parent
LEAVES = ("labels", "store")
WAY = ("stimuli", "models", "matching", "synthesis", "observers", "analysis", "report")
MAY_IMPORT = {
    **{room: {*LEAVES, *WAY[:i]} for i, room in enumerate(WAY)},
    **{room: {*LEAVES} for room in LEAVES},
    # People take the observers' place.
    "experiment": {*LEAVES, *WAY[: WAY.index("observers")]},
    "training": {*LEAVES, "stimuli", "models", "matching"},
}
FREE = ("study", "published", "cli")
TORCHLESS = (*LEAVES, "analysis", "report", "experiment")
HEAVY = ("torch", "torchvision", "timm", "transformers", "matplotlib", "pandas", "scipy", "dask", "fastapi")
MODULES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0] if path.parent != ROOT else ""


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, also within functions; not what it needs only for types."""
    stack: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        stack += ast.iter_child_nodes(node)


def rooms_imported(path: Path) -> set[str]:
    parts = (name.split(".") for name in imported(path))
    return {p[1] for p in parts if p[0] == "metamers" and len(p) > 1 and (ROOT / p[1]).is_dir()}


def test_every_room_is_in_the_design():
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= {*MAY_IMPORT, *FREE}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_room_imports_only_rooms_to_its_left(path):
    room = room_of(path)
    if room and room not in FREE:
        assert rooms_imported(path) - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_is_over_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("room", TORCHLESS)
def test_rooms_without_torch_name_no_torch(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & {"torch", "torchvision"}, path


def test_rooms_without_torch_work_where_there_is_none():
    modules = [f"metamers.{room}" for room in TORCHLESS]
    modules += [
        ".".join(("metamers", *path.relative_to(ROOT).with_suffix("").parts))
        for room in TORCHLESS
        for path in (ROOT / room).rglob("[a-z]*.py")
    ]
    run_python(
        f"import sys; sys.modules['torch'] = None\nimport importlib\n[importlib.import_module(m) for m in {modules}]"
    )


def test_the_package_and_its_help_start_without_heavy_imports():
    check = f"bad = sorted(set(sys.modules) & set({HEAVY})); assert not bad, bad"
    run_python(f"import sys, metamers; {check}")
    run_python(
        "import sys, metamers.cli\nsys.argv = ['metamers', '--help']\n"
        f"try:\n    metamers.cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n{check}"
    )


def test_every_name_of_the_package_is_there():
    for name in metamers.__all__:
        assert getattr(metamers, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'synthesise'"):
        metamers.synthesise  # noqa: B018


def run_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
