# `make demo` and `make test` are all that a newcomer needs; both set everything up and do nothing twice.
CARGO_FLAGS = --release --locked
export TRAINER_REAL_DATA ?= $(CURDIR)/../shared/data

BUNDLE ?= $(or $(CARGO_TARGET_DIR),target)/bundle

.PHONY: demo test bench book bundle test-cuda build setup check fmt clippy deny

demo: build
	target/release/trainer --plugin label_smooth.so

test: build
	OMP_NUM_THREADS=1 cargo test $(CARGO_FLAGS) --workspace

bench: build
	OMP_NUM_THREADS=1 cargo bench --profile release --locked -p trainer --bench calls --bench chain --bench decode --bench dispatch --bench load
	scripts/bench-table
	scripts/bench-loader

# What a machine with a GPU needs for the checks below, which take neither cargo nor network.
bundle: build
	scripts/bundle "$(BUNDLE)"

test-cuda:
	@[ -x "$(BUNDLE)/test-cuda" ] || { echo "there is no bundle in $(BUNDLE); make one with: make bundle" >&2; exit 1; }
	@"$(BUNDLE)/test-cuda"

# The pages of docs/ as a site in target/book; they read as they are, too.
book:
	@command -v mdbook >/dev/null || { echo "mdbook is missing; install it with: cargo install mdbook --version 0.5.3 --locked" >&2; exit 1; }
	mdbook build docs

build: setup
	cargo build $(CARGO_FLAGS) --workspace

setup:
	scripts/setup

check: fmt clippy deny

fmt:
	cargo fmt --all --check

clippy: setup
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

deny:
	scripts/deny
