#!/usr/bin/env bash
# From a fresh Debian machine to a trained network. See usage() below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/console.sh
source scripts/console.sh
# shellcheck source=scripts/packages.sh
source scripts/packages.sh
# shellcheck source=scripts/examples.sh
source scripts/examples.sh

usage() {
    cat <<'TEXT'
usage: ./quickstart.sh          install, build, fetch the example, train, evaluate, predict
       ./quickstart.sh regimes  the four regimes on four data sets, three times each (an hour)
       ./quickstart.sh test     install, build, run every test
       ./quickstart.sh --help   print this

Installs missing Debian packages with apt-get (as root or through sudo), builds build/thaw, and fine-tunes an
ImageNet network on photographs of solar cells. May be run again: what is there is kept.

THAW_CACHE   where the example's files and compiled kernels are kept (default ~/.cache/thaw, 200 MB)
THAW_DEVICE  the OpenCL device: a number or a name of `build/thaw devices`, cpu or gpu
TEXT
}

experiment=configs/experiments/solar-cells.yaml
run=runs/solar-cells
thaw=build/thaw

# build DISABLED|ENABLED TARGET: a release build; its tests are switched on but never off again.
build() {
    local tests=$1 target=$2
    if [[ ! -f build/build.ninja ]]; then
        quietly build.log meson setup build --buildtype=release "-Dtests=$tests"
    elif [[ $tests == enabled ]]; then
        quietly build.log meson configure build -Dtests=enabled
    fi
    quietly build.log ninja -C build "$target"
}

# train EXPERIMENT RUN: goes on with a run that was interrupted; one that is finished is kept.
train() {
    local experiment=$1 run=$2 options=()
    if [[ -e $run/last.safetensors ]]; then
        options=(--resume)
        say "$run is there: going on with it (delete the folder to train anew)"
    elif [[ -e $run ]]; then
        options=(--overwrite) # it ended before its first checkpoint
    fi
    "$thaw" train "$experiment" "${options[@]}"
}

# Metrics on the part that training has not seen, then four cells of it, with what the experts say.
evaluate() {
    local files=() verdicts=() path verdict
    "$thaw" eval "$run"
    while IFS=, read -r path verdict; do
        files+=("$elpv/$path") verdicts+=("$verdict")
    done < <(awk -F, '$4 == "test" && $2 == 0 && a++ < 2 { print $1 ",functional" }
                      $4 == "test" && $2 == 1 && b++ < 2 { print $1 ",defective" }' "$elpv/cells.csv")
    "$thaw" predict "$run" "${files[@]}"
    say "the experts say: $(printf '%s ' "${verdicts[@]}")"
}

goodbye() {
    cat <<TEXT

The run is in $run: the resolved config, the metrics of each epoch, the weights, and freeze.json, which
proves what did not change. To go on:

  what is trained, at which rate, and what it costs
      $thaw plan $experiment
  the same with another seed, or the whole network instead of its last stages
      $thaw train $experiment --set seed=1 --set name=seed1
      $thaw train $experiment --set train.1.train=[all] --set name=whole
  a photo of your own
      $thaw predict $run PHOTO
TEXT
}

quickstart() {
    step "1/5 packages" install_packages build run
    step "2/5 build" build disabled thaw
    step "3/5 example: weights and photographs" fetch_examples
    step "4/5 training" train "$experiment" "$run"
    step "5/5 evaluation, and four predictions" evaluate
    goodbye
}

# The networks that some of the experiments start from.
pretrain() {
    local name
    for name in fashion-pretrain-8 fashion-pretrain-clothes; do
        train "configs/experiments/$name.yaml" "runs/$name"
    done
}

# A table for each data set; what an interrupted comparison has finished is kept.
compare_regimes() {
    local name
    for name in digits fashion-large-similar fashion-large-different solar-cells-regimes; do
        say "$name"
        quietly "$name.log" "$thaw" train --resume "configs/experiments/$name.yaml"
        echo
        cat "runs/$name/comparison.md"
    done
}

quickstart_regimes() {
    step "1/5 packages" install_packages build run regimes
    step "2/5 build" build disabled thaw
    step "3/5 examples: weights and pictures" fetch_regimes
    step "4/5 two networks to start from" pretrain
    step "5/5 four regimes on four data sets, with three seeds" compare_regimes
}

run_tests() {
    tests_status=0
    meson test -C build --no-rebuild --print-errorlogs | tee build/tests.log || tests_status=$?
}

# The counts of meson's summary, as the last line. What was skipped or ran out of time has failed.
count_tests() {
    awk -F: -v status="$tests_status" '
        /^(Ok|Expected Fail):/ { passed += $2 }
        /^(Fail|Unexpected Pass|Skipped|Timeout):/ { failed += $2 }
        END {
            if (failed == 0 && (status != 0 || passed == 0)) failed = 1
            printf "%d passed, %d failed\n", passed, failed
            exit (failed > 0)
        }' build/tests.log
}

quickstart_test() {
    step "1/3 packages" install_packages build test
    step "2/3 build" build enabled all
    step "3/3 tests" run_tests
    echo
    count_tests
}

if [[ $# -gt 1 ]]; then
    usage >&2
    exit 2
fi
case ${1-} in
    "") quickstart ;;
    regimes) quickstart_regimes ;;
    test) quickstart_test ;;
    --help | -h) usage ;;
    *)
        echo "quickstart.sh: unknown argument '$1'" >&2
        usage >&2
        exit 2
        ;;
esac
