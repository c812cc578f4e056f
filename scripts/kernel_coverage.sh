#!/usr/bin/env bash
# Has every CUDA kernel been run by some test? scripts/kernel_coverage.sh FILE, where FILE is what test programs wrote that
# ran with HINOKI_KERNEL_COVERAGE=FILE (tests/support/cuda_environment.cpp).
set -euo pipefail
awk '$1 == "filled" { filled[$2 " " $3] } $1 == "ran" { ran[$2 " " $3] }
  END {
    for (kernel in filled) {
      ++count
      if (!(kernel in ran)) { split(kernel, part, " "); print "no test has run the CUDA kernel " part[2]; missing = 1 }
    }
    if (!count) { print "no CUDA kernel is there at all"; exit 1 }
    if (!missing) print count " CUDA kernels, each run by a test"
    exit missing
  }' "$1"
