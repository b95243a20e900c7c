#!/usr/bin/env python3
"""Runs the Python example of docs/model-format.md, and its commands that seal config.json, on the
golden models: what a reader copies from there must work.

Usage: format_example_test.py SOURCE_DIRECTORY
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1])
DOCUMENT = (ROOT / "docs/model-format.md").read_text()
MODELS = sorted((ROOT / "tests/golden/format_1").iterdir())


def block(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.M | re.S)
    return found


def main():
    assert MODELS
    for model in MODELS:
        out = subprocess.run([sys.executable, "-c", block("python"), model], check=True,
                             capture_output=True, text=True).stdout
        network = json.loads((model / "config.json").read_text())["network"]
        assert f"[{4 * network['hidden_size']}]" in re.search(r"lstm\.0\.bias.*", out)[0], out
        if network["embedding"] == "binary":
            vector = json.loads(re.search(r"^w0 (\[.*\])", out, re.M)[1])
            assert len(vector) == network["embedding_size"], out
            assert len({abs(value) for value in vector}) == 1, out
        with tempfile.TemporaryDirectory() as scratch:
            config = shutil.copy(model / "config.json", scratch)
            original = pathlib.Path(config).read_text()
            pathlib.Path(config).write_text(original.replace(
                re.search(r'config_sha256": "(.{64})', original)[1], "1" * 64))
            subprocess.run(["bash", "-ec", block("sh")], check=True, cwd=scratch)
            assert pathlib.Path(config).read_text() == original, "the sealed file differs"
    print(f"{len(MODELS)} models")


main()
