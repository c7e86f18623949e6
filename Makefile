# `make demo` and `make test` are all that a newcomer needs; both set everything up and do nothing twice.
CARGO_FLAGS = --release --locked
export TRAINER_REAL_DATA ?= $(CURDIR)/../shared/data

.PHONY: demo test bench book build setup check fmt clippy deny

demo: build
	target/release/trainer --plugin label_smooth.so

test: build
	OMP_NUM_THREADS=1 cargo test $(CARGO_FLAGS) --workspace

bench: build
	OMP_NUM_THREADS=1 cargo bench --profile release --locked -p trainer --bench calls --bench chain --bench decode --bench dispatch --bench load
	scripts/bench-table
	scripts/bench-loader

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
