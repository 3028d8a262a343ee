"""Content under options that change how it is stored: what comes out is the real tool's."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.core.test_filling import TAR, tar_of
from tests.differential.test_content import dateless
from tests.native.changing import build, change
from tests.native.tarbytes import END, member
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

Sides = tuple[GoStore, Holdctl]


def sides(roots: GraphRun, driver: str, *options: str) -> Sides:
    return GoStore(*roots, driver, options), Holdctl(*roots, driver, options)


def changed(tool: GoStore) -> None:
    """Make a layer, and one on it in which things of every kind are done."""
    for ref, parent in (("base", ""), ("child", "base")):
        tool.run("create-layer", "-i", ref, *([parent] if parent else []))
        top = tool.out("mount", ref).split("\n")[-1]
        if parent:
            change(top, is_overlay=True)
            os.chmod(f"{top}/a/f4", 0o600)  # its content stays below, with metacopy
            shutil.move(f"{top}/keep", f"{top}/kept")  # a redirect, with redirect_dir
        else:
            build(top)
        tool.run("unmount", ref)


def alike(go: GoStore, ours: Holdctl, *refs: str) -> None:
    told, said = (tool.run_bytes("diff", "-u", *refs).stdout for tool in (go, ours))
    assert dateless(told) == dateless(said)
    for command in ("changes", "diffsize"):
        assert sorted(go.out(command, *refs).split("\n")) == sorted(
            ours.out(command, *refs).split("\n")
        )


@pytest.mark.parametrize("mountopt", ["nodev,index=on", "metacopy=on,redirect_dir=on"])
def test_what_the_kernel_leaves_below_is_in_the_diff(graph_run: GraphRun, mountopt: str) -> None:
    go, ours = sides(graph_run, "overlay", f"overlay.mountopt={mountopt}")
    changed(ours)

    alike(go, ours, "child")
    alike(go, ours, "base", "child")
    assert b"kept/k" in ours.run_bytes("diff", "-u", "child").stdout
    ours.run("shutdown")


@needs("fuse-overlayfs")
@pytest.mark.parametrize("mask", ["", "0755"])
def test_what_a_mount_program_stores_comes_out_as_it_went_in(
    stores: Callable[[], GraphRun], mask: str
) -> None:
    options = ["overlay.mount_program=/usr/bin/fuse-overlayfs"]
    if mask:
        options.append(f"overlay.force_mask={mask}")
    more = tar_of(("etc", None), ("etc/.wh.motd", b""), ("secret", b"s"), uid=5)
    for maker in (0, 1):
        both = sides(stores(), "overlay", *options)
        both[maker].run("import-layer", "-i", "base", input=TAR)
        both[maker].run("import-layer", "-i", "top", "base", input=more)
        for tool in both:
            assert [TAR, more] == [
                tool.run_bytes("diff", "-u", ref).stdout for ref in ("base", "top")
            ]
            if mask:
                continue  # the program shows no layer whose tar says nothing of its root
            top = Path(tool.out("mount", "top").split("\n")[-1])
            try:
                assert ["big", "etc", "secret"] == sorted(os.listdir(top))
                assert [] == os.listdir(top / "etc")
                found = os.stat(top / "secret")
                assert (5, 5, 0o644) == (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
            finally:
                tool.run("unmount", "top")
        stored = os.stat(Path(both[0].graph, "overlay/top/diff/secret"))
        assert (0o755 if mask else 0o644) == stat.S_IMODE(stored.st_mode)
        both[0].run("shutdown", check=False)


@needs("userns")
@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_owners_that_can_not_be_set_are_passed_over_if_that_is_wanted(
    driver: str, stores: Callable[[], GraphRun]
) -> None:
    data = member("mine", data=b"m") + member("theirs", data=b"t", uid=5000, gid=6000) + END
    roots = stores()
    # A namespace of one ID: to set any other is EINVAL.
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    results = []
    for option in ([], [f"{driver}.ignore_chown_errors=true"]):
        holdctl = Holdctl(*roots, driver, option)
        results.append(_run([*inside, *holdctl.command("import-layer", "-i", "one")], data))
    assert results[0][0] == 1
    assert '"theirs" (at byte 1024 of the tar)' in results[0][1]
    assert (0, "") == results[1]
    holdctl = Holdctl(*roots, driver, [f"{driver}.ignore_chown_errors=true"])
    code, said = _run([*inside, *holdctl.command("diff", "-u", "one")], b"")
    assert (0, os.fsdecode(data)) == (code, said)


def _run(command: list[str], data: bytes) -> tuple[int, str]:
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    return done.returncode, os.fsdecode(done.stderr or (done.stdout if "diff" in command else b""))
