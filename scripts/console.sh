# shellcheck shell=bash
# What the scripts print: steps with their times, long commands with signs of life, and their logs when they
# fail. Sourced.

say() { printf '   %s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    shift
    [[ $# -eq 0 ]] || printf '   %s\n' "$@" >&2
    exit 1
}

# step TITLE COMMAND...: runs it under a heading and prints how long it took. The command's own failure ends
# the script.
step() {
    local title=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$title"
    "$@"
    printf '   (%d s)\n' $((SECONDS - start))
}

heartbeat=

stop_heartbeat() {
    [[ -n $heartbeat ]] || return 0
    kill "$heartbeat" 2>/dev/null || true
    wait "$heartbeat" 2>/dev/null || true
    heartbeat=
}

trap stop_heartbeat EXIT
trap 'printf "\ninterrupted: run it again to go on\n" >&2; exit 130' INT
trap 'exit 143' TERM

# quietly LOG COMMAND...: output goes to build/LOG, and a dot appears every few seconds. When the command
# fails, the log's end is shown.
quietly() {
    local log=build/$1 status=0
    shift
    mkdir -p build
    (
        trap 'kill $!; exit 0' TERM
        while sleep 5 & wait $!; do printf '.'; done
    ) &
    heartbeat=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    stop_heartbeat
    [[ $status -ne 0 ]] || return 0
    echo >&2
    tail -n 40 "$log" >&2
    die "'$*' failed" "the whole log is in $log"
}
