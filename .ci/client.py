"""What an application does with redis-py: python client.py HOST PORT PROTOCOL."""

import sys

import redis

host, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = redis.Redis(
    host=host, port=port, protocol=protocol, decode_responses=True, socket_timeout=20
)

client.flushall()
assert client.set("a", "1") is True
assert client.get("a") == "1"
assert client.get("missing") is None
assert client.set("a", "2", nx=True) is None
assert client.set("binary", b"\x00\xff\r\n") is True
raw = redis.Redis(host=host, port=port, protocol=protocol)
assert raw.get("binary") == b"\x00\xff\r\n"
client.delete("binary")

pipeline = client.pipeline(transaction=False)
for number in range(1000):
    pipeline.set(f"user:{number}", number)
pipeline.incr("user:999")
assert pipeline.execute() == [True] * 1000 + [1000]
assert sorted(client.scan_iter(match="user:*", count=10)) == sorted(
    f"user:{number}" for number in range(1000)
)

client.hset("hash", mapping={"f": "v", "g": "w"})
assert client.hgetall("hash") == {"f": "v", "g": "w"}
client.zadd("zset", {"one": 1, "two": 2.5})
scores = client.zrange("zset", 0, -1, withscores=True)
assert [tuple(pair) for pair in scores] == [("one", 1.0), ("two", 2.5)]
client.rpush("list", "x", "y")
assert client.lrange("list", 0, -1) == ["x", "y"]

info = client.info()
assert info["redis_version"] and info["connected_clients"] >= 1
client.client_setname("ci")
assert any(each["name"] == "ci" for each in client.client_list())
try:
    client.lpush("a", "x")
    sys.exit("LPUSH to a string was not refused")
except redis.ResponseError as error:
    assert str(error).startswith("WRONGTYPE"), error

print(f"redis-py {redis.__version__}, RESP{protocol}: all as expected")
