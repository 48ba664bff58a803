# Online Server Monitor. `make` lists the targets; each installs what it needs first.
# CARGO_TARGET_DIR is honoured: nothing here knows where programs are built but through $(built). Absolute, since some of the
# scripts change folders.

export CARGO_TARGET_DIR := $(shell realpath -m -- "$${CARGO_TARGET_DIR:-target}")
built = $(CARGO_TARGET_DIR)

# One set of packages and features for all test builds, or cargo builds the shared libraries once for each. The crash points
# do nothing unless OSM_CRASH_AT asks for one; release builds do not have them.
workspace = --workspace --locked --features osm-api/crash-points,osm-agent/crash-points,osm-tests/fuzz

# What people run, likewise: the names of the programs differ, the packages do not.
release = cargo build --release --locked -p osm-api -p osm-agent -p osm-tests --bin osm-api --bin osm-agent

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name what; do printf '%-14s %s\n' "$$name" "$$what"; done

# --- To try it ---

.PHONY: run
run: deps-run ## Try it: backend, agent and a chat on this machine; with OSM_TELEGRAM_TOKEN set, in real Telegram
	$(release) --bin osm-demo
	@exec "$(built)/release/osm-demo"

.PHONY: run-systemd
run-systemd: deps-systemd ## The same with the agent in a booted container: nginx and a button that restarts it (root)
	$(release) --bin osm-demo
	@exec "$(built)/release/osm-demo" --systemd

# --- To publish it ---

# TARGET=aarch64-unknown-linux-gnu builds for another architecture; the toolchain then needs `rustup target add $(TARGET)`.
TARGET ?= x86_64-unknown-linux-gnu
tools = $(built)/tools
packages = $(built)/packages
dist = $(built)/$(TARGET)/dist
host = $$(rustc -vV | sed -n 's/^host: //p')
zigbuild = PATH="$(tools)/zig/bin:$(tools)/bin:$$PATH" cargo zigbuild --locked --profile dist --target $(TARGET).2.28
with_key = debian/with-key "$(packages)/key"

.PHONY: packages
packages: deps-packages programs ## Build .deb and .rpm of agent and backend, and signed repositories of them
	mkdir -p "$(packages)"
	PATH="$(tools)/bin:$$PATH" debian/build "$(packages)" $(TARGET)
	rpm/build "$(packages)" $(TARGET)
	@$(MAKE) --no-print-directory repositories

# For so long a machine takes them; then they are signed anew, or it takes nothing from them.
DAYS ?= 90
seconds = $$(($(DAYS) * 86400))

.PHONY: repositories
repositories: deps-packages ## Sign the repositories anew, for DAYS=90 from now, with the packages that are built
	$(with_key) debian/repository "$(packages)" "$(packages)/repository/apt" $(seconds)
	$(with_key) rpm/repository "$(packages)" "$(packages)/repository/dnf" $(seconds)
	$(with_key) debian/public-key "$(packages)/repository"
	@echo "The repositories, for OSM_PACKAGES_DIR, good for $(DAYS) days: $(packages)/repository"

# What packages carry. Each program prints its own completions; for a foreign TARGET one built for this machine does.
.PHONY: programs
programs: deps-packages
	@debian/tools "$(tools)"
	$(zigbuild) -p osm-agent --bin osm-agent --config 'profile.dist.panic="abort"'
	$(zigbuild) -p osm-api --bin osm-api
	tests/scripts/released "$(dist)/osm-agent" "$(dist)/osm-api"
	@runs=$(dist); if [ $(TARGET) != "$(host)" ]; then $(release) --bin osm-demo; runs=$(built)/release; fi; \
	for program in osm-agent osm-api; do for shell in bash zsh fish; do \
		"$$runs/$$program" completions $$shell >"$(dist)/$$program.$$shell" || exit 1; \
	done; done

# --- To change it ---

.PHONY: check
check: deps-run deps-check ## Formatting, clippy, documentation, spelling, licences, shell scripts, the rules of the house and its documents
	@tests/scripts/check-tools "$(tools)"
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features osm-tests/systemd,osm-tests/fuzz --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked --quiet
	PATH="$(tools)/bin:$$PATH" cargo deny --log-level error check bans licenses sources
	PATH="$(tools)/bin:$$PATH" cargo machete --skip-target-dir
	"$(tools)/bin/typos"
	shellcheck $$(tests/scripts/shells)
	cargo test $(workspace) --test house

# Stories mostly wait, for Telegram's pace of a message a second or for a machine to boot: more of them side by side than there are
# cores.

.PHONY: test
test: deps-test test-programs ## Every test, on SQLite and PostgreSQL (a throwaway cluster of its own)
	RUST_TEST_THREADS=8 pg_virtualenv -t -o fsync=off -o max_connections=400 cargo test $(workspace)

.PHONY: test-systemd
test-systemd: deps-systemd deps-test test-programs ## Stories in booted Debian containers, with real systemd and polkit (root)
	RUST_TEST_THREADS=4 pg_virtualenv -t -o fsync=off cargo test $(workspace),osm-tests/systemd --test systemd

# Figures for README.md: what chats hear over days and of many servers, in the order in which the stories end.
.PHONY: simulation
simulation: deps-test ## What chats hear over days and of many servers at once; prints figures
	pg_virtualenv -t -o fsync=off cargo test $(workspace) --test simulation -- --nocapture | grep -E '^[^ ]+.*: |^test '

# The packages before these are the same ones with a lower version: there is no older release yet.
.PHONY: test-packages
test-packages: packages deps-systemd deps-test deps-lint test-programs ## The packages in booted Debian containers: install, act, attack, upgrade, remove (root)
	rm -rf "$(packages)/previous" && mkdir -p "$(packages)/previous"
	PATH="$(tools)/bin:$$PATH" debian/build "$(packages)/previous" $(TARGET) 0.0.9
	rpm/build "$(packages)/previous" $(TARGET) 0.0.9
	RUST_TEST_THREADS=4 cargo test $(workspace),osm-tests/systemd --test packages

# The programs that tests start as processes: `cargo test` itself builds none of another package. With --tests, because
# without tests cargo leaves out the features that only tests need, and then would build most libraries a second time.
.PHONY: test-programs
test-programs:
	cargo build $(workspace) --tests --bin osm-api --bin osm-agent --bin osm-demo

# Seconds for each target.
FUZZ = 60
fuzz_targets = $$(sed -n 's/^name = "\(.*\)"$$/\1/p' fuzz/Cargo.toml | grep -v '^osm-fuzz$$')

# Without a sanitizer: the programs are safe Rust, and the toolchain stays stable. What is found goes to fuzz/artifacts; a regression
# goes into the corpus.
.PHONY: fuzz
fuzz: deps-run deps-fuzz ## Feed every parser of what comes from outside with nonsense, a minute each
	@[ "$$(cat "$(tools)/cargo-fuzz.version" 2>/dev/null)" = 0.13.2 ] || { \
		cargo install --quiet --locked --force --root "$(tools)" cargo-fuzz@0.13.2 && echo 0.13.2 >"$(tools)/cargo-fuzz.version"; }
	@for target in $(fuzz_targets); do \
		mkdir -p "$(built)/fuzz-corpus/$$target"; \
		PATH="$(tools)/bin:$$PATH" CARGO_TARGET_DIR="$(built)/fuzz" cargo fuzz run --sanitizer none "$$target" \
			"$(built)/fuzz-corpus/$$target" "fuzz/corpus/$$target" -- -max_total_time=$(FUZZ) -timeout=10 -rss_limit_mb=2048 || exit 1; \
	done

.PHONY: nightly
nightly: ## What takes too long for each change: every parser fuzzed for a minute, the figures of the simulation
	$(MAKE) --no-print-directory fuzz
	$(MAKE) --no-print-directory simulation

.PHONY: bench
bench: deps-run ## Measure reports/s, latency and memory (release build); prints a table
	$(release) --bin osm-bench
	@exec "$(built)/release/osm-bench"

.PHONY: openapi
openapi: deps-run ## Write openapi/openapi.json anew from the code
	cargo build $(workspace) --test house --bin osm-api
	"$(built)/debug/osm-api" openapi >openapi/.openapi.json.new
	mv openapi/.openapi.json.new openapi/openapi.json

.PHONY: clean
clean: ## Remove what was built
	cargo clean

# --- What the targets need; says nothing when it is there ---

.PHONY: deps-run deps-check deps-fuzz deps-packages deps-test deps-systemd deps-lint
deps-run: ## Install what building needs
	@tests/scripts/need run
deps-check: ## Install what judges the sources: shellcheck, Python
	@tests/scripts/need check
deps-fuzz: ## Install what fuzzing needs: a C++ compiler
	@tests/scripts/need fuzz
deps-packages: ## Install what building packages needs: rpm, createrepo-c, gpg, Python
	@tests/scripts/need packages
deps-test: ## Install what the tests need: PostgreSQL, Python
	@tests/scripts/need test
deps-systemd: ## Install what booting containers needs: debootstrap, systemd-container
	@tests/scripts/need systemd
deps-lint: ## Install what judges packages: lintian
	@tests/scripts/need lint
