# `cargo run --release` starts the suite and needs nothing but Rust. Everything here is for working
# on it.

BUF = target/tools/node_modules/.bin/buf
# One profile for everything that a check builds, so that nothing is built twice.
TEST = cargo test --workspace --all-features --locked

.PHONY: run demo test lint layers contract contract-accept deploy-check bench

run: ## the suite on embedded stores, in ./assent-data
	cargo run --release

demo: ## the whole story on a generated population
	cargo run --release -- demo

test: $(BUF) ## every test; installs what they need: engines from Debian's packages, generators of clients into target/
	scripts/install-test-engines
	scripts/install-test-clients
	$(TEST)

lint: layers ## formatting, lints with warnings denied, layering
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

layers: ## who may know what (ARCHITECTURE.md)
	scripts/check-layers

contract: $(BUF) ## lint the contract and compare it with the accepted one
	cd proto && ../$(BUF) lint && ../$(BUF) breaking --against golden/contract.binpb
	cargo test -p proto --locked

contract-accept: ## accept the contract as it is now; wants a line in CHANGELOG.md
	@! git diff --quiet HEAD -- CHANGELOG.md || { echo "say in CHANGELOG.md what changed, then accept"; exit 1; }
	ASSENT_ACCEPT_CONTRACT=1 cargo test -p proto --test it compatibility

deploy-check: ## the image and the Kubernetes manifests, without an engine or a cluster (docs/deploy.md)
	scripts/check-deploy

bench: ## the measurements of docs/benchmarks.md
	cargo run --release -p bench -- empty

$(BUF):
	npm install --silent --no-fund --no-audit --prefix target/tools @bufbuild/buf@1.75.0
