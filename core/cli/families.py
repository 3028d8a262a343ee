"""
Commands that come once for each kind, and options that several commands have.

    list-K-data  get-K-data …  get-K-dir …  K-parent-owners  K  delete-K        add-names …
"""

from __future__ import annotations

from holdfs.core.cli.command import Command
from holdfs.core.cli.options import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SYNOPSIS: Final = "[options [...]]"
TWO_LAYERS: Final = f"{SYNOPSIS} layerNameOrID [referenceLayerNameOrID]"
ANY_REFS: Final = "[LayerOrImageOrContainerNameOrID [...]]"
ANY_NAMED: Final = f"{SYNOPSIS} imageOrContainerNameOrID"

JSON: Final = Option("--json", "-j", help="Prefer JSON output")
QUIET_IDS: Final = Option("--quiet", "-q", help="Only print IDs")
METADATA: Final = Option("--metadata", "-m", kind="text", help="Metadata")
METADATA_FILE: Final = Option("--metadata-file", "-f", kind="text", help="Metadata File")
NEW_NAME: Final = Option("--name", "-n", kind="list", help="New name")
FORCE_REPAIR: Final = Option("--force", "-f", help="Remove damaged layers, images, and containers")


def naming(kind: str) -> tuple[Option, ...]:
    return (
        Option("--name", "-n", kind="list", help=f"{kind} name"),
        Option("--id", "-i", kind="text", help=f"{kind} ID"),
        JSON,
    )


NEW_LAYER: Final = (
    *naming("Layer"),
    Option("--label", "-l", kind="text", help="Mount Label"),
    Option("--readonly", "-r", help="Mark as read-only"),
)


FROM_FILE: Final = Option("--file", "-f", kind="text", help="Read from file instead of stdin")
ID_MAPS: Final = (
    Option("--uidmap", kind="text", help="UID map"),
    Option("--gidmap", kind="text", help="GID map"),
    Option("--subuidmap", kind="text", help="subuid UID map for a user"),
    Option("--subgidmap", kind="text", help="subgid GID map for a group"),
    Option("--hostuidmap", help="Force host UID map"),
    Option("--hostgidmap", help="Force host GID map"),
)


def data_commands(kind: str, article: str) -> tuple[Command, ...]:
    """Return the commands for the data items of a kind."""
    owner = "layerID" if kind == "layer" else f"{kind}NameOrID"
    attached = f"attached to {article} {kind}"
    wrong = " (with sometimes wrong digest)" if kind == "image" else ""

    def command(words: str, code: str, summary: str, example: str, *options: Option) -> Command:
        is_list = words.startswith("list")
        who = f"{kind}NameOrID" if is_list else owner
        return Command(
            words,
            words.replace("-", ""),
            code=f"data:{code}_{kind}",
            summary=f"{summary} {attached}{wrong if words.startswith('set') else ''}",
            synopsis=f"{SYNOPSIS} {who}" + ("" if is_list else " dataName"),
            example=f"{words} {example}",
            options=options,
            min_args=1 if is_list else 2,
            max_args=1 if is_list else None,
        )

    to_file = Option("--file", "-f", kind="text", help="Write data to file")
    from_file = Option("--file", "-f", kind="text", help="Read data from file")
    thing = {"layer": "471822ef75eb", "image": "alpine", "container": "web"}[kind]
    key = {"layer": "notes", "image": "manifest", "container": "config.json"}[kind]
    commands = [
        command(f"list-{kind}-data", "names_of", "List data items that are", thing, JSON),
        command(f"get-{kind}-data", "get_of", "Get data that is", f"{thing} {key}", to_file),
    ]
    if kind != "layer":
        size, digest = f"get-{kind}-data-size", f"get-{kind}-data-digest"
        of = f"{thing} {key}"
        commands += [
            command(size, "size_of", "Get size of data that is", of, JSON),
            command(digest, "digest_of", "Get digest of data that is", of, JSON),
        ]
    setting = f"-f {key} {thing} {key}"
    commands.append(
        command(f"set-{kind}-data", "set_of", "Set data that is", setting, from_file, JSON)
    )
    return tuple(commands)


def directory_commands(kind: str) -> tuple[Command, ...]:
    of = "image's" if kind == "image" else "container's"
    example = "alpine" if kind == "image" else "web"
    return tuple(
        Command(
            f"get-{kind}-{which}",
            f"get{kind}{which.replace('-', '')}",
            code=f"directories:{which.replace('-', '_')}_of_{kind}",
            summary=f"Find the {of} associated {what} directory",
            synopsis=f"{SYNOPSIS} {kind}NameOrID",
            example=f"get-{kind}-{which} {example}",
            options=(JSON,),
            min_args=1,
        )
        for which, what in (("dir", "data"), ("run-dir", "runtime"))
    )


def parent_owners(kind: str, example: str) -> Command:
    return Command(
        f"{kind}-parent-owners",
        code=f"owners:parent_owners_of_{kind}",
        summary=f"Compute the set of unmapped parent UIDs and GIDs of the {kind}",
        synopsis=f"{SYNOPSIS} {kind}NameOrID [...]",
        example=f"{kind}-parent-owners {example}",
        options=(JSON,),
        min_args=1,
        error_prefix=f"{kind.capitalize()}ParentOwner: ",
    )


def examine(kind: str, article: str, example: str) -> Command:
    return Command(
        kind,
        code=f"examining:{kind}",
        summary=f"Examine {article} {kind}",
        synopsis=f"{SYNOPSIS} {kind}NameOrID [...]",
        example=f"{kind} {example}",
        options=(JSON,),
        min_args=1,
    )


def delete(kind: str, example: str, *options: Option) -> Command:
    return Command(
        f"delete-{kind}",
        f"delete{kind}",
        code=f"removing:delete_{kind}",
        summary=f"Delete {'an' if kind == 'image' else 'a'} {kind}, with safety checks",
        synopsis=f"[{kind.capitalize()}NameOrID [...]]",
        example=f"delete-{kind} {example}",
        options=(*options, JSON),
        min_args=1,
    )


def change_names(verb: str, *, example: str) -> Command:
    return Command(
        f"{verb}-names",
        f"{verb}names",
        code=f"names:{verb}",
        summary=f"{verb.capitalize()} layer, image, or container name or names",
        synopsis=ANY_NAMED,
        example=f"{verb}-names {example}",
        options=(NEW_NAME, JSON),
        min_args=1,
    )
