"""bitlm-server, its clients and its numbers, for the suites."""

import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

BIN = os.environ.get("BITLM_BIN", "build/release/bin")
SERVER, CLIENT, LOAD = (f"{BIN}/{name}" for name in ("bitlm-server", "bitlm", "bitlm-bench"))
MODEL, ECHO, METRICS = (f"{BIN}/bitlm-bench-{name}" for name in ("model", "echo", "metrics"))
NAME = "bllm-500"


def write_model(repository, version, seed):
    """A random bllm-500 as a version, written beside its place and moved there."""
    staging = os.path.join(repository, f".{version}.{os.getpid()}")
    subprocess.run([MODEL, "--output", staging, "--seed", str(seed)], check=True)
    os.makedirs(os.path.join(repository, NAME), exist_ok=True)
    os.rename(staging, os.path.join(repository, NAME, str(version)))


def write_sentences(path, count=2000, words=20, vocabulary=10000):
    numbers = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            file.write(" ".join(f"w{numbers.randrange(vocabulary - 2)}" for _ in range(words)) + "\n")


class Server:
    """A server on free ports, ready when the constructor returns."""

    def __init__(self, repository, *flags):
        self.folder = tempfile.TemporaryDirectory()
        ports = os.path.join(self.folder.name, "ports")
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        started = time.monotonic()
        self.process = subprocess.Popen([SERVER, "--model-repository", repository, "--grpc-port=0", "--http-port=0",
                                         "--port-file", ports, *flags], stderr=self.log)
        while not os.path.exists(ports):
            if self.process.poll() is not None:
                raise RuntimeError(f"bitlm-server ended: {self.log_text()}")
            time.sleep(0.001)
        self.start_seconds = time.monotonic() - started
        with open(ports, encoding="utf-8") as file:
            self.ports = {name: int(port) for name, port in (line.split() for line in file)}
        self.target = f"127.0.0.1:{self.ports['grpc']}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def log_text(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as file:
            return file.read()

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait()

    def http(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['http']}{path}", timeout=10) as answer:
            return answer.read().decode()

    def metrics(self):
        """Values by name with labels; series that differ only in labels are added up under the bare name."""
        values = {}
        for line in self.http("/metrics").splitlines():
            if line.startswith("#"):
                continue
            series, value = line.rsplit(" ", 1)
            values[series] = float(value)
            bare = series.split("{")[0]
            if bare != series:
                values[bare] = values.get(bare, 0) + float(value)
        return values

    def status_bytes(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.M)[1]) * 1024

    def rss(self):
        return self.status_bytes("VmRSS")


def load(target, *arguments):
    """bitlm-bench's report."""
    output = subprocess.run([LOAD, "--server", target, "--json", *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return json.loads(output.stdout)


def start_load(target, *arguments):
    return subprocess.Popen([LOAD, "--server", target, "--json", *map(str, arguments)], stdout=subprocess.PIPE)


def scores(target, sentences, *arguments):
    """The bits of the sentences' scores, as text with all digits, and the version that gave them."""
    output = subprocess.run([CLIENT, "--server", target, "score", "--format", "tsv", "--file", sentences, *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    return output.stdout


def histogram_percentile(before, after, name, p):
    """The upper bound of the bucket that holds the p-th part of what was observed between two metrics()."""
    buckets = []
    for series, value in after.items():
        match = re.fullmatch(rf'{name}_bucket\{{(?:.*,)?le="([^"]+)"\}}', series)
        if match:
            buckets.append((float(match[1].replace("+Inf", "inf")), value - before.get(series, 0)))
    buckets.sort()
    total = buckets[-1][1]
    return next(bound for bound, count in buckets if count >= p * total)
