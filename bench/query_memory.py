#!/usr/bin/env python3
"""How much memory queries over 100,000 series take above what the server holds when idle.

    bench/query_memory.py SERVER [--series 100000] [--data head|block] [--budget 64MiB] [--work DIR]

SERVER is a `narthex` or `prometheus` binary. The script starts it on a free port with an empty folder, pushes one hour of counters at
15 s by remote write, asks the queries below one after the other, and prints for each the highest resident memory above the
idle server (VmHWM, reset before each query), the status, and the first words of an error. With --budget (Narthex only) the
server runs with --query.max-memory-per-query, and growth should stay near it. Ends by itself after --max-seconds.
Only Python's standard library. All is on 127.0.0.1; the folder is removed at the end.
"""
import argparse, json, os, shutil, socket, struct, subprocess, sys, tempfile, time, urllib.error, urllib.parse, urllib.request

STEP_MS, SAMPLES = 15_000, 241
QUERIES = [
    "sum by (job) (rate(x[5m]))",
    "sum by (job) (x)",
    "topk(5, x)",
    "quantile(0.9, x)",
    "count_values by (job) (\"v\", x)",
    "x",
    "sort(x)",
    "rate(x[5m])",
    "max_over_time(x[1h:1m])",
    "sum(max_over_time(rate(x[5m])[1h:1m]))",
    "x * on (instance) group_left () sum by (instance) (x)",
    "x and on (instance) x > 1",
]
INSTANT = {"sort(x)", "max_over_time(x[1h:1m])", "sum(max_over_time(rate(x[5m])[1h:1m]))"}


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def labels(i):
    pairs = [("__name__", "x"), ("instance", f"node-{i // 100:04}:9100"), ("job", f"job-{i % 20}"), ("path", f"/api/v1/{i}")]
    return b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in pairs)


def samples(kind, times):
    value, out = float(kind), bytearray()
    for n, t_ms in enumerate(times):
        value += (n * 7 + kind) % 13 * 0.5
        out += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(t_ms))
    return bytes(out)


def snappy(raw):
    """Literals only: valid, not small."""
    out = bytearray(varint(len(raw)))
    for at in range(0, len(raw), 65536):
        part = raw[at:at + 65536]
        out += b"\xf4" + struct.pack("<H", len(part) - 1) + part
    return bytes(out)


def push(url, series, times):
    blobs = [samples(kind, times) for kind in range(50)]
    for at in range(0, series, 500):
        raw = b"".join(field(1, labels(i) + blobs[i % 50]) for i in range(at, min(at + 500, series)))
        head = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
        urllib.request.urlopen(urllib.request.Request(url + "/api/v1/write", snappy(raw), head), timeout=60).read()


def memory(pid, name):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit("the server is gone")


def ask(url, query, end_ms):
    """Status, bytes of the answer, the first words of an error."""
    if query in INSTANT:
        path, form = "/api/v1/query", {"query": query, "time": end_ms / 1000}
    else:
        path, form = "/api/v1/query_range", {"query": query, "start": end_ms / 1000 - 3600, "end": end_ms / 1000, "step": 15}
    try:
        answer = urllib.request.urlopen(url + path, urllib.parse.urlencode(form).encode(), timeout=120)
    except urllib.error.HTTPError as error:
        return error.code, 0, json.loads(error.read())["error"][:110]
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    return 200, size, ""


def wait(what, seconds, check):
    until = time.time() + seconds
    while time.time() < until:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"waited {seconds} s in vain for {what}")


def settle(pid):
    """Waits until the server gave back what loading took: until its memory falls no more, at most 45 s."""
    last, since = memory(pid, "VmRSS"), 0
    for _ in range(45):
        time.sleep(1)
        now = memory(pid, "VmRSS")
        last, since = (now, 0) if now < last * 0.99 else (last, since + 1)
        if since == 8:
            return


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("server")
    args.add_argument("--series", type=int, default=100_000)
    args.add_argument("--data", choices=["head", "block"], default="head")
    args.add_argument("--budget")
    args.add_argument("--only", default="")
    args.add_argument("--work")
    args.add_argument("--max-seconds", type=float, default=400)
    a = args.parse_args()
    if a.work:
        os.makedirs(a.work, exist_ok=True)
    folder = tempfile.mkdtemp(dir=a.work)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    open(f"{folder}/config.yml", "w").write("global: {scrape_interval: 1m}\n")
    command = [a.server, f"--config.file={folder}/config.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
               "--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=30d"]
    command += [f"--query.max-memory-per-query={a.budget}"] if a.budget else []
    server = subprocess.Popen(command, stdout=open(f"{folder}/log", "w"), stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        run(a, server.pid, url, folder, time.time() + a.max_seconds)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def run(a, pid, url, folder, until):
    wait("readiness", 20, lambda: urllib.request.urlopen(url + "/-/ready").status == 200)
    now_ms = int(time.time() * 1000) // STEP_MS * STEP_MS
    # The hour of a block lies inside one range of two hours.
    end_ms = now_ms if a.data == "head" else (now_ms // 7_200_000 - 2) * 7_200_000 - 600_000
    began = time.time()
    push(url, a.series, [end_ms - (SAMPLES - 1 - n) * STEP_MS for n in range(SAMPLES)])
    if a.data == "block":
        push(url, a.series, [now_ms])
        is_block = lambda: any(len(n) == 26 and os.path.exists(f"{folder}/data/{n}/meta.json") for n in os.listdir(f"{folder}/data"))
        wait("a block", 150, is_block)
    settle(pid)
    print(f"{a.server}: {a.series} series, {a.data}, {time.time() - began:.0f} s to load, budget {a.budget}", flush=True)
    print(f"{'idle MiB':>9} {'peak +MiB':>9} {'anon +MiB':>9} {'s':>6} {'answer MB':>9}  query", flush=True)
    for query in QUERIES:
        if time.time() > until:
            raise SystemExit("--max-seconds is over")
        if a.only not in query:
            continue
        time.sleep(1)
        idle, anon = memory(pid, "VmRSS"), memory(pid, "RssAnon")
        open(f"/proc/{pid}/clear_refs", "w").write("5")
        started = time.time()
        status, size, error = ask(url, query, end_ms)
        took = time.time() - started
        print(f"{idle:9.0f} {memory(pid, 'VmHWM') - idle:9.0f} {memory(pid, 'RssAnon') - anon:9.0f} {took:6.2f} {size / 1e6:9.1f}  {query}  {status if error else ''} {error}", flush=True)


main()
