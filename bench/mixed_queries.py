#!/usr/bin/env python3
"""Queries of many clients while many targets are scraped: throughput, latencies, errors, missed scrapes, side by side.

    bench/mixed_queries.py NAME=SERVER ... --fleet FLEET [--clients 32] [--seconds 60] [--each] [--targets 100] [--series 1000]
                           [--interval 5] [--warm 30] [--work DIR]

Each SERVER is a `narthex` or `prometheus` binary; they run one after the other, each with a fresh folder, and the first is what
the others are compared with. FLEET is the load generator of the shared bench (`tools/bench/fleet`), which serves the targets, counts
their scrapes, and asks the queries. After --warm seconds the clients begin. With --each, one client asks each query alone as well, and
the table tells what one costs in CPU (ms), scraping taken off.
Only Python's standard library. All is on 127.0.0.1; the folders are removed at the end.
"""
import argparse, json, os, shutil, socket, subprocess, tempfile, time, urllib.parse, urllib.request

QUERIES = {
    "up": "up",
    "count": "count by (job) (up)",
    "memory": "sum by (namespace) (container_memory_working_set_bytes)",
    "rate": "sum by (instance) (rate(container_cpu_usage_seconds_total[1m]))",
    "quantile": "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))",
    "topk": "topk(5, rate(container_network_receive_bytes_total[1m]))",
    "join": "container_memory_rss / container_spec_memory_limit_bytes > 0.9",
    "raw": 'container_memory_rss{instance=~".*1"}',
    "r_cpu": "sum by (namespace) (rate(container_cpu_usage_seconds_total[1m]))",
    "r_memory": "avg by (instance) (container_memory_rss)",
}
HZ = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def path_of(name, query, now):
    if name.startswith("r_"):
        fields = {"query": query, "start": now - 60, "end": now, "step": 5}
        return "/api/v1/query_range?" + urllib.parse.urlencode(fields)
    return "/api/v1/query?" + urllib.parse.urlencode({"query": query})


def get(address, path, timeout=60):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as r:
        return json.load(r)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class Server:
    def __init__(self, binary, folder, targets, interval):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        config = os.path.join(folder, "config.yml")
        with open(config, "w") as f:
            f.write(f"global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}\n")
            f.write(f"scrape_configs:\n- job_name: fleet\n  file_sd_configs:\n  - files: [{json.dumps(targets)}]\n")
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={self.address}"]
        with open(os.path.join(folder, "log"), "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.pid = self.process.pid
        until = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=2).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)


def load(o, server, folder, clients, seconds, names):
    path, now = os.path.join(folder, "queries"), time.time()
    with open(path, "w") as f:
        for shift in range(8):
            f.writelines(path_of(n, QUERIES[n], round(now - shift, 3)) + "\n" for n in names)
    command = [o.fleet, "qload", "--addr", server.address, "--queries", path, "--clients", str(clients), "--seconds", str(seconds)]
    before = cpu_s(server.pid)
    out = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().strip().splitlines()[-1])
    out["server_cpu_s"] = cpu_s(server.pid) - before
    return out


def measure(o, binary, folder):
    targets = os.path.join(folder, "targets.json")
    command = [o.fleet, "serve", "--targets", o.targets, "--series", o.series, "--sd-file", targets, "--interval", o.interval]
    fleet = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE)
    server = None
    try:
        address = json.loads(fleet.stdout.readline())["addr"]
        server = Server(binary, folder, targets, o.interval)
        time.sleep(o.warm)
        rows = {}
        before, since = cpu_s(server.pid), time.monotonic()
        if o.each:
            time.sleep(10)
            scraping = (cpu_s(server.pid) - before) / (time.monotonic() - since)
            for name in QUERIES:
                one = load(o, server, folder, 1, 2 * o.interval, [name])
                ms = (one["server_cpu_s"] - scraping * one["wall_s"]) / max(1, one["ok"]) * 1000
                rows[f"{name}, CPU ms"] = ms
        get(address, "/stats?reset=1")
        out = load(o, server, folder, o.clients, o.seconds, QUERIES)
        stats = get(address, "/stats")
        rows.update({k: out[k] for k in ("qps", "p50_ms", "p90_ms", "p99_ms", "max_ms", "errors")})
        rows["CPU ms a query"] = out["server_cpu_s"] / max(1, out["ok"]) * 1000
        rows["missed scrapes"] = stats["missed"] + stats["errors"]
        rows["longest gap, s"] = stats["max_gap_s"]
        rows["resident, MiB"] = rss_mib(server.pid)
        return rows
    finally:
        for process in [p for p in (server and server.process, fleet) if p]:
            process.kill()
            process.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("servers", nargs="+", metavar="NAME=SERVER")
    p.add_argument("--fleet", required=True)
    p.add_argument("--each", action="store_true")
    p.add_argument("--work")
    for name, default in (("clients", 32), ("seconds", 60), ("targets", 100), ("series", 1000), ("interval", 5), ("warm", 75)):
        p.add_argument(f"--{name}", type=int, default=default)
    o = p.parse_args()
    results = {}
    for server in o.servers:
        name, binary = server.split("=", 1)
        folder = tempfile.mkdtemp(prefix=f"mixed-{name}-", dir=o.work)
        try:
            results[name] = measure(o, os.path.abspath(binary), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    first = next(iter(results))
    print(f"{'':22}" + "".join(f"{n:>12}" for n in results) + "".join(f"{n + '/' + first:>14}" for n in results if n != first))
    for key in results[first]:
        base = results[first][key]
        ratios = [f"{r[key] / base:14.2f}" if base else f"{'-':>14}" for n, r in results.items() if n != first]
        print(f"{key:22}" + "".join(f"{r[key]:12.2f}" for r in results.values()) + "".join(ratios))


if __name__ == "__main__":
    main()
