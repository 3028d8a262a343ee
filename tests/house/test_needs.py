"""The tests' own house: probes that decide, tools that answer, mounts that go."""

import os
import subprocess

import pytest

from tests.conftest import GraphRun
from tests.mounts import mounts_below, unmount_below
from tests.needs import PROBES, loop_mounted, missing, needs
from tests.peers import DEMO_BASE_IMAGE, DEMO_IMAGE, GoStore, PeerFailed, Podman, Skopeo


@pytest.mark.parametrize("name", sorted(PROBES))
def test_every_probe_gives_nothing_or_a_reason(name: str) -> None:
    reason = missing(name)

    assert reason is None or reason.strip()


def test_a_need_nobody_can_probe_is_an_error() -> None:
    with pytest.raises(KeyError, match="no probe"):
        needs("root", "rooot")


def test_a_skip_in_ci_is_a_failure(
    pytester: pytest.Pytester, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest("from tests.conftest import pytest_configure, pytest_runtest_setup")
    pytester.makepyfile(
        """
        from tests import needs

        needs.PROBES["never"] = lambda: "not on this world"

        @needs.needs("never")
        def test_it():
            pass
        """
    )
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    monkeypatch.delenv("CI", raising=False)

    monkeypatch.setenv("HOLDFS_NO_SKIP", "0")
    pytester.runpytest_subprocess().assert_outcomes(skipped=1)

    monkeypatch.setenv("HOLDFS_NO_SKIP", "1")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs never: not on this world*"])


@needs("root")
def test_unmounting_reaches_stacked_nested_and_oddly_named_mounts(
    tmp_path: os.PathLike[str],
) -> None:
    odd = f"{tmp_path}/with blank\nand newline"
    os.makedirs(odd)
    for mount_point in (odd, odd):
        subprocess.run(["mount", "-t", "tmpfs", "probe", mount_point], check=True, timeout=20)
    os.mkdir(f"{odd}/inner")
    subprocess.run(["mount", "-t", "tmpfs", "probe", f"{odd}/inner"], check=True, timeout=20)

    assert [odd, odd, f"{odd}/inner"] == unmount_below(str(tmp_path))
    assert [] == mounts_below(str(tmp_path))


@needs("root", "btrfs")
def test_a_loop_file_system_is_gone_after_its_use(tmp_path: os.PathLike[str]) -> None:
    with loop_mounted("btrfs", str(tmp_path)) as top:
        assert [top] == mounts_below(str(tmp_path))

    assert [] == mounts_below(str(tmp_path))


@needs("root", "overlay", "buildah", "busybox", "podman", "skopeo", "containers-storage")
def test_all_peers_see_one_store(demo_store: GoStore, tmp_path: os.PathLike[str]) -> None:
    roots = demo_store.graph, demo_store.run_root
    skopeo = Skopeo(*roots)
    podman_names = {name for image in Podman(*roots).json("images") for name in image["Names"]}

    assert {DEMO_IMAGE, DEMO_BASE_IMAGE} == podman_names
    assert DEMO_IMAGE in demo_store.json("image", DEMO_IMAGE)[0]["names"]
    skopeo.run("copy", "--quiet", skopeo.ref(DEMO_IMAGE), f"oci:{tmp_path}/oci:demo")
    assert os.path.exists(f"{tmp_path}/oci/index.json")


@needs("root", "overlay", "containers-storage")
def test_a_failing_peer_says_what_it_said(go_store: GoStore, graph_run: GraphRun) -> None:
    with pytest.raises(PeerFailed, match="identifier is not a layer"):
        go_store.run("delete-layer", "nothing")

    assert go_store.run("delete-layer", "nothing", check=False).returncode == 1
