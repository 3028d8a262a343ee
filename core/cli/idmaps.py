"""
The ID-map options, and what they ask of the store.

    --uidmap C:H:S[:C:H:S…]  --gidmap …      ranges
    --subuidmap USER  --subgidmap GROUP      those of /etc/subuid and /etc/subgid, put first
    --hostuidmap  --hostgidmap               none, whatever the parent has

One kind given stands for both. Source: spec cli 6.9.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.idmapping import MapRequest


def asked(given: Given) -> MapRequest | None:
    """
    Return what the options ask for; None if none of them is given.

    Raises:
        InvalidValue, InvalidMappings: In the words of the Go tools.
    """
    texts = [given.text(key) for key in ("uidmap", "gidmap", "subuidmap", "subgidmap")]
    host_uid, host_gid = given.flag("hostuidmap"), given.flag("hostgidmap")
    if not (any(texts) or host_uid or host_gid):
        return None

    from holdfs.core.errors import InvalidValue
    from holdfs.core.formats.idmap import parse_maps
    from holdfs.core.idmapping import MapRequest, sub_ids

    uid_text, gid_text, user, group = texts
    # One name stands for the other, but not beside the host's own IDs.
    user, group = user or ("" if host_uid else group), group or ("" if host_gid else user)
    uidmap = parse_maps([uid_text] if uid_text else [], "uid")
    gidmap = parse_maps([gid_text] if gid_text else [], "gid")
    if user:
        uidmap = (*sub_ids(user, "subuid", "user"), *uidmap)
    if group:
        gidmap = (*sub_ids(group, "subgid", "group"), *gidmap)
    for is_host, maps, kind in ((host_uid, uidmap, "uid"), (host_gid, gidmap, "gid")):
        if is_host and maps:
            raise InvalidValue(
                f"--host{kind}map and another {kind} map can't be had together",
                words=f"host {kind} map specified along with {kind.upper()} mapping",
            )
    return MapRequest(host_uid=host_uid, host_gid=host_gid, uidmap=uidmap, gidmap=gidmap)
