"""
The commands and their options: what is parsed, what the help says, and where the code is.

A command names its code as module and function, `listing:layers`, which is imported when it is to
run. Its function gets the open store, the options and the arguments, and returns the exit status.
The order is that of the general usage.

Source: containers/storage, cmd/containers-storage; spec cli 5.
"""

from __future__ import annotations

from holdfs.core.cli.command import Command
from holdfs.core.cli.options import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_SYNOPSIS: Final = "[options [...]]"
_TWO_LAYERS: Final = f"{_SYNOPSIS} layerNameOrID [referenceLayerNameOrID]"
_ANY_REFS: Final = "[LayerOrImageOrContainerNameOrID [...]]"
_ANY_NAMED: Final = f"{_SYNOPSIS} imageOrContainerNameOrID"

JSON: Final = Option("--json", "-j", help="Prefer JSON output")
_QUIET_IDS: Final = Option("--quiet", "-q", help="Only print IDs")
_METADATA: Final = Option("--metadata", "-m", kind="text", help="Metadata")
_METADATA_FILE: Final = Option("--metadata-file", "-f", kind="text", help="Metadata File")
_NEW_NAME: Final = Option("--name", "-n", kind="list", help="New name")
_FORCE_REPAIR: Final = Option("--force", "-f", help="Remove damaged layers, images, and containers")


def _naming(kind: str) -> tuple[Option, ...]:
    return (
        Option("--name", "-n", kind="list", help=f"{kind} name"),
        Option("--id", "-i", kind="text", help=f"{kind} ID"),
        JSON,
    )


_NEW_LAYER: Final = (
    *_naming("Layer"),
    Option("--label", "-l", kind="text", help="Mount Label"),
    Option("--readonly", "-r", help="Mark as read-only"),
)


_FROM_FILE: Final = Option("--file", "-f", kind="text", help="Read from file instead of stdin")
_ID_MAPS: Final = (
    Option("--uidmap", kind="text", help="UID map"),
    Option("--gidmap", kind="text", help="GID map"),
    Option("--subuidmap", kind="text", help="subuid UID map for a user"),
    Option("--subgidmap", kind="text", help="subgid GID map for a group"),
    Option("--hostuidmap", help="Force host UID map"),
    Option("--hostgidmap", help="Force host GID map"),
)


def _data_commands(kind: str, article: str) -> tuple[Command, ...]:
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
            synopsis=f"{_SYNOPSIS} {who}" + ("" if is_list else " dataName"),
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


def _directory_commands(kind: str) -> tuple[Command, ...]:
    of = "image's" if kind == "image" else "container's"
    example = "alpine" if kind == "image" else "web"
    return tuple(
        Command(
            f"get-{kind}-{which}",
            f"get{kind}{which.replace('-', '')}",
            code=f"directories:{which.replace('-', '_')}_of_{kind}",
            summary=f"Find the {of} associated {what} directory",
            synopsis=f"{_SYNOPSIS} {kind}NameOrID",
            example=f"get-{kind}-{which} {example}",
            options=(JSON,),
            min_args=1,
        )
        for which, what in (("dir", "data"), ("run-dir", "runtime"))
    )


def _parent_owners(kind: str, example: str) -> Command:
    return Command(
        f"{kind}-parent-owners",
        code=f"owners:parent_owners_of_{kind}",
        summary=f"Compute the set of unmapped parent UIDs and GIDs of the {kind}",
        synopsis=f"{_SYNOPSIS} {kind}NameOrID [...]",
        example=f"{kind}-parent-owners {example}",
        options=(JSON,),
        min_args=1,
        error_prefix=f"{kind.capitalize()}ParentOwner: ",
    )


def _examine(kind: str, article: str, example: str) -> Command:
    return Command(
        kind,
        code=f"examining:{kind}",
        summary=f"Examine {article} {kind}",
        synopsis=f"{_SYNOPSIS} {kind}NameOrID [...]",
        example=f"{kind} {example}",
        options=(JSON,),
        min_args=1,
    )


def _delete(kind: str, example: str, *options: Option) -> Command:
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


def _change_names(verb: str, *, example: str) -> Command:
    return Command(
        f"{verb}-names",
        f"{verb}names",
        code=f"names:{verb}",
        summary=f"{verb.capitalize()} layer, image, or container name or names",
        synopsis=_ANY_NAMED,
        example=f"{verb}-names {example}",
        options=(_NEW_NAME, JSON),
        min_args=1,
    )


COMMANDS: Final = (
    Command(
        "check",
        code="health:check",
        summary="Check storage consistency",
        synopsis=_SYNOPSIS,
        example="check --quick",
        options=(
            Option("--max", "-m", kind="text", help="Maximum allowed age of unreferenced layers"),
            Option("--repair", "-r", help="Remove damaged images and layers"),
            _FORCE_REPAIR,
            Option("--quick", "-q", help="Perform only quick checks"),
            JSON,
        ),
        max_args=0,
    ),
    Command(
        "config",
        code="about:config",
        summary="Print storage library configuration as JSON",
        synopsis=f"{_SYNOPSIS} [configurationFile]",
        example="config",
        options=(JSON,),
        max_args=1,
    ),
    _examine("container", "a", "web"),
    *_data_commands("container", "an"),
    *_directory_commands("container"),
    _parent_owners("container", "web"),
    Command(
        "containers",
        code="listing:containers",
        summary="List containers",
        synopsis=_SYNOPSIS,
        example="containers --json",
        options=(JSON,),
    ),
    Command(
        "copy",
        code="copying:copy",
        summary="Copy files or directories into a layer, possibly from another layer",
        synopsis=(f"{_SYNOPSIS} [sourceLayerNameOrID:]/path [...] targetLayerNameOrID:/path"),
        example="copy --chown 0:0 ./motd my-layer:/etc/motd",
        options=(
            Option("--chown", "-o", kind="text", help="Set owner on new copies"),
            JSON,
        ),
        min_args=2,
    ),
    Command(
        "create-layer",
        "createlayer",
        code="creating:create_layer",
        summary="Create a new layer",
        synopsis=f"{_SYNOPSIS} [parentLayerNameOrID]",
        example="create-layer -n my-layer 471822ef75eb",
        options=(*_NEW_LAYER, *_ID_MAPS),
        max_args=1,
    ),
    Command(
        "import-layer",
        "importlayer",
        code="creating:import_layer",
        summary="Import a new layer",
        synopsis=f"{_SYNOPSIS} [parentLayerNameOrID]",
        example="import-layer -n my-layer -f layer.tar.gz",
        options=(*_NEW_LAYER, *_ID_MAPS, _FROM_FILE),
        max_args=1,
    ),
    Command(
        "create-storage-layer",
        "createstoragelayer",
        code="creating:create_storage_layer",
        summary="Create a new layer only in the driver, without a record",
        synopsis=f"{_SYNOPSIS} [parentLayerNameOrID]",
        example="create-storage-layer -i scratch",
        options=(*(o for o in _NEW_LAYER if o.key != "name"), *_ID_MAPS),
        max_args=1,
    ),
    Command(
        "create-image",
        "createimage",
        code="creating:create_image",
        summary="Create a new image using layers",
        synopsis=f"{_SYNOPSIS} topLayerNameOrID",
        example="create-image -n my-image my-layer",
        options=(
            *_naming("Image"),
            Option("--digest", "-d", kind="text", help="Image Digest"),
            _METADATA,
            _METADATA_FILE,
        ),
        max_args=1,
    ),
    Command(
        "create-container",
        "createcontainer",
        code="creating:create_container",
        summary="Create a new container from an image",
        synopsis=f"{_SYNOPSIS} parentImageNameOrID",
        example="create-container -n web my-image",
        options=(
            *_naming("Container"),
            _METADATA,
            _METADATA_FILE,
            Option("--volatile", help="Mark as volatile"),
            *_ID_MAPS,
        ),
        min_args=1,
        max_args=1,
    ),
    Command(
        "dedup",
        code="health:dedup",
        summary="Share the space of equal files in images' layers",
        synopsis=_SYNOPSIS,
        example="dedup --hash-method sha256",
        options=(
            Option("--hash-method", kind="text", help="How equal files are found: crc|size|sha256"),
            JSON,
        ),
        max_args=0,
        error_prefix="dedup: ",
    ),
    Command(
        "delete",
        code="removing:delete",
        summary="Delete a layer or image or container, with no safety checks",
        synopsis=_ANY_REFS,
        example="delete my-layer",
        options=(JSON,),
        min_args=1,
    ),
    _delete("layer", "my-layer"),
    _delete("image", "--test my-image", Option("--test", "-t", help="Only test removal")),
    _delete("container", "web"),
    Command(
        "changes",
        code="diffs:changes",
        summary="Compare two layers",
        synopsis=_TWO_LAYERS,
        example="changes my-layer",
        options=(JSON,),
        min_args=1,
        max_args=2,
    ),
    Command(
        "diffsize",
        "diff-size",
        code="diffs:size",
        summary="Compare two layers",
        synopsis=_TWO_LAYERS,
        example="diffsize my-layer",
        options=(JSON,),
        min_args=1,
        max_args=2,
    ),
    Command(
        "diff",
        code="diffs:diff",
        summary="Compare two layers",
        synopsis=_TWO_LAYERS,
        example="diff --gzip -f changes.tar.gz my-layer",
        options=(
            Option("--uncompressed", "-u", help="Use no compression"),
            Option("--gzip", "-c", help="Compress using gzip"),
            Option("--bzip2", "--bz2", "-b", help="Compress using bzip2 (not currently supported)"),
            Option("--xz", "-x", help="Compress using xz (not currently supported)"),
            Option("--file", "-f", kind="text", help="Write to file instead of stdout"),
        ),
        min_args=1,
        max_args=2,
    ),
    Command(
        "applydiff",
        "apply-diff",
        code="diffs:apply",
        summary="Apply a diff to a layer",
        synopsis=_TWO_LAYERS,
        example="applydiff -f changes.tar my-layer",
        options=(_FROM_FILE, JSON),
        min_args=1,
        max_args=1,
    ),
    Command(
        "exists",
        code="names:exists",
        summary="Check if a layer or image or container exists",
        synopsis=_ANY_REFS,
        example="exists --image alpine",
        options=(
            Option("--quiet", "-q", help="Don't print names"),
            Option("--layer", "-l", help="Only succeed if the match is a layer"),
            Option("--image", "-i", help="Only succeed if the match is an image"),
            Option("--container", "-c", help="Only succeed if the match is a container"),
            JSON,
        ),
        min_args=1,
    ),
    Command(
        "gc",
        code="health:gc",
        summary="Remove what interrupted commands left behind",
        synopsis=_SYNOPSIS,
        example="gc",
        options=(JSON,),
        max_args=0,
    ),
    _examine("image", "an", "alpine"),
    *_data_commands("image", "an"),
    *_directory_commands("image"),
    Command(
        "images",
        code="listing:images",
        summary="List images",
        synopsis=_SYNOPSIS,
        example="images --json",
        options=(JSON, _QUIET_IDS),
    ),
    Command(
        "images-by-digest",
        code="listing:images_by_digest",
        summary="List images by digest",
        synopsis=f"{_SYNOPSIS} DIGEST",
        example=f"images-by-digest sha256:{'0123456789abcdef' * 4}",
        options=(JSON, _QUIET_IDS),
        min_args=1,
        max_args=1,
    ),
    _examine("layer", "a", "my-layer"),
    _parent_owners("layer", "my-layer"),
    *_data_commands("layer", "a"),
    Command(
        "layers",
        code="listing:layers",
        summary="List layers",
        synopsis=_SYNOPSIS,
        example="layers --tree",
        options=(
            JSON,
            Option("--quick", "-q", help="Only print IDs"),
            Option("--tree", "-t", help="Use a tree"),
        ),
    ),
    Command(
        "metadata",
        code="names:metadata",
        summary="Retrieve layer, image, or container metadata",
        synopsis=_ANY_REFS,
        example="metadata --quiet web",
        options=(Option("--quiet", "-q", help="Omit names and IDs"), JSON),
        min_args=1,
    ),
    Command(
        "set-metadata",
        "setmetadata",
        code="names:set_metadata",
        summary="Set layer, image, or container metadata",
        synopsis=f"{_SYNOPSIS} layerOrImageOrContainerNameOrID",
        example="set-metadata -m '{}' web",
        options=(_METADATA, _METADATA_FILE, JSON),
        min_args=1,
        max_args=1,
    ),
    Command(
        "mount",
        code="mounting:mount",
        summary="Mount a layer or container",
        synopsis=f"{_SYNOPSIS} LayerOrContainerNameOrID",
        example="mount web",
        options=(
            JSON,
            Option("--label", "-l", kind="text", help="Mount Label"),
            # Contract: taken and not used, as by the original.
            Option("--opt", "-o", kind="text", help="Mount Options"),
            Option("--read-only", "--ro", "-r", help="Mount image readonly"),
        ),
        min_args=1,
    ),
    Command(
        "unmount",
        "umount",
        code="mounting:unmount",
        summary="Unmount an image, layer or container",
        synopsis="LayerOrContainerNameOrID",
        example="unmount web",
        options=(JSON, Option("--force", "-f", help="Force the umount")),
        min_args=1,
    ),
    Command(
        "mounted",
        code="mounting:mounted",
        summary="Check if a file system is mounted",
        synopsis="LayerOrContainerNameOrID",
        example="mounted web",
        options=(JSON,),
        min_args=1,
    ),
    Command(
        "get-names",
        "getnames",
        code="names:get",
        summary="Get layer, image, or container name or names",
        synopsis=_ANY_NAMED,
        example="get-names web",
        options=(JSON,),
        min_args=1,
    ),
    _change_names("add", example="-n my-image:latest my-image"),
    _change_names("remove", example="-n my-image:old my-image"),
    _change_names("set", example="-n my-image my-image:latest"),
    Command(
        "shutdown",
        code="lifetime:shutdown",
        summary="Shut down layer storage",
        example="shutdown",
        options=(JSON, Option("--force", "-f", help="Unmount mounted layers first")),
        error_prefix="shutdown: ",
    ),
    Command(
        "status",
        code="about:status",
        summary="Check on graph driver status",
        example="status",
        options=(JSON,),
        error_prefix="status: ",
    ),
    Command(
        "storage-layers",
        code="listing:storage_layers",
        summary="List the layers that the driver has, with a record or without",
        synopsis=_SYNOPSIS,
        example="storage-layers",
        options=(JSON,),
    ),
    Command(
        "unshare",
        code="unsharing:unshare",
        summary="Run a command in a user namespace",
        synopsis="[options [...]] [command [...]]",
        example="unshare ls -l /",
        options=(JSON,),
        in_namespace=True,
    ),
    Command(
        "version",
        code="about:version",
        summary="Return holdctl version information",
        example="version",
        options=(JSON,),
        error_prefix="version: ",
    ),
    Command(
        "wipe",
        code="lifetime:wipe",
        summary="Wipe all layers, images, and containers",
        example="wipe",
        options=(JSON,),
        error_prefix="wipe: ",
    ),
)


def find(word: str) -> Command | None:
    """Return the command of this name or alias."""
    return next((command for command in COMMANDS if word in command.names), None)
