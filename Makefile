# Mailbag: build, test, install. The targets that matter: build, demo, test, install.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

CARGO ?= cargo
PYTHON ?= python3
# Where `make install` puts things; DESTDIR comes before it, for packages.
PREFIX ?= /usr/local
DESTDIR ?=
# 1: a test that needs a missing tool fails instead of being skipped.
STRICT ?=
# Seconds that each fuzz target runs.
SECS ?= 60

BUILT := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := $(sort $(basename $(notdir $(wildcard bin/mb-*.rs))))
PAGES := $(sort $(wildcard man/*.[157]))
SOURCES := Cargo.toml Cargo.lock $(shell find bin lib -name '*.rs' -o -name Cargo.toml)

.PHONY: help
help:
	@echo 'make build              the programs, into $(BUILT)/release'
	@echo 'make demo               three nodes, a folder as the stick, every byte compared'
	@echo 'make call-demo          two nodes, calls over tcp, a pipe and ssh, every byte compared'
	@echo 'make onion-demo         five nodes, a hub and an onion through three relays, every byte compared'
	@echo 'make area-demo          four nodes, an area with a circle and a relay without keys, every byte compared'
	@echo 'make test [STRICT=1]    all tests; STRICT=1: a skipped one is a failure'
	@echo 'make test-deps          installs what the tests use (Debian, as root)'
	@echo 'make check              format, clippy, documentation, tests'
	@echo 'make crash planted      kills and power cuts at every step; bugs that must be found'
	@echo 'make fuzz SECS=60       random input to every decoder'
	@echo 'make bench              speed and memory beside NNCP, into bench/results.md'
	@echo 'make install PREFIX=/usr/local DESTDIR=    programs, man pages, completions'
	@echo 'make uninstall clean'

# Build

# Built when a source is newer. After `make build`, `sudo make install` needs no cargo.
STAMP := $(BUILT)/release/.built
COMPLETIONS := $(BUILT)/completions

.PHONY: build
build: $(STAMP)

$(STAMP): $(SOURCES)
	$(CARGO) build --release --locked --bins
	mkdir -p $(COMPLETIONS)
	for program in $(PROGRAMS); do for shell in bash zsh fish; do \
		$(BUILT)/release/$$program --completions $$shell >$(COMPLETIONS)/$$program.$$shell; \
	done; done
	touch $@

# Tests

SKIPS := $(abspath $(BUILT))/skipped
export STRICT

.PHONY: test
test:
	@mkdir -p $(BUILT); rm -f $(SKIPS); export MB_SKIPS=$(SKIPS); status=0; \
	if $(CARGO) nextest --version >/dev/null 2>&1; then runner='nextest run'; else runner=test; fi; \
	$(CARGO) $$runner --workspace --locked --no-fail-fast || status=$$?; \
	if [ -s $(SKIPS) ]; then \
		echo 'Skipped (make test-deps installs what is missing):'; sort -u $(SKIPS) | sed 's/^/  /'; \
	fi; \
	exit $$status

# Tools of the tests: command:package.
TOOLS := strace:strace mandoc:mandoc mount.exfat-fuse:exfat-fuse mkfs.exfat:exfatprogs mcopy:mtools \
	mkfs.vfat:dosfstools mkfs.ext4:e2fsprogs rsync:rsync ssh:openssh-client sshd:openssh-server systemd-analyze:systemd \
	git:git make:make tar:tar diff:diffutils shellcheck:shellcheck
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)

.PHONY: test-deps
test-deps:
	missing=; for tool in $(TOOLS); do \
		PATH=$$PATH:/usr/sbin:/sbin command -v $${tool%%:*} >/dev/null || missing+=" $${tool##*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
		$(ROOT) apt-get update -q; \
		DEBIAN_FRONTEND=noninteractive $(ROOT) apt-get install -qy --no-install-recommends $$missing; \
	fi
	if [ -f tests/vectors/requirements.txt ]; then \
		$(PYTHON) -m pip install -q -r tests/vectors/requirements.txt || \
		$(PYTHON) -m pip install -q --break-system-packages -r tests/vectors/requirements.txt; \
	fi
	for part in clippy fmt; do \
		$(CARGO) $$part --version >/dev/null 2>&1 || rustup component add $${part/#fmt/rustfmt}; \
	done
	$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-nextest

.PHONY: check
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --lib --no-deps --locked
	$(MAKE) test

.PHONY: crash
crash:
	MB_CRASH_POINTS=all MB_POWER=1 $(CARGO) test --locked --test crash -- --nocapture

.PHONY: planted
planted:
	tests/planted/run

.PHONY: fuzz
fuzz:
	SECS=$(SECS) fuzz/run

.PHONY: bench
bench: build
	bench/run

.PHONY: demo
demo: build
	examples/demo.sh $(BUILT)/release

.PHONY: call-demo
call-demo: build
	examples/call.sh $(BUILT)/release

.PHONY: onion-demo
onion-demo: build
	examples/onion.sh $(BUILT)/release

.PHONY: area-demo
area-demo: build
	examples/area.sh $(BUILT)/release

# Install

BIN := $(DESTDIR)$(PREFIX)/bin
SHARE := $(DESTDIR)$(PREFIX)/share
BASH_DIR := $(SHARE)/bash-completion/completions
ZSH_DIR := $(SHARE)/zsh/site-functions
FISH_DIR := $(SHARE)/fish/vendor_completions.d

.PHONY: install
install: $(STAMP)
	install -d $(BIN) $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR)
	for program in $(PROGRAMS); do \
		install -m 755 $(BUILT)/release/$$program $(BIN)/; \
		install -m 644 $(COMPLETIONS)/$$program.bash $(BASH_DIR)/$$program; \
		install -m 644 $(COMPLETIONS)/$$program.zsh $(ZSH_DIR)/_$$program; \
		install -m 644 $(COMPLETIONS)/$$program.fish $(FISH_DIR)/$$program.fish; \
	done
	for page in $(PAGES); do install -D -m 644 -t $(SHARE)/man/man$${page##*.} $$page; done

.PHONY: uninstall
uninstall:
	rm -f $(foreach p,$(PROGRAMS),$(BIN)/$p $(BASH_DIR)/$p $(ZSH_DIR)/_$p $(FISH_DIR)/$p.fish)
	for page in $(PAGES); do rm -f $(SHARE)/man/man$${page##*.}/$$(basename $$page); done

.PHONY: clean
clean:
	$(CARGO) clean
