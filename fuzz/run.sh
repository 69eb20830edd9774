#!/bin/sh
# Builds and runs fuzz targets with the stable toolchain: fuzz/run.sh SECONDS [TARGET...]   (default: every target in turn)
# Inputs that were worth keeping go to fuzz/corpus/TARGET, finds to fuzz/finds/TARGET; the exit status is 1 when there is one.
set -u
cd "$(dirname "$0")" || exit 2
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | grep -v '^narthex-fuzz$')
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="$coverage" cargo build --quiet --release --target "$host" || exit 2
status=0
for target in "$@"; do
  mkdir -p "corpus/$target" "finds/$target"
  seeds=""
  [ -d "seeds/$target" ] && seeds="seeds/$target"
  case $target in promql_*)
    seeds="$seeds -dict=promql.dict"
    conformance="${NARTHEX_SHARED:-../../shared}/conformance"
    [ -d "$conformance" ] && python3 promql_seeds.py "$conformance" "$target" "corpus/$target" ;;
  template)
    python3 template_seeds.py ../crates/template/tests/recorded "corpus/$target" ;;
  esac
  echo "== $target: $seconds s"
  # -rss_limit_mb: a decoder that believes a length in its input ends here. -timeout: so does one that loops.
  "${CARGO_TARGET_DIR:-target}/$host/release/$target" "corpus/$target" $seeds -max_total_time="$seconds" -max_len=65536 \
    -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=10 -artifact_prefix="finds/$target/" -print_final_stats=1 >"finds/$target.log" 2>&1 \
    || { status=1; echo "FOUND something: finds/$target.log"; }
  grep -E 'number_of_executed_units|ERROR|panicked' "finds/$target.log"
done
exit $status
