# Online Server Monitor. `make` lists the targets; each installs what it needs first.
# CARGO_TARGET_DIR is honoured: nothing here knows where programs are built but through $(built).

built = $${CARGO_TARGET_DIR:-target}

# One set of packages and features for all test builds, or cargo builds the shared libraries once for each. The crash points
# do nothing unless OSM_CRASH_AT asks for one; release builds do not have them.
workspace = --workspace --locked --features osm-api/crash-points,osm-agent/crash-points

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

# --- To change it ---

.PHONY: check
check: deps-run ## Formatting, clippy, the rules of the house, the OpenAPI document
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features osm-tests/systemd --locked -- -D warnings
	cargo test $(workspace) --test house

# Stories mostly wait, for Telegram's pace of a message a second or for a machine to boot: more of them side by side than there are
# cores.

.PHONY: test
test: deps-test test-programs ## Every test, on SQLite and PostgreSQL (a throwaway cluster of its own)
	RUST_TEST_THREADS=8 pg_virtualenv -t -o fsync=off -o max_connections=400 cargo test $(workspace)

.PHONY: test-systemd
test-systemd: deps-systemd deps-test test-programs ## Stories in booted Debian containers, with real systemd and polkit (root)
	RUST_TEST_THREADS=4 pg_virtualenv -t -o fsync=off cargo test $(workspace),osm-tests/systemd --test systemd

# The programs that tests start as processes: `cargo test` itself builds none of another package. With --tests, because
# without tests cargo leaves out the features that only tests need, and then would build most libraries a second time.
.PHONY: test-programs
test-programs:
	cargo build $(workspace) --tests --bin osm-api --bin osm-agent --bin osm-demo

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

.PHONY: deps-run deps-test deps-systemd
deps-run: ## Install what building needs
	@tests/scripts/need run
deps-test: ## Install what the tests need: PostgreSQL, Python
	@tests/scripts/need test
deps-systemd: ## Install what booting containers needs: debootstrap, systemd-container
	@tests/scripts/need systemd
