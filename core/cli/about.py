"""`status`, `version`, plain form on stderr; `config`: the settings that count."""

from __future__ import annotations

from holdfs.core.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfs.core.cli.options import Given
    from holdfs.core.cli.output import Json
    from holdfs.core.store import Store


def status(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the store's roots and what its driver can do."""
    return _pairs(store.status(), given)


def version(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the program's version."""
    from importlib.metadata import version as installed_version

    return _pairs([("Version", installed_version("holdfs"))], given)


def config(store: Store, given: Given, arguments: list[str]) -> int:
    """Print what the configuration says. The options of this command line do not show."""
    from holdfs.core.config import load_options
    from holdfs.core.idmapping import configured

    options = load_options()
    maps = configured(options)
    fields: list[tuple[str, Json]] = [
        ("runroot", options.run_root),
        ("root", options.graph_root),
        ("imagestore", options.image_store),
        ("driver", options.driver),
        ("driver-priority", options.driver_priority),
        ("driver-options", options.driver_options),
        ("uidmap", maps.uidmap),
        ("gidmap", maps.gidmap),
        ("root_auto_ns_user", options.root_auto_userns_user),
        ("auto_userns_min_size", options.auto_userns_min_size),
        ("auto_userns_max_size", options.auto_userns_max_size),
    ]
    shown = [output.json_object([field])[1:-1] for field in fields if field[1]]
    pull = output.json_text(dict(options.pull_options)) if options.pull_options else "null"
    shown.append(f'"PullOptions":{pull}')
    for key, value in (
        ("disable-volatile", options.disable_volatile),
        ("transient_store", options.transient_store),
    ):
        if value:
            shown.append(f'"{key}":true')
    output.out("{" + ",".join(shown) + "}\n")
    return 0


def _pairs(pairs: Sequence[tuple[str, str]], given: Given) -> int:
    if given.flag("json"):
        output.json(list(pairs))
    else:
        output.err("".join(f"{key}: {value}\n" for key, value in pairs))
    return 0
