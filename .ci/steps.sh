# Runs named steps, times them, and counts what passed, failed and was skipped.
#
# A step is a command or a function. It runs in a subshell with `set -e`, so its first failing
# command fails it, and what it changes in the shell (directory, variables) ends with it.

PASSED=0
FAILED=0
SKIPPED=0
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT

step() {
    local name=$1 started=$SECONDS status=0
    shift
    echo "=== $name"
    # Not `( ... ) || status=$?`: there bash would ignore `set -e` inside of the subshell.
    set +e
    (
        set -e
        "$@"
    ) </dev/null
    status=$?
    set -e
    if ((status == 0)); then
        PASSED=$((PASSED + 1))
        echo "--- passed in $((SECONDS - started)) s: $name"
    else
        FAILED=$((FAILED + 1))
        echo "--- FAILED in $((SECONDS - started)) s with status $status: $name"
    fi
}

skip() {
    SKIPPED=$((SKIPPED + 1))
    echo "--- skipped: $1: $2"
}

# Runs a command whose output matters only when it fails.
quietly() {
    "$@" >"$SCRATCH/quiet.log" 2>&1 </dev/null || {
        tail -n 20 "$SCRATCH/quiet.log"
        return 1
    }
}

# Says why and fails the step.
fail() {
    echo "$*" >&2
    exit 1
}

# The output of a tool must have this in it (an extended regular expression).
expect() {
    local text=$1 pattern=$2
    grep -Eq -- "$pattern" <<<"$text" || fail "expected \`$pattern\` in:"$'\n'"$text"
}

finish() {
    echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    ((FAILED == 0))
}
