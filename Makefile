# Quanyu 券雨. Everything that these targets write is in target/ and .quanyu/.

# The demo plays the campaign with its people, packs and budget divided by this number.
SCALE ?= 100

CAMPAIGN := deploy/campaigns/chengdu-2020.json
QUANYU := target/release/quanyu

.DEFAULT_GOAL := help
.PHONY: help demo serve test check bench store node openapi build clean-all

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: store build ## Play the Chengdu campaign from reservation to audit; the report goes to target/demo (SCALE=100).
	@$(QUANYU) rehearse $(CAMPAIGN) --scale $(SCALE) --report target/demo

serve: store build ## Start a fresh sandbox on this machine and print the first requests to try.
	@rm -rf .quanyu/sandbox .quanyu/sandbox.env
	@$(QUANYU) serve --sandbox --data .quanyu/sandbox --first-minute

test: store node ## Run all tests.
	cargo test --workspace --locked

bench: store build ## Measure each kind of request against a bare handler and the usual designs; the report goes to target/bench.
	@cargo build --release --locked -p loadtest --bin bench
	@target/release/bench

check: store node openapi ## Run all that CI runs: format, lints, docs, tests and a small demo.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked
	cargo test --workspace --locked
	cargo build --release --locked
	$(QUANYU) rehearse $(CAMPAIGN) --scale 2000 --report target/check-demo

store: ## Make sure that a valkey-server or redis-server is there.
	@sh deploy/install-store.sh

node: ## Look for a Node that runs the TypeScript till client, and fetch one if there is none.
	@sh deploy/pos-clients/install-node.sh

openapi: ## Make sure that the tools are there by which the tests check /openapi.json.
	@sh deploy/install-openapi-tools.sh

build: ## Build the program for use.
	cargo build --release --locked

clean-all: ## Remove all that was built or written here, the data of the sandbox included.
	cargo clean
	rm -rf .quanyu
