"""Which store is meant: files, variables, explicit options, defaults."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.core import conffiles
from holdfs.core.config import StoreOptions, load_options
from holdfs.core.errors import ConfigError


class Machine:
    """A machine's configuration files in a scratch directory, and the variables of one user."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.environ = {"HOME": f"{top}/home", "TMPDIR": f"{top}/tmp"}

    def write(self, path: str, text: str) -> str:
        """Write `text` with @ for the scratch directory; return the file's absolute path."""
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("@", str(self.top)))
        return str(file)

    def load(
        self, graph_root: str = "", driver: str = "", driver_options: tuple[str, ...] = ()
    ) -> StoreOptions:
        return load_options(
            graph_root=graph_root,
            driver=driver,
            driver_options=driver_options,
            environ=self.environ,
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give root's machine, without any file yet."""
    monkeypatch.setattr(conffiles, "SYSTEM_DIRS", (f"{tmp_path}/usr", f"{tmp_path}/etc"))
    machine = Machine(tmp_path)
    machine.environ["_CONTAINERS_ROOTLESS_UID"] = "0"
    return machine


@pytest.fixture
def user(machine: Machine) -> Machine:
    """Give the same machine as an ordinary user sees it."""
    machine.environ["_CONTAINERS_ROOTLESS_UID"] = "1234"
    machine.environ["XDG_RUNTIME_DIR"] = f"{machine.top}/runtime"
    return machine


def test_nothing_configured_gives_the_usual_roots(machine: Machine) -> None:
    options = machine.load()

    assert "/var/lib/containers/storage" == options.graph_root
    assert "/run/containers/storage" == options.run_root
    assert ("", (), ()) == (options.driver, options.driver_options, options.driver_priority)
    assert not options.rootless


# -- files -------------------------------------------------------------------------------------


def test_of_the_main_files_the_first_alone_counts(machine: Machine) -> None:
    machine.write("usr/storage.conf", '[storage]\ndriver = "zfs"\n[storage.options]\nsize = "1G"\n')
    assert "zfs" == machine.load().driver

    machine.write("etc/storage.conf", '[storage]\ndriver = "vfs"\n')
    assert ("vfs", ()) == (machine.load().driver, machine.load().driver_options)

    machine.write("home/.config/containers/storage.conf", '[storage]\ndriver = "btrfs"\n')
    assert "btrfs" == machine.load().driver

    machine.environ["XDG_CONFIG_HOME"] = f"{machine.top}/xdg"
    machine.write("xdg/containers/storage.conf", '[storage]\ndriver = "overlay"\n')
    assert "overlay" == machine.load().driver


def test_drop_ins_follow_by_name_and_the_same_name_later_wins(machine: Machine) -> None:
    machine.write("usr/storage.conf", '[storage]\ngraphroot = "@/main"\nrunroot = "@/run"\n')
    machine.write("usr/storage.conf.d/50-a.conf", '[storage]\ngraphroot = "@/lost"\n')
    machine.write("etc/storage.conf.d/50-a.conf", '[storage]\ndriver = "vfs"\n')
    machine.write("usr/storage.conf.d/60-b.conf", '[storage]\ngraphroot = "@/sixty"\n')
    machine.write("home/.config/containers/storage.conf.d/40-c.conf", '[storage]\ndriver="zfs"\n')
    machine.write("etc/storage.conf.d/99-no-conf.txt", "this is not TOML")

    options = machine.load()

    assert f"{machine.top}/sixty" == options.graph_root
    assert f"{machine.top}/run" == options.run_root
    assert "vfs" == options.driver


def test_rootful_drop_ins_are_for_root(machine: Machine) -> None:
    machine.write("etc/storage.rootful.conf.d/a.conf", '[storage]\ndriver = "btrfs"\n')
    machine.write("etc/storage.rootless.conf.d/b.conf", '[storage]\ndriver = "vfs"\n')
    machine.write("etc/storage.rootless.conf.d/1234/c.conf", '[storage]\ngraphroot = "@/mine"\n')

    assert "btrfs" == machine.load().driver

    machine.environ["_CONTAINERS_ROOTLESS_UID"] = "1234"
    machine.environ["XDG_RUNTIME_DIR"] = f"{machine.top}/runtime"
    assert "vfs" == machine.load().driver
    assert f"{machine.top}/mine" == machine.load().graph_root


def test_a_named_file_replaces_all_files_and_the_override_comes_on_top(machine: Machine) -> None:
    machine.write("etc/storage.conf", '[storage]\ndriver = "zfs"\n')
    machine.write("etc/storage.conf.d/a.conf", '[storage]\ndriver = "btrfs"\n')
    machine.environ["CONTAINERS_STORAGE_CONF"] = machine.write(
        "named.conf", '[storage]\ngraphroot = "@/named"\n[storage.options]\nmountopt = "nodev"\n'
    )
    assert (f"{machine.top}/named", "") == (machine.load().graph_root, machine.load().driver)

    machine.environ["CONTAINERS_STORAGE_CONF_OVERRIDE"] = machine.write(
        "over.conf", '[storage]\ndriver = "overlay"\n'
    )
    assert f"{machine.top}/named" == machine.load().graph_root
    assert ("overlay.mountopt=nodev",) * 2 == machine.load().driver_options


def test_pull_options_add_up_and_lists_are_replaced(machine: Machine) -> None:
    machine.write(
        "etc/storage.conf",
        '[storage]\ndriver = "vfs"\n[storage.options]\nadditionalimagestores = ["/a", "/b"]\n'
        'pull_options = { use_hard_links = "false", ostree_repos = "" }\n',
    )
    machine.write(
        "etc/storage.conf.d/a.conf",
        '[storage.options]\nadditionalimagestores = ["/c"]\n'
        'pull_options = { use_hard_links = "true" }\n',
    )

    options = machine.load()

    assert {"use_hard_links": "true", "ostree_repos": ""} == dict(options.pull_options)
    assert ("/c",) == options.additional_image_stores
    assert ("vfs.imagestore=/c",) == options.driver_options


# -- values ------------------------------------------------------------------------------------


def test_roots_may_name_variables_the_uid_and_symbolic_links(machine: Machine) -> None:
    os.makedirs(machine.top / "real")
    os.symlink("real", machine.top / "link")
    machine.environ["PLACE"] = f"{machine.top}/link"
    machine.write("etc/storage.conf", '[storage]\ngraphroot = "${PLACE}"\nrunroot = "@/r$UID$NO/."')

    assert f"{machine.top}/real" == machine.load().graph_root
    assert f"{machine.top}/r0" == machine.load().run_root


def test_keys_that_mean_nothing_are_warned_of_with_their_file(machine: Machine) -> None:
    path = machine.write(
        "etc/storage.conf", '[storage]\ndrivr = "vfs"\n[storage.options.overlay]\nx = 1\n[more]\n'
    )

    (warning,) = machine.load().warnings

    assert warning.startswith(path)
    assert warning.endswith("storage.drivr, storage.options.overlay.x, more")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[storage]\ndriver = "vfs\n', "is not TOML"),
        ("[storage]\ndriver = 3\n", "storage.driver is to be a string, not 3"),
        ('[storage]\ntransient_store = "yes"\n', "storage.transient_store is to be true or false"),
        ("[storage.options]\nadditionalimagestores = [1]\n", "is to be a list of strings"),
        ("[storage.options]\nmountopt = ['a']\n", "storage.options.mountopt is to be a string"),
        ("[storage.options]\npull_options = { a = 1 }\n", "is to be a table of strings"),
        ('[storage]\ngraphroot = "@/g"\nimagestore = "@/g"\n', "can't be the graph root"),
    ],
)
def test_a_wrong_file_is_refused_even_if_it_is_not_needed(
    machine: Machine, text: str, said: str
) -> None:
    machine.write("etc/storage.conf", text)

    with pytest.raises(ConfigError, match=said):
        machine.load()
    with pytest.raises(ConfigError, match=said):
        machine.load(graph_root="/g", driver="vfs")


def test_a_named_file_has_to_be_there(machine: Machine) -> None:
    machine.environ["CONTAINERS_STORAGE_CONF"] = f"{machine.top}/none.conf"

    with pytest.raises(ConfigError) as refusal:
        machine.load()

    assert f"open {machine.top}/none.conf: no such file or directory" == refusal.value.words


def test_a_file_that_is_not_utf_8_is_refused(machine: Machine) -> None:
    (machine.top / "etc").mkdir()
    (machine.top / "etc/storage.conf").write_bytes(b'[storage]\ndriver = "\xff"\n')

    with pytest.raises(ConfigError, match="is not TOML"):
        machine.load()


# -- variables and explicit options ---------------------------------------------------------------


def test_the_driver_variable_chooses_the_driver_and_its_options(machine: Machine) -> None:
    machine.write(
        "etc/storage.conf",
        '[storage]\ndriver = "overlay"\n[storage.options.overlay]\nmountopt = "nodev"\n'
        '[storage.options.vfs]\nignore_chown_errors = "true"\n',
    )
    machine.environ["STORAGE_DRIVER"] = "vfs"

    assert "vfs" == machine.load().driver
    assert ("vfs.ignore_chown_errors=true",) == machine.load().driver_options


@pytest.mark.parametrize(
    ("given", "options"),
    [("", ()), ("overlay.mountopt=nosuid,.size=1G", ("overlay.mountopt=nosuid", ".size=1G"))],
)
def test_the_options_variable_replaces_those_of_the_files(
    machine: Machine, given: str, options: tuple[str, ...]
) -> None:
    machine.write(
        "etc/storage.conf",
        '[storage]\ndriver = "overlay"\n[storage.options]\nmountopt = "nodev"\n',
    )
    machine.environ["STORAGE_OPTS"] = given

    assert options == machine.load().driver_options


@pytest.mark.parametrize(
    "load",
    [
        lambda machine: machine.load(graph_root="/g"),
        lambda machine: machine.load(driver="overlay2"),
        lambda machine: machine.load(driver_options=("overlay.mountopt=nosuid",)),
    ],
    ids=["graph root", "driver", "options"],
)
def test_one_explicit_option_shuts_out_all_but_the_files_roots(
    machine: Machine, load: Callable[[Machine], StoreOptions]
) -> None:
    machine.write(
        "etc/storage.conf",
        '[storage]\ndriver = "btrfs"\ngraphroot = "@/g"\nrunroot = "@/r"\nimagestore = "@/i"\n'
        'transient_store = true\ndriver_priority = ["vfs"]\n[storage.options]\nsize = "1G"\n',
    )
    machine.environ["STORAGE_DRIVER"] = "vfs"
    machine.environ["STORAGE_OPTS"] = "vfs.imagestore=/a"

    options = load(machine)

    assert f"{machine.top}/r" == options.run_root
    assert options.graph_root in (f"{machine.top}/g", "/g")
    assert options.driver in ("", "overlay")
    assert options.driver_options in ((), ("overlay.mountopt=nosuid",))
    assert ("", False, (), ()) == (
        options.image_store,
        options.transient_store,
        options.driver_priority,
        options.additional_image_stores,
    )


def test_explicit_relative_roots_become_absolute(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine.top)

    assert f"{machine.top}/g" == machine.load(graph_root="./x/../g").graph_root


@pytest.mark.parametrize(
    ("driver", "options", "stores"),
    [
        ("overlay", ("overlay.imagestore=/a,/b", ".ImageStore=/c"), ("/a", "/b", "/c")),
        ("overlay", ("vfs.imagestore=/a", "overlay.additionalimagestores = /b"), ("/b",)),
        ("", ("vfs.imagestore=/a", "imagestore=/b"), ("/a", "/b")),
        ("overlay", ("overlay.mountopt=imagestore=/a",), ()),
    ],
)
def test_image_stores_are_found_among_the_drivers_options(
    machine: Machine, driver: str, options: tuple[str, ...], stores: tuple[str, ...]
) -> None:
    assert stores == machine.load(driver=driver, driver_options=options).additional_image_stores


# -- a user's own store --------------------------------------------------------------------------


def test_a_user_has_a_store_of_his_own(user: Machine) -> None:
    options = user.load()

    assert f"{user.top}/home/.local/share/containers/storage" == options.graph_root
    assert f"{user.top}/runtime/containers" == options.run_root
    assert ("", ("overlay", "vfs"), True) == (
        options.driver,
        options.driver_priority,
        options.rootless,
    )

    user.environ["XDG_DATA_HOME"] = f"{user.top}/data"
    assert f"{user.top}/data/containers/storage" == user.load().graph_root


def test_the_systems_files_give_a_user_their_driver_but_not_roots_store(user: Machine) -> None:
    user.write(
        "etc/storage.conf",
        '[storage]\ndriver = "overlay"\ngraphroot = "/var/g"\nrunroot = "/var/r"\n'
        'rootless_storage_path = "@/people/$UID"\n[storage.options]\n'
        'ignore_chown_errors = "true"\nadditionalimagestores = ["/a"]\n',
    )

    options = user.load()

    assert f"{user.top}/people/1234" == options.graph_root
    assert f"{user.top}/runtime/containers" == options.run_root
    assert "overlay" == options.driver
    assert {"overlay.ignore_chown_errors=true"} == set(options.driver_options)


def test_a_users_own_file_says_it_all(user: Machine) -> None:
    user.write("etc/storage.conf", '[storage]\ndriver = "vfs"\n')
    user.write("home/.config/containers/storage.conf", '[storage]\ngraphroot = "@/g"\n')

    assert (f"{user.top}/g", "") == (user.load().graph_root, user.load().driver)


def test_the_driver_that_holds_a_users_images_stays(user: Machine) -> None:
    os.makedirs(user.top / "home/.local/share/containers/storage/vfs-images")

    assert "vfs" == user.load().driver


def test_without_a_session_the_run_root_is_a_private_directory(user: Machine) -> None:
    uid = 987654321  # has no /run/user
    user.environ["_CONTAINERS_ROOTLESS_UID"] = str(uid)
    del user.environ["XDG_RUNTIME_DIR"]
    temporary = user.top / f"tmp/containers-user-{uid}"

    assert f"{temporary}/containers" == user.load().run_root

    # One that is there has to be the user's own, whom a user namespace calls root, and his alone.
    temporary.mkdir(parents=True, mode=0o711)
    assert f"{temporary}/containers" == user.load().run_root
    temporary.chmod(0o755)
    assert f"{user.top}/home/rundir/containers" == user.load().run_root
    temporary.chmod(0o700)
    os.chown(temporary, uid, uid)
    assert f"{user.top}/home/rundir/containers" == user.load().run_root
