# Black-box checks: Redis's own tools and a client library against the release build.

# What a default run of redis-benchmark measures.
BENCHMARKS=(
    PING_INLINE PING_MBULK SET GET INCR LPUSH RPUSH LPOP RPOP SADD HSET SPOP ZADD ZPOPMIN
    "LPUSH \(needed to benchmark LRANGE\)" "LRANGE_100 \(first 100 elements\)"
    "LRANGE_300 \(first 300 elements\)" "LRANGE_500 \(first 500 elements\)"
    "LRANGE_600 \(first 600 elements\)" "MSET \(10 keys\)"
)

# Runs redis-benchmark: every benchmark must print a rate, and nothing an error.
benchmark() {
    local output name
    output=$(timeout 300 redis-benchmark -q "$@" 2>&1 | tr '\r' '\n' | grep -Ev 'rps=|^ *$') || true
    echo "$output"
    if grep -Eiq 'error|warning' <<<"$output"; then
        fail "redis-benchmark $* reports an error"
    fi
    for name in "${BENCHMARKS[@]}"; do
        expect "$output" "^ *$name: [0-9.]+ requests per second"
    done
}

# 20,000 requests for each benchmark; one client without a pipeline waits for every flush, so it
# sends a tenth.
benchmark_server() {
    start_server --shards "$1"
    local transport
    for transport in "-h $HOST -p $PORT" "-s $SOCKET"; do
        # Word splitting is meant: a transport is several words.
        for load in "-n 20000" "-n 20000 -P 16" "-n 2000 -c 1"; do
            echo "redis-benchmark -q $transport $load"
            # shellcheck disable=SC2086
            benchmark $transport $load
        done
    done
    stop_server
}

benchmark_steps() {
    step "redis-benchmark, 1 shard" benchmark_server 1
    step "redis-benchmark, 2 shards" benchmark_server 2
}

redis_cli_steps() {
    step "redis-cli --pipe and --scan" check_pipe_and_scan
    step "redis-cli --latency, --stat" check_watching
    step "redis-cli --bigkeys, --memkeys" check_key_statistics
    step "redis-cli -3" check_resp3
}

check_pipe_and_scan() {
    start_server --shards 2
    local report
    report=$(seq 100000 | sed 's/.*/SET pipe:& value:&/' | cli --pipe)
    expect "$report" '^errors: 0, replies: 100000$'
    [[ $(cli dbsize) == 100000 ]] || fail "DBSIZE is $(cli dbsize), not 100000"
    [[ $(cli get pipe:77777) == value:77777 ]] || fail "pipe:77777 has the wrong value"

    # Each key once, and only those under the pattern: 5, 50..59, 500..599 and so on.
    local keys
    keys=$(cli --scan --pattern 'pipe:5*' | sort)
    [[ $(wc -l <<<"$keys") == 11111 ]] || fail "SCAN gave $(wc -l <<<"$keys") keys, not 11111"
    [[ -z $(uniq -d <<<"$keys") ]] || fail "SCAN gave a key twice"
    stop_server
}

# These two never end by themselves; `timeout` gives them two seconds.
check_watching() {
    start_server --shards 2
    local output
    output=$(timeout 2 stdbuf -oL redis-cli -h "$HOST" -p "$PORT" --latency) || true
    expect "$output" '[0-9]+ [0-9]+ [0-9.]+ [0-9]+'
    output=$(timeout 2 stdbuf -oL redis-cli -h "$HOST" -p "$PORT" --stat -i 0.2) || true
    (($(grep -Ec '^0 +[0-9.]+[KMG]' <<<"$output") >= 3)) || fail "--stat printed: $output"
    stop_server
}

check_key_statistics() {
    start_server --shards 2
    cli set text abcdef >/dev/null
    cli rpush list 1 2 3 >/dev/null
    cli sadd set 1 2 >/dev/null
    cli hset hash f 1 >/dev/null
    cli zadd zset 1 m >/dev/null
    local report kind
    report=$(cli --bigkeys)
    expect "$report" 'Sampled 5 keys'
    for kind in 'list found .*"list".* has 3 items' 'set found .*"set".* has 2 members' \
        'hash found .*"hash".* has 1 fields' 'zset found .*"zset".* has 1 members' \
        'string found .*"text".* has 6 bytes'; do
        expect "$report" "Biggest +$kind"
    done
    report=$(cli --memkeys)
    for kind in list set hash zset string; do
        expect "$report" "Biggest +$kind found .* has [1-9][0-9]* bytes"
    done
    stop_server
}

# RESP3 has types that redis-cli shows: a map (#) and a double (no quotes).
check_resp3() {
    start_server --shards 2
    cli hset hash field value >/dev/null
    cli zadd zset 1.5 member >/dev/null
    expect "$(cli -3 --no-raw hgetall hash)" '^1# "field" => "value"$'
    expect "$(cli -3 --no-raw zscore zset member)" '^\(double\) 1.5$'
    expect "$(cli -3 --no-raw hello)" '"proto" => \(integer\) 3'
    stop_server
}

redis_py_steps() {
    if ! quietly install_redis_py; then
        skip "redis-py" "pip cannot install it into a virtual environment"
    else
        step "redis-py" check_redis_py
    fi
}

install_redis_py() {
    python3 -m venv "$SCRATCH/python" || {
        apt-get -q install -y --no-install-recommends python3-venv
        /usr/bin/python3 -m venv "$SCRATCH/python"
    }
    "$SCRATCH/python/bin/pip" install --quiet redis
}

check_redis_py() {
    start_server --shards 2
    local protocol
    for protocol in 2 3; do
        "$SCRATCH/python/bin/python" .ci/client.py "$HOST" "$PORT" "$protocol"
    done
    stop_server
}

durability_steps() {
    step "kill -9 loses nothing under appendfsync always" check_kill
}

check_kill() {
    start_server --shards 2 --appendfsync always
    seq 20000 | sed 's/.*/SET key:& &/' | cli --pipe | tail -n 1
    cli incrby counter 41 >/dev/null
    cli rpush list a b c >/dev/null
    cli incr counter >/dev/null
    kill_server
    "$SERVER" log verify "$DATA" || fail "log verify finds damage after kill -9"

    start_server --shards 2 --appendfsync always
    [[ $(cli dbsize) == 20002 ]] || fail "DBSIZE is $(cli dbsize), not 20002"
    [[ $(cli get key:20000) == 20000 ]] || fail "key:20000 has the wrong value"
    [[ $(cli get counter) == 42 ]] || fail "counter has the wrong value"
    [[ $(cli lrange list 0 -1 | tr '\n' ' ') == "a b c " ]] || fail "list has the wrong elements"
    stop_server
    "$SERVER" log verify "$DATA" || fail "log verify finds damage after SIGTERM"
}
