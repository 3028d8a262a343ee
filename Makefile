# On a fresh Debian 12, as root, each of these installs what it needs; each can be run again.
#
#   make install   holdfs and holdctl in .venv/bin
#   make demo      shows a store as a tree and leaves it mounted
#   make test      all checks and tests, with the real tools
#   make faults    what takes too long for each time: every operation, killed or failing at each of
#                  its system calls, whole systems as layers, a million entries (half an hour)
#   make fuzz      feeds the readers of foreign bytes with nonsense, under clang's sanitizers;
#                  SECONDS_EACH=600 for longer than a minute each
#   make lint      the formatter, the linter and the type checker
#   make bench     how fast it is, against the real tools, in twenty minutes; QUICK=1 less of all in
#                  three, nothing written; ROWS='a b' some rows, at their true sizes

# Debian's own: another one in PATH may lack headers or be too old.
PYTHON ?= /usr/bin/python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install -q --retries 10

PACKAGES := python3 python3-venv python3-dev gcc libc6-dev pkg-config libfuse3-dev fuse3 uidmap \
	libisal-dev libssl-dev libzstd-dev liblzma-dev libbz2-dev \
	ca-certificates
DEMO_PACKAGES := busybox-static
PEER_PACKAGES := containers-storage buildah podman skopeo umoci crun fuse-overlayfs \
	btrfs-progs xfsprogs e2fsprogs \
	faketime busybox-static bzip2 xz-utils zstd debootstrap \
	vim nano rsync mc bash-completion libglib2.0-bin systemd \
	xvfb xdotool xclip openbox imagemagick dbus thunar pcmanfm nautilus
FUZZ_PACKAGES := clang libclang-rt-14-dev llvm zlib1g-dev zstd

DEMO_MOUNT := /mnt/holdfs
# Only root can write there. podman takes no run root of more than 50 characters.
DEMO_STORE := /var/lib/holdfs-demo

# Directories too: a module that is gone has to go from .venv as well.
SOURCES := pyproject.toml setup.py $(shell find native drivers core fusefs \
	-name __pycache__ -prune -o -name _native.c -prune -o \
	\( -type d -o -name '*.py' -o -name '*.[ch]' -o -name '*.1' -o -name py.typed \) -print)

# Two apt-get or pip at once are in each other's way.
.NOTPARALLEL:
.PHONY: install demo test faults fuzz lint bench packages venv dev

# A make of its own, since this one has looked at .venv already and would not see it made anew.
install: venv
	@$(MAKE) -s .venv/installed

demo: PACKAGES += $(DEMO_PACKAGES)
demo: install
	@$(BIN)/python .make/demo.py $(DEMO_MOUNT) $(DEMO_STORE)

test: PACKAGES += $(PEER_PACKAGES)
test: dev
	$(BIN)/python -m pytest

faults: PACKAGES += $(PEER_PACKAGES)
faults: dev
	$(BIN)/python -m pytest -m whole

fuzz: PACKAGES += $(FUZZ_PACKAGES)
fuzz: dev
	$(BIN)/python -m tests.fuzz $(SECONDS_EACH)

lint: dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: PACKAGES += $(PEER_PACKAGES)
bench: dev
	$(BIN)/python -m tests.bench $(if $(QUICK),QUICK) $(ROWS)

packages:
	@.make/packages $(PACKAGES)

venv: packages
	@.make/venv $(PYTHON)

dev: venv
	@$(MAKE) -s .venv/dev-requirements .venv/installed

# What others wrote comes first and by itself: the rest needs no network then, and is quick.
.venv/requirements: pyproject.toml
	@echo "installing requirements into .venv"
	@$(BIN)/python .make/requirements.py >$@.txt
	@$(PIP_INSTALL) -r $@.txt
	@touch $@

.venv/dev-requirements: pyproject.toml
	@echo "installing what the tests want into .venv"
	@$(BIN)/python .make/requirements.py dev >$@.txt
	@$(PIP_INSTALL) -r $@.txt
	@touch $@

.venv/installed: $(SOURCES) .venv/requirements
	@echo "building holdfs"
	@rm -rf build # setuptools reuses it, with what was deleted since
	@$(PIP_INSTALL) --no-build-isolation --no-deps .
	@echo "programs are in $(CURDIR)/$(BIN), manual pages and completions in $(CURDIR)/.venv/share"
	@touch $@
