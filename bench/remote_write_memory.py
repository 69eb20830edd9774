#!/usr/bin/env python3
"""How much memory endpoints of remote write take: servers that scrape the same targets, with none, one and more of them.

    bench/remote_write_memory.py SERVER [--targets 100] [--series 1000] [--interval 5] [--seconds 60] [--endpoints 0,0,1,3] [--work DIR]

SERVER is a `narthex` or `prometheus` binary. The script serves the targets and takes the requests itself; it starts one server for
each number of endpoints, side by side, lets them run, and prints for each the resident memory of the last ten seconds (mean and
highest; anonymous, and of files), what came, and how much more memory that is than that of the first. A number that is given twice
shows how far two runs of the same differ. With --heap, the live memory by stack of each is left there as text.
Only Python's standard library. All is on 127.0.0.1; the folder is removed at the end.
"""
import argparse, http.server, os, shutil, socket, subprocess, tempfile, threading, time, urllib.request

LABELS = 'namespace="namespace-{n}",pod="pod-{pod}",container="container-{c}",path="/api/v1/resource/{path}"'


class Handler(http.server.BaseHTTPRequestHandler):
    """Targets at /metrics/N, and a receiver at /write/NAME."""

    protocol_version = "HTTP/1.1"
    lines, came, lock = [], {}, threading.Lock()

    def do_GET(self):
        target = int(self.path.rsplit("/", 1)[1])
        value = int(time.time())
        body = "".join(f"{name} {value + n}\n" for n, name in enumerate(Handler.lines[target])).encode()
        self.answer(200, body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with Handler.lock:
            Handler.came[self.path] = Handler.came.get(self.path, 0) + len(body)
        self.answer(204, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def names(target, series):
    for n in range(series):
        labels = LABELS.format(n=target % 20, pod=f"{target}-{n % 40}", c=n % 7, path=n // 10)
        yield f"metric_{n % 300}_total{{{labels},series=\"{n}\"}}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(o, work, at, count, address):
    folder = os.path.join(work, str(at))
    os.makedirs(folder)
    targets = "\n".join(
        f"- {{targets: ['{address}'], labels: {{__metrics_path__: /metrics/{n}, instance: 'node-{n}:9100'}}}}" for n in range(o.targets)
    )
    with open(os.path.join(folder, "sd.yml"), "w") as f:
        f.write(targets)
    with open(os.path.join(folder, "c.yml"), "w") as f:
        f.write(f"global: {{scrape_interval: {o.interval}s, scrape_timeout: {o.interval}s}}\n")
        f.write("scrape_configs:\n- {job_name: fleet, file_sd_configs: [{files: [sd.yml]}]}\n")
        if count:
            f.write("remote_write:\n")
        for n in range(count):
            f.write(f"- {{url: 'http://{address}/write/{at}-{n}', name: e{n}}}\n")
    listen = f"127.0.0.1:{free_port()}"
    args = [o.server, "--config.file", "c.yml", "--storage.tsdb.path", "data", "--web.listen-address", listen]
    log = open(os.path.join(folder, "log"), "wb")
    return subprocess.Popen(args, cwd=folder, stdout=log, stderr=log), listen


def memory_mib(pid):
    """All resident memory, and what of it is anonymous."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        fields = dict(line.split()[:2] for line in f if line.startswith(("Rss:", "Anonymous:")))
    return int(fields["Rss:"]) / 1024, int(fields["Anonymous:"]) / 1024


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("server")
    p.add_argument("--targets", type=int, default=100)
    p.add_argument("--series", type=int, default=1000)
    p.add_argument("--interval", type=int, default=5)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--endpoints", default="0,0,1,3")
    p.add_argument("--heap", metavar="DIR")
    p.add_argument("--work")
    o = p.parse_args()
    o.server = os.path.abspath(o.server)
    Handler.lines = [list(names(target, o.series)) for target in range(o.targets)]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = "127.0.0.1:%d" % server.server_address[1]
    work = tempfile.mkdtemp(prefix="remote-write-memory-", dir=o.work)
    counts, running = [int(count) for count in o.endpoints.split(",")], []
    try:
        for at, count in enumerate(counts):
            running.append(start(o, work, at, count, address))
        time.sleep(max(1, o.seconds - 10))
        seen = [[] for _ in counts]
        for _ in range(10):
            for (process, _), all_mib in zip(running, seen):
                all_mib.append(memory_mib(process.pid))
            time.sleep(1)
        base = sum(rss for rss, _ in seen[0]) / len(seen[0])
        for at, (count, all_mib) in enumerate(zip(counts, seen)):
            rss, anonymous = (sum(column) / len(all_mib) for column in zip(*all_mib))
            highest = max(rss for rss, _ in all_mib)
            came = sum(n for path, n in Handler.came.items() if path.startswith(f"/write/{at}-")) / 1e6
            print(
                f"{count} endpoints: RSS {rss:.1f} MiB (highest {highest:.1f}; anonymous {anonymous:.1f}, files {rss - anonymous:.1f}), "
                f"{100 * (rss / base - 1):+.1f} %; {came:.1f} MB came",
                flush=True,
            )
            if o.heap:
                urllib.request.urlretrieve(f"http://{running[at][1]}/debug/pprof/heap?debug=1", os.path.join(o.heap, f"heap-{at}-{count}.txt"))
    finally:
        for process, _ in running:
            process.terminate()
            process.wait(30)
        server.shutdown()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
