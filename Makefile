# secure-registry: what can be done from a checkout. `make help` lists it. The targets of the container project, for a
# host; its tag_latest has no counterpart, there is no image to tag.
SHELL       := /bin/bash
PYTHON      := /usr/bin/python3
VENV        := build/venv
RUN         := $(VENV)/bin/python
ROOT        ?= $(CURDIR)/config
OPT         ?=
USERNAME    ?=
MUTANTS     ?=
COMMAND     := $(PYTHON) -B -m secreg_host
VERSION     := $(shell sed -n 's/^version *= *//p' setup.cfg)
DEB         := dist/secure-registry_$(VERSION)_all.deb
RPM         := dist/secure-registry-$(VERSION)-1.noarch.rpm

# With `=` a name is looked up when it is used: these lines can stand in any order.
RUNTIME_PACKAGES = nginx libnginx-mod-http-js docker-registry python3 python3-aiohttp python3-bcrypt python3-cryptography \
                   python3-jinja2 python3-passlib python3-pydbus python3-watchdog python3-yaml
BUILD_PACKAGES   = debhelper dh-python dpkg-dev $(PAGES_PACKAGES)
PAGES_PACKAGES   = python3-argcomplete python3-cryptography python3-docutils python3-jinja2 python3-passlib python3-yaml
RPM_PACKAGES     = rpm checkpolicy semodule-utils $(PAGES_PACKAGES)
LINT_PACKAGES    = $(RUNTIME_PACKAGES) apache2-utils python3-venv shellcheck systemd
TEST_PACKAGES    = $(LINT_PACKAGES) $(BUILD_PACKAGES) $(RPM_PACKAGES) lintian rpmlint createrepo-c git openssl curl fail2ban fish logrotate \
                   man-db mandoc nftables skopeo systemd-container mmdebstrap util-linux procps iproute2 iptables strace testssl.sh wrk zsh bash-completion
BENCH_PACKAGES   = $(TEST_PACKAGES) caddy python3-matplotlib libnginx-mod-http-js rsync

# Packages that are missing are installed; a machine that has them all is left alone.
missing = $(shell comm -23 <(printf '%s\n' $(1) | sort -u) \
    <(dpkg-query -W -f='$${Package} $${db:Status-Status}\n' $(1) 2>/dev/null | sed -n 's/ installed$$//p' | sort -u))
define need
	@missing="$(call missing,$(1))"; if [ -n "$$missing" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "packages are missing; as root: apt-get install $$missing" >&2; exit 1; }; \
		echo "installing $$missing"; \
		packaging/quiet-install $$missing; fi
endef

# What a check without root leaves out where its program is missing; the gate installs it.
define where_there_is
	@if command -v $(1) >/dev/null; then $(MAKE) --no-print-directory $(2); \
	else echo "left out: $(2), for there is no $(1) here; as root: apt-get install $(3)"; fi
endef

.DEFAULT_GOAL := help
.PHONY: help build deb rpm artifacts release install clean gencert htpasswd setup start start-fg test test-fg stop shell check chaos chaos-power chaos-readme \
        chaos-images check-fast mutants lint lint-python lint-units lint-scripts lint-versions bench bench-front bench-hosts promises host venv need-run need-build need-rpm need-lint need-test need-bench \
        need-venv

help:                   ## Show this list
	@sed -n 's/^\([a-z -]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: deb              ## Build the package (the same as deb)

deb: need-build         ## Build dist/secure-registry_VERSION_all.deb
	$(MAKE) --no-print-directory -f packaging/Makefile deb

rpm: need-rpm           ## Build dist/secure-registry-VERSION-1.noarch.rpm, for Fedora and EL
	$(MAKE) --no-print-directory -f packaging/Makefile rpm

artifacts: need-build need-rpm venv ## Every file of a release in dist/: packages, source, wheel, SBOM, SHA256SUMS
	rm -rf dist
	$(MAKE) --no-print-directory -f packaging/Makefile deb rpm python sbom sums

release:                ## The same from a clean tree that passes every check
	@git rev-parse --verify --quiet HEAD >/dev/null || { echo "a release is made from a commit, in a clone"; exit 1; }
	@[ -z "$$(git status --porcelain)" ] || { git status --short; echo "commit or remove these first"; exit 1; }
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory artifacts
	@cd dist && sha256sum --check --quiet SHA256SUMS && ls -l

install:                ## Install into this machine, or below DESTDIR
	$(MAKE) --no-print-directory -f packaging/Makefile install

clean:                  ## Remove what was built; config/, too, if start-fg left no images and no CA there
	rm -rf build dist *.egg-info
	@if [ -n "$$(find config/ -type f \( -name ca.key -o -path '*/storage/*' -o -path '*/docker/registry/v2/*' \) \
		-print -quit 2>/dev/null)" ]; then echo "kept config/, it has images or a CA's key; to remove it: rm -r config"; \
	else rm -rf config; fi

start:                  ## Bring the registry up on this machine and say how to log in (systemd or not)
	@[ "$$(id -u)" = 0 ] || { echo "this installs packages and starts services: run make start as root" >&2; exit 1; }
	@$(MAKE) --no-print-directory deb
	@packaging/start $(DEB)

start-fg: need-run      ## An instance below ROOT (config/), in the foreground
	@mkdir -p $(ROOT)
	$(COMMAND) start --foreground --root $(ROOT)

test: need-run          ## A disposable instance, detached; nothing is kept
	@packaging/detached $(COMMAND) start --foreground --disposable

test-fg: need-run       ## A disposable instance in the foreground
	$(COMMAND) start --foreground --disposable

stop:                   ## Stop what start or start-fg started
	@if [ -d /run/systemd/system ] || [ ! -d $(ROOT) ]; then $(COMMAND) stop; else $(COMMAND) stop --root $(ROOT); fi

setup gencert: need-run ## Write the configuration of ROOT; issue a new certificate for it
	@mkdir -p $(ROOT)
	$(COMMAND) $@ --root $(ROOT)

htpasswd: need-run      ## Set a password below ROOT: make htpasswd USERNAME=name
	$(COMMAND) htpasswd --root $(ROOT) $(OPT) $(USERNAME)

shell: need-run         ## A shell in which secure-registry is this checkout's
	@mkdir -p build/bin && printf '#!/bin/sh\nPYTHONPATH=%s exec %s "$$@"\n' "$(CURDIR)" "$(COMMAND)" > build/bin/secure-registry
	@chmod +x build/bin/secure-registry
	PATH="$(CURDIR)/build/bin:$$PATH" $${SHELL:-bash}

check: need-test venv lint deb rpm ## The whole test suite: lint, unit, real processes, booted hosts (root)
	lintian --fail-on error,warning --info --display-info --pedantic $(DEB)
	rpmlint --config packaging/rpmlint.toml --strict $(RPM) packaging/secure-registry.spec
	SECREG_DEB=$(CURDIR)/$(DEB) SECREG_RPM=$(CURDIR)/$(RPM) $(RUN) -m pytest --numprocesses 2 --dist loadgroup tests

chaos: need-test venv deb ## 300 random edits under load, processes killed (SECREG_CHAOS_EDITS, SECREG_CHAOS_SEED)
	SECREG_CHAOS_EDITS=$${SECREG_CHAOS_EDITS:-300} SECREG_DEB=$(CURDIR)/$(DEB) \
		$(RUN) -m pytest -s tests/booted/test_chaos.py

chaos-power: need-test venv ## Power cuts: every state that is tried otherwise by lot, and more of them (SECREG_POWER_SEED)
	SECREG_POWER_STARTS=$${SECREG_POWER_STARTS:-400} SECREG_POWER_MIXES=$${SECREG_POWER_MIXES:-20} \
		$(RUN) -m pytest -s tests/power

chaos-readme: need-test venv deb ## Any two of README's set-up commands, in any order
	SECREG_ALL_RELEASES=1 SECREG_ORDERS=$${SECREG_ORDERS:-1/1} SECREG_DEB=$(CURDIR)/$(DEB) $(RUN) -m pytest -s tests/booted/test_orders.py

chaos-images: need-test venv deb ## Pushes while space is freed, 2 x 10 minutes; a million blobs (SECREG_CHAOS_SECONDS, SECREG_CHAOS_SEED)
	SECREG_CHAOS_SECONDS=$${SECREG_CHAOS_SECONDS:-600} SECREG_CHAOS_REPOSITORIES=$${SECREG_CHAOS_REPOSITORIES:-100000} \
		SECREG_DEB=$(CURDIR)/$(DEB) $(RUN) -m pytest -s tests/real/test_collecting.py tests/real/test_many_blobs.py
	SECREG_ALL_RELEASES=1 SECREG_DEB=$(CURDIR)/$(DEB) $(RUN) -m pytest tests/booted/test_gc.py tests/booted/test_manifests_service.py \
		tests/booted/test_story.py::test_a_layer_of_more_than_two_gibibytes_by_docker
	SECREG_KILL_STRIDE=1 SECREG_RACE_SECONDS=$${SECREG_RACE_SECONDS:-30} $(RUN) -m pytest -s tests/unit/images tests/power/test_collecting.py

mutants: need-lint venv ## Faults put into a copy one by one: which of them does no test see? MUTANTS=TEXT for some
	$(RUN) -m tests.mutants '$(MUTANTS)'

check-fast: lint-python lint-versions ## Lint and unit tests, as any user: needs python3 with venv
	$(call where_there_is,systemd-analyze,lint-units,systemd)
	$(call where_there_is,shellcheck,lint-scripts,shellcheck)
	$(RUN) -m pytest -q tests/unit

lint: need-lint lint-python lint-units lint-scripts lint-versions ## Style, types, units, scripts, versions

lint-python: venv
	$(RUN) -m ruff check . && $(RUN) -m ruff format --check --quiet .
	$(RUN) -m mypy

lint-scripts:
	shellcheck .ci/run packaging/start packaging/detached packaging/quiet-install packaging/debian/secure-registry.p*

lint-versions:
	@grep -qx '__version__ = "$(VERSION)"' secreg_host/__init__.py || { echo "setup.cfg and __init__.py differ in version"; exit 1; }
	@grep -q '($(VERSION))' packaging/debian/changelog || { echo "packaging/debian/changelog is not at $(VERSION)"; exit 1; }
	@grep -qx 'Version: *$(VERSION)' packaging/secure-registry.spec || { echo "packaging/secure-registry.spec is not at $(VERSION)"; exit 1; }
	@grep -q ' - $(VERSION)-1$$' packaging/secure-registry.spec || { echo "its %changelog is not at $(VERSION)"; exit 1; }
	@grep -q '^## \[\?$(VERSION)\b' CHANGELOG.md || { echo "CHANGELOG.md is not at $(VERSION)"; exit 1; }

lint-units:
	@rm -rf build/verify && mkdir -p build/verify
	@for unit in units/*; do sed 's|/usr/bin/secure-registry|/bin/true|' $$unit > build/verify/$${unit##*/}; done
	@systemd-analyze verify --man=no --recursive-errors=no build/verify/* || { echo "units/ were not found clean" >&2; exit 1; }

bench: need-bench venv deb ## Measure beside the peers and on booted hosts; rewrite bench/results and README's numbers
	$(RUN) -m bench

bench-front: need-bench venv ## The front beside its peers, and flooded, only
	$(RUN) -m bench front http2 flood

bench-hosts: need-bench venv deb ## Setup, start, reload and the watchdog on booted hosts only
	$(RUN) -m bench hosts watchdog verbs

promises:               ## What the documents promise, which tests see it, and which mutants these see
	@$(PYTHON) -B -m tests.promises

host: need-test venv deb          ## A shell on a booted host with the package installed
	$(RUN) -m tests.hosts.shell --deb $(DEB)

venv: $(VENV)/ready

# What Debian's packages have of it is taken from there; systemd is spoken to by their libraries alone.
$(VENV)/ready: setup.cfg
	@[ ! -L $(VENV) ] || { echo "$(VENV) is a link to one of another tree, which would be emptied: remove the link" >&2; exit 1; }
	$(PYTHON) -m venv --clear --system-site-packages $(VENV)
	$(PYTHON) -c 'import configparser as c; p = c.ConfigParser(); p.read("setup.cfg"); \
		print(p["options.extras_require"]["dev"], p["options"]["install_requires"])' | sed '/^pydbus/d' > $(VENV)/wanted
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $(VENV)/wanted || \
		{ echo "pip says why, above; once it gets packages (a proxy? PIP_INDEX_URL?): make venv" >&2; exit 1; }
	touch $@

need-run:
	$(call need,$(RUNTIME_PACKAGES))
need-build:
	$(call need,$(BUILD_PACKAGES))
need-rpm:
	$(call need,$(RPM_PACKAGES))
need-lint:
	$(call need,$(LINT_PACKAGES))
need-test:
	$(call need,$(TEST_PACKAGES))
need-bench:
	$(call need,$(BENCH_PACKAGES))
need-venv:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && packaging/quiet-install python3-venv; } || \
		{ echo "$(PYTHON) can make no virtual environments; as root: apt-get install python3-venv" >&2; exit 1; }
$(VENV)/ready: | need-venv
