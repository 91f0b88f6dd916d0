# Everything is built with one profile, release, so that the dependencies compile once.

CARGO ?= cargo
RUSTFMT ?= rustfmt

# What `make bench` times: `kernels`, or for instance `make bench BENCH="step prognet --batch 8 --size 260"`.
BENCH ?= kernels

# How long `make endure` goes on, and the first of its rounds.
MINUTES ?= 10
SEED ?= 1

ifeq ($(OS),Windows_NT)
SYSTEM := Windows
else
SYSTEM := $(shell uname -s)
endif

ifeq ($(SYSTEM),Linux)
# One of Mesa's layers looks for a Wayland display, and libwayland complains on stderr where this is not set. The programs keep
# it quiet themselves (gpu::quieten_layers), the processes of tests do not.
ifeq ($(XDG_RUNTIME_DIR),)
export XDG_RUNTIME_DIR := /nonexistent
endif
endif

# Where there is MPI, all is built with it, so that its tests run and the program still compiles once.
FEATURES := $(shell sh .ci/features.sh 2>/dev/null)

.PHONY: help demo test test-build endure kernels translate bench lint format-check clippy docs build setup

help:
	@echo "make demo     draw sample covers, train on them, score, explain; everything goes to demo/"
	@echo "make test     all tests"
	@echo "make kernels  every kernel against its reference on this machine's adapter, as a table"
	@echo "make translate  every kernel in SPIR-V, HLSL and MSL, and through spirv-val and dxc where they are"
	@echo "make endure   kills, full disks and damaged files for MINUTES=10, from SEED=1"
	@echo "make bench    time single kernels; BENCH=\"step prognet\" times whole training steps"
	@echo "make lint     formatting and clippy, warnings denied"
	@echo "make docs     the documentation of all crates, warnings denied"
	@echo "make setup    on Linux without a Vulkan adapter: install Mesa's software driver"

demo: setup
	$(CARGO) run --release $(FEATURES) -- demo

test: setup
	$(CARGO) test --release --workspace $(FEATURES)

# What `make test` compiles, and nothing run.
test-build: setup
	$(CARGO) test --release --workspace $(FEATURES) --no-run

endure: setup
	$(CARGO) test --release --test endure $(FEATURES) -- --minutes $(MINUTES) --seed $(SEED)

kernels:
	$(CARGO) run --release -p kernels-tests

translate:
	GATEFOLD_TRANSLATED=$(CURDIR)/target/translated $(CARGO) test --release --workspace $(FEATURES) --test translate
	@.ci/compile-translated.sh target/translated

bench:
	$(CARGO) run --release -p bench -- $(BENCH)

lint: format-check clippy

format-check:
	$(CARGO) fmt --all --check
	@# cargo fmt does not see modules that a macro declares, as kernels-tests/src/lib.rs does.
	$(RUSTFMT) --check --edition 2024 kernels-tests/src/*.rs

# The second call is for the target that no other one runs.
clippy:
	$(CARGO) clippy --release --workspace --all-targets $(FEATURES) -- -D warnings
	$(CARGO) clippy --release --test endure $(FEATURES) -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps $(FEATURES)

build:
	$(CARGO) build --release $(FEATURES)

# macOS and Windows always have an adapter.
ifeq ($(SYSTEM),Linux)
setup: build
	@.ci/setup-vulkan.sh $(CARGO) run --release --quiet $(FEATURES) -- devices
else
setup:
endif
