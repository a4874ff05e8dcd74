# A server of this build to speak with: on a free port, a Unix socket and a directory of its own.

SERVER="$PWD/target/release/causet"
HOST=127.0.0.1

# Asks the kernel for nothing: a port that refuses a connection is free, and the server says so if
# somebody took it in between.
free_port() {
    local port
    for port in {17379..17479}; do
        if ! (exec 3<>"/dev/tcp/$HOST/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no free port from 17379 to 17479"
}

cli() {
    timeout 60 redis-cli -h "$HOST" -p "$PORT" "$@"
}

# Starts a server over $DATA with the given options and waits until it answers.
start_server() {
    PORT=${PORT:-$(free_port)}
    DATA=${DATA:-$(mktemp -d -p "$SCRATCH")}
    SOCKET="$DATA.sock"
    "$SERVER" --port "$PORT" --dir "$DATA" --unixsocket "$SOCKET" "$@" >>"$DATA.log" 2>&1 &
    SERVER_PID=$!
    trap 'kill_server' EXIT
    local tries
    for tries in {1..150}; do
        [[ $(cli ping 2>/dev/null) == PONG ]] && return
        kill -0 "$SERVER_PID" 2>/dev/null || break
        sleep 0.2
    done
    cat "$DATA.log" >&2
    fail "the server does not answer (asked $tries times)"
}

# As a power cut would: no time to write anything more.
kill_server() {
    kill -KILL "$SERVER_PID" 2>/dev/null || true
    wait "$SERVER_PID" 2>/dev/null || true
}

# As an operator would; the server must end well.
stop_server() {
    trap - EXIT
    kill -TERM "$SERVER_PID"
    wait "$SERVER_PID" || fail "the server ended with status $?"
}
