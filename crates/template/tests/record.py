#!/usr/bin/env python3
"""Records what the real programs make of templates: record.py [--check] [text|html]

Reads recorded/text.jsonl and recorded/html.jsonl, asks promtool (alert annotations) and Prometheus (console pages), and
writes the answers back; with --check it only compares. The programs are looked for in $PROMETHEUS_PEERS, or where
shared/tools/get-peers.sh puts them. A line of text.jsonl is {"text": …, "want": …}; "want" may hold an error, as alerts show
it. A line of html.jsonl is {"page": …, "query": …, "status": …, "want": …}. The fixtures below are those of recorded.rs.
"""
import json, os, re, socket, subprocess, sys, tempfile, time, urllib.request, urllib.error

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.environ.get("PROMETHEUS_PEERS", os.path.expanduser("~/.cache/prometheus-peers/root/usr/bin"))

SERIES = [
    ('m{instance="host.example.com:9100", job="node", html="<b>&\\"quoted\\"\'", uni="é世"}', "1234567.891"),
    ('up{instance="b:80", job="x"}', "0"),
    ('up{instance="a:80", job="y"}', "1"),
    ('info{__value__="text value"}', "7"),
]
LIB = '{{ define "lib" }}<i>{{ . }}</i>{{ end }}{{ define "lib_attr" }}<a href="/x?q={{ .arg0 }}">{{ .arg1 }}</a>{{ end }}'


def load(name):
    with open(os.path.join(HERE, "recorded", name)) as f:
        return [json.loads(line) for line in f if line.strip()]


def save(name, cases):
    with open(os.path.join(HERE, "recorded", name), "w") as f:
        for case in cases:
            f.write(json.dumps(case, ensure_ascii=False) + "\n")


def unquote(text):
    """A Go string."""
    simple = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39}
    out, i, raw = bytearray(), 0, text.encode()
    while i < len(raw):
        if raw[i] != 92:
            out.append(raw[i]); i += 1; continue
        c = chr(raw[i + 1])
        if c in simple:
            out.append(simple[c]); i += 2
        else:
            size = {"x": 2, "u": 4, "U": 8}[c]
            code = int(raw[i + 2:i + 2 + size], 16)
            out += bytes([code]) if c == "x" else chr(code).encode()
            i += 2 + size
    return out.decode("utf-8", "replace")


def promtool(texts):
    with tempfile.TemporaryDirectory() as dir:
        annotations = {f"a{i:04}": text for i, text in enumerate(texts)}
        rules = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "m", "annotations": annotations}]}]}
        series = [{"series": s, "values": f"{v}x100"} for s, v in SERIES]
        test = {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [{
            "interval": "1m", "input_series": series, "external_labels": {"region": "eu", "site": "s1"},
            "external_url": "http://prom.example:9090/pre/fix",
            "alert_rule_test": [{"eval_time": "1m", "alertname": "A", "exp_alerts": []}]}]}
        for name, content in (("rules.json", rules), ("test.json", test)):
            with open(os.path.join(dir, name), "w") as f:
                json.dump(content, f)
        run = subprocess.run([os.path.join(PEERS, "promtool"), "test", "rules", "test.json"], cwd=dir, capture_output=True)
        output = run.stdout.decode() + run.stderr.decode()
    found = dict(re.findall(r'\b(a\d{4})="((?:[^"\\]|\\.)*)"', output))
    if not found:
        return None, output
    return [unquote(found.get(f"a{i:04}", "")) for i in range(len(texts))], output


def text_answers(cases):
    """Texts that cannot be parsed keep a rule from being loaded: their errors come first, then the others run."""
    answers = {}
    texts = [case["text"] for case in cases]
    left = list(range(len(texts)))
    while left:
        wants, output = promtool([texts[i] for i in left])
        if wants is not None:
            answers.update(zip(left, wants))
            break
        errors = re.findall(r'annotation "a(\d{4})": (.*)', output)
        if not errors:
            sys.exit(f"no answer: {output}")
        failed = {left[int(number)]: "PARSE " + error for number, error in errors}
        answers.update(failed)
        left = [i for i in left if i not in failed]
    return [answers[i] for i in range(len(texts))]


def page_answers(cases):
    with tempfile.TemporaryDirectory() as dir:
        for name in ("consoles", "libs", "data"):
            os.mkdir(os.path.join(dir, name))
        for i, case in enumerate(cases):
            with open(os.path.join(dir, "consoles", f"p{i}.html"), "w") as f:
                f.write(case["page"])
        with open(os.path.join(dir, "libs", "own.lib"), "w") as f:
            f.write(LIB)
        with open(os.path.join(dir, "p.yml"), "w") as f:
            f.write("global: {external_labels: {region: eu}}\n")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        server = subprocess.Popen(
            [os.path.join(PEERS, "prometheus"), "--config.file=p.yml", "--storage.tsdb.path=data",
             f"--web.listen-address=127.0.0.1:{port}", "--web.console.templates=consoles",
             "--web.console.libraries=libs", "--web.external-url=http://prom.example:9090/pre/fix",
             "--web.route-prefix=/"], cwd=dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(base + "/-/ready")
                    break
                except OSError:
                    time.sleep(0.1)
            answers = []
            for i, case in enumerate(cases):
                url = f"{base}/consoles/p{i}.html" + (f"?{case['query']}" if case.get("query") else "")
                try:
                    with urllib.request.urlopen(url) as reply:
                        body = reply.read().decode("utf-8", "replace").replace(f"p{i}.html", "p.html")
                        answers.append((reply.status, body))
                except urllib.error.HTTPError as error:
                    # The page's name differs from the fixture's: it is p.html there.
                    body = error.read().decode("utf-8", "replace").rstrip("\n").replace(f"/p{i}.html", "/p.html")
                    answers.append((error.code, body))
            return answers
        finally:
            server.terminate()
            server.wait()


def main():
    check = "--check" in sys.argv
    kinds = [arg for arg in sys.argv[1:] if not arg.startswith("-")] or ["text", "html"]
    bad = 0
    for kind in kinds:
        cases = load(kind + ".jsonl")
        answers = text_answers(cases) if kind == "text" else page_answers(cases)
        for case, answer in zip(cases, answers):
            # Addresses differ from run to run.
            address = lambda text: re.sub(r"0x[0-9a-f]{10,12}\b", "0xc…", text)
            answer = address(answer) if kind == "text" else (answer[0], address(answer[1]))
            new = {"want": answer} if kind == "text" else {"status": answer[0], "want": answer[1]}
            if any(case.get(key) != value for key, value in new.items()):
                bad += 1
                if check:
                    print(f"differs: {case!r}\n   real: {new!r}")
            case.update(new)
        print(f"{kind}: {len(cases)} cases, {bad} {'differ' if check else 'changed'}")
        if not check:
            save(kind + ".jsonl", cases)
    sys.exit(1 if check and bad else 0)


if __name__ == "__main__":
    main()
