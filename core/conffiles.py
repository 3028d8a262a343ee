"""
The settings that the storage.conf files give, as one flat table.

    CONTAINERS_STORAGE_CONF set:  that file and no other, else
    USER/storage.conf  or  /etc/containers/storage.conf  or  /usr/share/containers/storage.conf,
    then the drop-ins of /usr/share/containers, /etc/containers and USER, by file name:
        storage.conf.d/*.conf, storage.rootful.conf.d/*.conf or storage.rootless.conf.d/*.conf
        and storage.rootless.conf.d/<uid>/*.conf
    and last CONTAINERS_STORAGE_CONF_OVERRIDE

USER is $XDG_CONFIG_HOME/containers or $HOME/.config/containers. A later file replaces the keys it
has. Source: spec, store-format 11.1 and 11.2, the newest rules.
"""

from __future__ import annotations

import os

from holdfs.core.errors import ConfigError
from holdfs.core.formats import plaintoml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

#: Where the system's files are, the strongest last.
SYSTEM_DIRS = ("/usr/share/containers", "/etc/containers")

_DRIVER_KEYS = {
    "overlay": (
        "ignore_chown_errors mountopt mount_program size inodes skip_mount_home force_mask"
        " use_composefs sync"
    ),
    "btrfs": "min_space size",
    "vfs": "ignore_chown_errors sync",
    "zfs": "fsname mountopt size",
}
_GENERAL_KEYS = (
    "size inodes ignore_chown_errors mount_program mountopt skip_mount_home force_mask remap-uids"
    " remap-gids remap-user remap-group root-auto-userns-user"
)
#: Every key that means something, "options.overlay.mountopt" for a key of
#: [storage.options.overlay], with the type of its value.
_TYPES: dict[str, type] = {
    "driver": str,
    "runroot": str,
    "graphroot": str,
    "rootless_storage_path": str,
    "imagestore": str,
    "driver_priority": list,
    "transient_store": bool,
    "options.additionalimagestores": list,
    "options.additionallayerstores": list,
    "options.disable-volatile": bool,
    "options.auto-userns-min-size": int,
    "options.auto-userns-max-size": int,
    "options.pull_options": dict,
    **{f"options.{key}": str for key in _GENERAL_KEYS.split()},
    **{f"options.{d}.{key}": str for d, keys in _DRIVER_KEYS.items() for key in keys.split()},
}
#: Tables that are not settings themselves.
_TABLES = frozenset(key.rpartition(".")[0] for key in _TYPES if "." in key) | {"options.thinpool"}
_TYPE_WORDS = {str: "a string", list: "a list of strings", bool: "true or false", int: "a number"}

#: What a user without privileges takes from the system's files; the rest describes root's store.
_FOR_EVERY_USER = frozenset(
    (
        "driver",
        "driver_priority",
        "rootless_storage_path",
        "options.ignore_chown_errors",
        "options.overlay.ignore_chown_errors",
    )
)


class Settings:
    """
    What the files say together.

    Attributes:
        values: By flat key ("driver", "options.mountopt", "options.overlay.mountopt").
        warnings: One sentence for each key that means nothing here.
    """

    __slots__ = ("values", "warnings")

    def __init__(self, values: dict[str, Any], warnings: tuple[str, ...]) -> None:
        self.values = values
        self.warnings = warnings


class _File:
    """A file to be read; `is_own` if it is of the user's own choosing, not the system's."""

    __slots__ = ("is_own", "path")

    def __init__(self, path: str, is_own: bool) -> None:
        self.path = path
        self.is_own = is_own


def read_settings(environ: Mapping[str, str], *, uid: int, per_user: bool) -> Settings:
    """
    Read all the files that count.

    Args:
        uid: The user's real one, also inside a user namespace.
        per_user: The store is to be the user's own, not the system's.

    Raises:
        ConfigError: A file that has to be there is missing, or one is not what it should be.
    """
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for file in _files(environ, uid, per_user):
        found = _parse(file.path, warnings)
        if per_user and not file.is_own:
            found = {key: value for key, value in found.items() if key in _FOR_EVERY_USER}
        for key, value in found.items():
            # Pull options are a map: a later file adds to it.
            values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return Settings(values, tuple(warnings))


def user_directory(environ: Mapping[str, str]) -> str:
    """Return the directory of the user's own files; "" for a user without a home."""
    if config_home := environ.get("XDG_CONFIG_HOME"):
        return os.path.join(config_home, "containers")
    home = home_directory(environ)
    return os.path.join(home, ".config/containers") if home else ""


def home_directory(environ: Mapping[str, str]) -> str:
    """Return $HOME, or what the user database says; "" if neither knows."""
    if home := environ.get("HOME"):
        return home
    home = os.path.expanduser(f"~{_user_name()}")
    return "" if home.startswith("~") else home


def _user_name() -> str:
    import pwd  # seldom needed

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def _files(environ: Mapping[str, str], uid: int, per_user: bool) -> Iterator[_File]:
    if chosen := environ.get("CONTAINERS_STORAGE_CONF"):
        yield _File(chosen, is_own=True)
    else:
        own = user_directory(environ)
        places = (*SYSTEM_DIRS, own) if own else SYSTEM_DIRS
        for place in reversed(places):
            path = os.path.join(place, "storage.conf")
            if os.path.exists(path):
                yield _File(path, is_own=place == own)
                break
        yield from _drop_ins(places, own, uid, per_user)
    if override := environ.get("CONTAINERS_STORAGE_CONF_OVERRIDE"):
        yield _File(override, is_own=True)


def _drop_ins(places: Sequence[str], own: str, uid: int, per_user: bool) -> Iterator[_File]:
    by_name: dict[str, _File] = {}
    for place in places:
        names = ["storage.conf.d"]
        if place != own:
            kind = "storage.rootless.conf.d" if per_user else "storage.rootful.conf.d"
            names += [kind, f"{kind}/{uid}"] if per_user else [kind]
        for name in names:
            directory = os.path.join(place, name)
            for file_name in _conf_names(directory):
                # What is written for users without privileges is theirs as if they wrote it.
                is_own = name != "storage.conf.d" or place == own
                by_name[file_name] = _File(os.path.join(directory, file_name), is_own)
    for file_name in sorted(by_name):
        yield by_name[file_name]


def _conf_names(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.endswith(".conf")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _parse(path: str, warnings: list[str]) -> dict[str, Any]:
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError as e:
        raise ConfigError(
            f"can't read {path}: {e.strerror}",
            words=f"open {path}: {(e.strerror or '').lower()}",
        ) from e
    document = plaintoml.parse(data)
    if document is None:
        document = _parse_toml(path, data)

    values: dict[str, Any] = {}
    unknown: list[str] = []
    for key, value in document.items():
        if key.lower() == "storage" and isinstance(value, dict):
            _flatten(path, value, "", values, unknown)
        else:
            unknown.append(key)
    if unknown:
        warnings.append(f"{path} has keys that mean nothing here: {', '.join(unknown)}")
    return values


def _parse_toml(path: str, data: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path} is not TOML: {e}", words=f"reading {path}: toml: {e}") from e


def _flatten(
    path: str, table: dict[str, Any], prefix: str, values: dict[str, Any], unknown: list[str]
) -> None:
    """Put the settings of one table into `values`, and the full keys that are none in `unknown`."""
    for name, value in table.items():
        key = prefix + name.lower()
        wanted = _TYPES.get(key)
        if wanted is not None:
            values[key] = _checked(path, key, value, wanted)
        elif key in _TABLES and isinstance(value, dict):
            _flatten(path, value, f"{key}.", values, unknown)
        else:
            unknown.append(f"storage.{prefix}{name}")


def _checked(path: str, key: str, value: Any, wanted: type) -> Any:
    if key == "options.force_mask" and type(value) is int:
        return f"{value:o}"  # the one key that may be written as a number, as for chmod
    fits = type(value) is wanted
    if wanted is list:
        fits = fits and all(isinstance(entry, str) for entry in value)
    if wanted is dict:
        fits = fits and all(isinstance(entry, str) for entry in value.values())
    if not fits:
        words = _TYPE_WORDS.get(wanted, "a table of strings")
        raise ConfigError(
            f"{path}: storage.{key} is to be {words}, not {value!r}",
            words=f'reading {path}: toml: (last key "storage.{key}"): incompatible types',
        )
    return value
