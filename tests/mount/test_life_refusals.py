"""What can't be mounted is refused in one line that names it and the way out."""

import os
import re
from pathlib import Path

import pytest

from tests.conftest import GraphRun
from tests.mount.daemons import (
    HOLDFS,
    command,
    pid_of,
    run,
)
from tests.mounts import mounts_below
from tests.needs import needs

pytestmark = needs("root", "overlay", "fuse", "containers-storage")


def _refused(*words: str, status: int = 1, env: dict[str, str] | None = None) -> str:
    """Run a command that must fail with one line on stderr, and return that line."""
    done = run(*words, env=env)
    assert status == done.returncode, done
    assert "" == done.stdout
    assert re.fullmatch(r"holdfs: .+\n", done.stderr), done.stderr
    return done.stderr


def test_a_mount_point_that_is_missing_is_named(graph_run: GraphRun, tmp_path: Path) -> None:
    said = _refused(*command(*graph_run, tmp_path / "missing"))

    assert f"{tmp_path}/missing does not exist" in said
    assert "mkdir" in said


def test_a_mount_point_that_is_no_directory_is_named(graph_run: GraphRun, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert f"{tmp_path}/file is not a directory" in _refused(
        *command(*graph_run, tmp_path / "file")
    )


@pytest.mark.parametrize("where", ["", "overlay", "new"])
@pytest.mark.parametrize("which", ["graph", "run"])
def test_a_mount_inside_the_store_is_refused(graph_run: GraphRun, which: str, where: str) -> None:
    point = Path(getattr(graph_run, which), where)
    point.mkdir(exist_ok=True)

    assert "inside the store" in _refused(*command(*graph_run, point))


def test_a_mount_above_the_store_is_refused(graph_run: GraphRun) -> None:
    assert "would hide the store" in _refused(*command(*graph_run, Path(graph_run.graph).parent))


@pytest.mark.parametrize("point", ["/proc", "/dev"])
def test_a_mount_over_what_it_needs_itself_is_refused(graph_run: GraphRun, point: str) -> None:
    refused = _refused("unshare", "-m", *command(*graph_run, point))

    assert f"would hide {point}, which holdfs needs" in refused


def test_a_mount_inside_the_store_by_a_symlink_is_refused(
    graph_run: GraphRun, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(graph_run.graph)

    assert "inside the store" in _refused(*command(*graph_run, tmp_path / "link"))


def test_a_store_that_is_not_there_is_named(graph_run: GraphRun, root: Path) -> None:
    said = _refused(*command(f"{graph_run.graph}/none/such", graph_run.run, root))

    assert f"no store at {graph_run.graph}/none/such" in said


def test_an_unknown_driver_is_named(graph_run: GraphRun, root: Path) -> None:
    assert "nonsense" in _refused(*command(*graph_run, root, driver="nonsense"))


def test_a_log_that_cannot_be_written_is_named(graph_run: GraphRun, root: Path) -> None:
    assert "/none/such" in _refused(*command(*graph_run, root, "-o", "log=/none/such"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "no mount point"),
        (["/a", "/b", "/c"], "more than"),
        (["/a", "/b", "-x"], "-x"),
        (["/a", "/b", "-o", "nonsense"], "nonsense"),
        (["/a", "/b", "-o", "remount,ro"], "mount -i -o remount"),
        (["/a", "/b", "-o", "idle=soon"], "idle=soon"),
        (["/a", "/b", "-o"], "-o"),
        (["/a", "/b", "--graph", "/c"], "two different stores"),
    ],
)
def test_a_wrong_command_line_is_status_2(words: list[str], named: str) -> None:
    assert named in _refused(HOLDFS, *words, status=2)


@pytest.mark.parametrize("words", [("{}", "-o", "log=relative"), ("relative",)], ids=" ".join)
def test_a_relative_path_in_a_directory_that_is_gone_is_named(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    given = [word.format(tmp_path) for word in words]
    (tmp_path / "gone").mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'

    said = _refused("sh", "-c", script, "sh", f"{tmp_path}/gone", HOLDFS, *given)

    assert "relative: the working directory was deleted" in said


def test_help_and_version_are_for_everybody() -> None:
    assert "holdfs [SOURCE] MOUNTPOINT" in run(HOLDFS, "--help").stdout
    assert re.match(r"holdfs \d+\.\d+", run(HOLDFS, "--version").stdout)


def test_without_a_fuse_device_it_says_how_to_get_one(graph_run: GraphRun, root: Path) -> None:
    hide = 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec "$@"'

    said = _refused("unshare", "-m", "sh", "-c", hide, "sh", *command(*graph_run, root))

    assert "no /dev/fuse" in said
    assert "modprobe fuse" in said


def test_without_libfuse_it_says_what_to_install(
    graph_run: GraphRun, root: Path, tmp_path: Path
) -> None:
    # As the dynamic linker words it for the extension module.
    (tmp_path / "pyfuse3.py").write_text(
        'raise ImportError("libfuse3.so.3: cannot open shared object file")\n'
    )

    said = _refused(*command(*graph_run, root), env={"PYTHONPATH": str(tmp_path)})

    assert "libfuse3.so.3" in said
    assert "fuse3" in said


def test_a_failed_start_leaves_nothing(graph_run: GraphRun, root: Path) -> None:
    _refused(*command(*graph_run, root, "-o", "context=nonsense"))

    assert [] == mounts_below(str(root))
    with pytest.raises(AssertionError, match="nobody serves"):
        pid_of(root)


def test_a_store_that_may_not_be_read_is_named_as_such(graph_run: GraphRun, root: Path) -> None:
    closed = Path(graph_run.graph).parent / "closed"
    closed.mkdir()
    os.chown(closed, 65534, 65534)
    closed.chmod(0o700)
    # root as others are: without the right to look everywhere.
    plain = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")

    said = _refused(*plain, *command(f"{closed}/graph", graph_run.run, root))

    assert f"{closed}/graph: Permission denied" in said


def test_without_the_right_to_mount_it_says_so(graph_run: GraphRun, root: Path) -> None:
    said = _refused("setpriv", "--bounding-set", "-sys_admin", *command(*graph_run, root))

    assert "Operation not permitted" in said
