"""The text of the file README in the root of a mount."""

from typing import Final

TEXT: Final = """\
This is a container store, the one that podman, buildah, skopeo and CRI-O use, as directories.
mkdir makes an object, a file is an attribute, a symlink is a relation, rmdir deletes.
What you do here the other tools see at once, and the other way round.

LOOK
  ls images/by-name                       names of images, nested on /
  ls -l images/by-name/docker.io/library  … and what they lead to
  cat images/NAME/config                  NAME, an ID, or the first 8 digits of one; a / in a name
                                          is written %2F: images/docker.io%2Flibrary%2Fbusybox:1
  cat images/NAME/rootfs/etc/os-release   rootfs is mounted when you follow it
  cat images/NAME/files/etc/os-release    the same read-only, with links kept inside (-o files)
  ls -lt images                           newest first
  ls images/dangling layers/dangling      what nobody uses
  ls layers/by-digest/sha256:…            layers of one diff
  cat containers/NAME/info.json           the whole record
  cat layers/NAME/changes                 against its parent: A added, C changed, D deleted
  tar tf layers/NAME/diff.tar             the same as a tar; cp layers/NAME/diff.tar out.tar
  skopeo copy oci:images/ID/oci dir:/tmp/out      oci is the image as an OCI layout (skopeo takes
                                          what follows a colon in NAME for a tag)
  head images/NAME/size/*                 bytes: total, exclusive (what rmdir frees), shared; inodes
  tail -f events                          a line of JSON for each change of the store, by whomever
  getfattr -n user.holdfs.id images/NAME  the full ID

CHANGE
  mkdir layers/base                       a layer named base (64 hex digits are taken as its ID)
  mkdir layers/base/children/app          a layer on it     = ln -s ../base layers/app/parent
  cp -a stuff layers/app/rootfs/          fill it, or
  zcat app.tgz > layers/app/diff.tar      with a tar; cp app.tgz layers/app/diff.tar does it too
  mkdir layers/app/images/shop            an image of it    = ln -s … images/shop/top-layer
  mkdir images/shop/containers/web        a container       = ln -s … containers/web/image
  echo text > containers/web/metadata
  echo name >> containers/web/names       add a name; > replaces all of them
  cp manifest.json images/shop/big-data/manifest
  mkdir -p images/by-name/quay.io/me && ln -s ../../../ID images/by-name/quay.io/me/shop:1
  mv -T images/by-name/a images/by-name/b    rename;    rm images/by-name/a    drop a name
  rmdir containers/web images/shop layers/app

WHEN SOMETHING IS REFUSED
  cat errors                              the reason in words, for each of the last 200 refusals
  cat images/NAME/health                  what is missing in a damaged object
  cat status                              driver, directories, counts

GOOD TO KNOW
  Links run both ways, as in /sys: tools that follow them (find -L, grep -R, cp -L, zip -r without
  -y) go round in circles and mount every rootfs. grep -r, find, tar, cp -a, rsync -a do not,
  but all that read files read each diff.tar: --exclude=diff.tar.
  In the mount of an ordinary user files shows all content as his own, read-only; rootfs is the
  kernel's, with sub-IDs. The top of a new layer: chmod u+w layers/app/rootfs/ before you fill it.
  What you unlink in an object's directory is hidden for ten seconds, no more; rmdir deletes.
  cp -r containers/a containers/b makes b of the same image (or parent, or top layer), and then says
  of each attribute that it is there: copy metadata, big-data/* or diff.tar one by one.
  mv out of the mount takes along what is listed, nothing from behind rootfs, and then deletes.
"""
