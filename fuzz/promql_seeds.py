"""Writes the queries of the conformance data as corpus files: promql_seeds.py CONFORMANCE TARGET OUT_DIR."""
import hashlib
import pathlib
import re
import sys

conformance, target, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
queries = set()
for path in conformance.glob("queries/*.txt"):
    queries.update(line for line in path.read_text().splitlines() if line and line[0] not in "#%")
for path in conformance.glob("promql/*.test"):
    text = path.read_text(errors="replace")
    queries.update(re.findall(r"^\s*eval\w* instant at \S+ (.+)$", text, re.M))
    queries.update(re.findall(r"^\s*eval\w* range from \S+ to \S+ step \S+ (.+)$", text, re.M))
    if target == "promql_parse":
        queries.update(text.split("\n\n"))
# For the engine: at 100 s, a step of 20 s, 4 steps, everything switched on.
head = bytes([60, 20, 4, 0]) if target == "promql_engine" else b""
out.mkdir(parents=True, exist_ok=True)
for query in queries:
    data = head + query.encode()
    (out / hashlib.sha1(data).hexdigest()).write_bytes(data)
