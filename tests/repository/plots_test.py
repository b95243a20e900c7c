#!/usr/bin/python3
"""Tests of tools/plot_*: on runs and models made here. What an absent package leaves untested says so.

    plots_test.py [CLASS …]     exits with 77, ctest's mark of a skipped test, when all its tests were skipped
"""

import importlib.machinery
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TOOLS = os.path.join(ROOT, "tools")
HEADER = "time,epoch,step,tokens,train_seconds,learning_rate,train_perplexity,valid_perplexity\n"
PNG = b"\x89PNG\r\n\x1a\n"


def needs(*packages):
    """Skips, naming them, where Debian's Python has not all of these."""
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    return unittest.skipIf(absent, f"not installed: {', '.join(absent)} (scripts/install-dependencies --plots)")


class PlotTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def call(self, program, *arguments, blocked=""):
        """Runs tools/`program`; modules named in `blocked` look absent."""
        start = ("import runpy, sys; sys.dont_write_bytecode = True\n"
                 f"for name in {blocked.split()!r}: sys.modules[name] = None\n"
                 f"sys.path.insert(0, {TOOLS!r}); sys.argv = sys.argv[1:]\n"
                 f"runpy.run_path({os.path.join(TOOLS, program)!r}, run_name='__main__')")
        return subprocess.run(["/usr/bin/python3", "-c", start, program, *arguments],
                              capture_output=True, text=True, cwd=self.folder.name)

    def expect_error(self, result, message, status=1):
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertIn(message, result.stderr)
        self.assertNotIn("Traceback", result.stderr)


class LogTest(PlotTest):
    """What needs no package."""

    def test_mistakes_are_named(self):
        good = "t,1,10,100,5,1,300,200\n"
        for text, message in [
            ("", "log.csv: line 1: expected time,epoch"),
            ("a,b\n", "log.csv: line 1: expected time,epoch"),
            (HEADER, "log.csv: no validation in it yet"),
            (HEADER + good + "t,1,2\n", "log.csv: line 3: 3 fields, expected 8"),
            (HEADER + "t,1,10,100,5,x,300,200\n", "log.csv: line 2: learning_rate: 'x' is not a number"),
        ]:
            with self.subTest(message=message):
                self.write("run/log.csv", text)
                self.expect_error(self.call("plot_learning_curves", "run", "-o", "x.png"), message)
        self.write("run/log.csv", HEADER + good)
        self.expect_error(self.call("plot_learning_curves", "absent", "-o", "x.png"), "absent: No such file")
        self.expect_error(self.call("plot_learning_curves", "run", "-o", "x.png", "--label", "a", "--label", "b"),
                          "2 --label for 1 runs")
        self.expect_error(self.call("plot_learning_curves", "run", "-o", "x.gif"), "x.gif: expected a name", 2)
        self.expect_error(self.call("plot_learning_curves", "run", "-o", "no/x.png"), "no: no such folder", 2)
        self.expect_error(self.call("plot_learning_curves", "run", "-o", "x.png", "--dpi", "1"), "at least 10", 2)
        self.assertFalse(os.path.exists(self.path("x.png")))

    def test_logs_of_all_tasks_are_read(self):
        for more in ("valid_accuracy", "valid_mean_abs_log_z"):
            with self.subTest(column=more):
                self.write("run/log.csv", HEADER.strip() + f",{more}\nt,1,10,100,5,1,300,200,0.1\n")
                result = self.call("plot_learning_curves", "run", "-o", "x.png", blocked="matplotlib")
                # It got as far as to draw.
                self.expect_error(result, "matplotlib is not installed")
                self.write("run/log.csv", HEADER.strip() + f",{more}\nt,1,10,100,5,1,300,200\n")
                self.expect_error(self.call("plot_learning_curves", "run", "-o", "x.png"),
                                  "log.csv: line 2: 8 fields, expected 9")

    def test_absent_packages_are_named(self):
        self.write("run/log.csv", HEADER + "t,1,10,100,5,1,300,200\n")
        self.expect_error(self.call("plot_learning_curves", "run", "-o", "x.png", blocked="matplotlib"),
                          "matplotlib is not installed; scripts/install-dependencies --plots")
        self.expect_error(self.call("plot_neighbourhood", "m", "-w", "a", "-o", "x.png", blocked="matplotlib"),
                          "matplotlib is not installed; scripts/install-dependencies --plots")

    def test_help(self):
        for program in "plot_learning_curves", "plot_neighbourhood":
            result = self.call(program, "--help")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"tools/{program} ", result.stdout)


@needs("matplotlib")
class LearningCurvesTest(PlotTest):
    def setUp(self):
        super().setUp()
        self.write("a/run/log.csv", HEADER + "t,0,0,0,0,1,0.0000,400\nt,1,10,1000000,5,1,300,210.04\nt,2,20,2000000,9,1,200,250\n")
        self.write("b/run/log.csv", HEADER + "t,0.5,9,500000,3600,1,120,110\nt,1,18,1000000,7200,1,nan,90\n")

    def draw(self, *arguments):
        result = self.call("plot_learning_curves", "a/run", "b/run", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_formats(self):
        self.draw("-o", "x.png")
        self.assertTrue(self.read("x.png").startswith(PNG))
        self.draw("-o", "x.pdf")
        self.assertTrue(self.read("x.pdf").startswith(b"%PDF"))
        self.draw("-o", "one.svg")
        self.draw("-o", "two.svg")
        self.assertIn(b"<svg", self.read("one.svg"))
        self.assertEqual(self.read("one.svg"), self.read("two.svg"), "the same data, another picture")

    def test_legend_has_names_and_best_perplexities(self):
        def comments(*arguments):  # Of texts, which the SVG draws as paths.
            self.draw("-o", "x.svg", *arguments)
            return re.findall(r"<!-- (.*?) -->", self.read("x.svg").decode())

        found = comments("--title", "Two runs")
        self.assertLessEqual({"a/run: 210.0", "b/run: 90.0", "epochs", "validation perplexity", "Two runs"}, set(found))
        found = comments("--label", "bits", "--label", "floats", "--x", "hours", "--curves", "both")
        self.assertLessEqual({"bits: 210.0", "bits, training", "floats, training", "hours of training"}, set(found))
        found = comments("--curves", "train", "--log", "--top", "500", "--x", "tokens")
        self.assertLessEqual({"a/run: 200.0", "b/run: 120.0", "million tokens"}, set(found), "nan and 0 are left out")

    def test_a_log_alone_is_a_run(self):
        result = self.call("plot_learning_curves", "a/run/log.csv", "-o", "x.png")
        self.assertEqual(result.returncode, 0, result.stderr)


@needs("numpy", "matplotlib", "sklearn")
class NeighbourhoodTest(PlotTest):
    # Columns of two bytes, the second one with two columns only.
    COLUMNS = 10
    WORDS = ["<unk>", "</s>", "father"] + [f"w{i}" for i in range(3, 20)]

    def row(self, word):
        """Signs: w<i> differs from father in i - 2 columns; <unk> and </s> in none."""
        different = max(word - 2, 0) if word - 2 <= self.COLUMNS else word - 2 - self.COLUMNS
        return [-1 if c < different else 1 for c in range(self.COLUMNS)]

    def pack(self, signs):
        value = sum(1 << c for c, sign in enumerate(signs) if sign > 0)
        return value.to_bytes(2, "little")

    def make(self, name, options, tensors):
        """A model directory of `tensors`: name -> (dtype, shape, bytes)."""
        network = {"vocabulary_size": len(self.WORDS), "embedding_size": self.COLUMNS, "head": "language_model",
                   "embedding": "float", "output_embedding": "float", **options}
        data, header = b"", {}
        for tensor, (dtype, shape, values) in tensors.items():
            header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
            data += values
        text = json.dumps(header).encode()
        blob = struct.pack("<Q", len(text)) + text + data
        self.write(f"{name}/vocab.txt", "".join(word + "\n" for word in self.WORDS))
        self.write(f"{name}/model.safetensors", blob)
        self.write(f"{name}/config.json", json.dumps({
            "network": network, "metadata": {"name": name}, "files": {"model.safetensors": {"bytes": len(blob)}}}))

    def make_all(self):
        """The same rows, scaled: float, binary, and two planes that are tied."""
        signs = [self.row(i) for i in range(len(self.WORDS))]
        shape = [len(self.WORDS), self.COLUMNS]
        floats = b"".join(struct.pack("<f", 0.5 * s) for row in signs for s in row)
        other = b"".join(struct.pack("<f", c + r) for r in range(shape[0]) for c in range(shape[1]))
        bits = b"".join(self.pack(row) for row in signs)
        self.make("float", {}, {"embedding.weight": ("F32", shape, floats),
                                "output_embedding.weight": ("F32", shape, other)})
        self.make("binary", {"embedding": "binary", "output_embedding": "binary"}, {
            "embedding.scale": ("F32", [1], struct.pack("<f", 0.5)),
            "embedding.weight": ("U8", [shape[0], 2], bits),
            "output_embedding.scale": ("F32", [1], struct.pack("<f", 0.25)),
            "output_embedding.weight": ("U8", [shape[0], 2], bits)})
        self.make("planes", {"embedding": "binary", "output_embedding": "tied"}, {
            "embedding.scale": ("F32", [2], struct.pack("<ff", 0.5, 0.0)),
            "output_embedding.scale": ("F32", [2], struct.pack("<ff", 1.0, 0.25)),
            "embedding.weight": ("U8", [2, shape[0], 2], bits + bits)})

    def read_models(self):
        sys.dont_write_bytecode = True
        sys.path.insert(0, TOOLS)
        self.addCleanup(sys.path.remove, TOOLS)
        import model_tables
        return model_tables

    def test_tables_are_effective_values(self):
        self.make_all()
        tables = self.read_models()
        for name, side, scale in [("float", "input", 0.5), ("binary", "input", 0.5), ("binary", "output", 0.25),
                                  ("planes", "input", 0.5), ("planes", "output", 1.25)]:
            with self.subTest(name=name, side=side):
                table = tables.Model(self.path(name)).table(side)
                self.assertEqual(table.tolist(), [[scale * s for s in self.row(i)] for i in range(len(self.WORDS))])
        self.assertEqual(tables.Model(self.path("float")).table("output")[3].tolist(), [3.0 + c for c in range(10)])

    def test_nearest_come_in_order_with_ties_by_id(self):
        self.make_all()
        tables = self.read_models()
        for name in "float", "binary", "planes":
            with self.subTest(name=name):
                model = tables.Model(self.path(name))
                ids, cosines = tables.nearest(model, model.table("input"), model.find("Father"), 6)
                # w3 and w13 differ from father in 1 column, w4 and w14 in 2, ….
                self.assertEqual([model.words[i] for i in ids], ["w3", "w13", "w4", "w14", "w5", "w15"])
                for cosine, expected in zip(cosines, [0.8, 0.8, 0.6, 0.6, 0.4, 0.4]):
                    self.assertAlmostEqual(cosine, expected, places=12)

    def test_the_bundled_model_reads(self):
        tables = self.read_models()
        model = tables.Model(os.path.join(ROOT, "models", "english", "1"))
        table = model.table("output")
        self.assertEqual(table.shape, (20000, 384))
        ids, cosines = tables.nearest(model, table, model.find("father"), 2)
        # As `bitlm-train neighbours --model models/english/1 --table output --word father` has it.
        self.assertEqual([model.words[i] for i in ids], ["mother", "brother"])
        self.assertAlmostEqual(cosines[0], 0.5645, places=4)

    def test_pictures(self):
        self.make_all()
        for name in "one.svg", "two.svg":
            result = self.call("plot_neighbourhood", "float", "binary", "planes", "-w", "father", "-n", "8", "-o", name,
                               "--label", "F", "--label", "B", "--label", "P")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(self.read("one.svg"), self.read("two.svg"), "the same seed, another picture")
        texts = re.findall(r"<!-- (.*?) -->", self.read("one.svg").decode())
        self.assertEqual(texts.count("father"), 3)
        self.assertEqual(texts.count("w3"), 3)
        self.assertEqual(texts.count("&lt;unk&gt;") + texts.count("<unk>"), 0)
        self.assertIn("F (cosine 0.80 to 0.20)", texts)
        self.assertIn("P (cosine 0.80 to 0.20)", texts)
        result = self.call("plot_neighbourhood", "binary", "-w", "w5", "-n", "500", "-o", "x.png", "--table", "output")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertTrue(self.read("x.png").startswith(PNG))

    def test_labels_move_apart(self):
        loader = importlib.machinery.SourceFileLoader("neighbourhood", os.path.join(TOOLS, "plot_neighbourhood"))
        self.read_models()
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("neighbourhood", loader))
        loader.exec_module(module)
        boxes = [(40 + i, 12) for i in range(6)]
        centres = module.spread(boxes, [(100 + i, 100) for i in range(6)], (300, 200))
        for i in range(6):
            for j in range(i):
                apart = (abs(centres[i][0] - centres[j][0]) - (boxes[i][0] + boxes[j][0]) / 2,
                         abs(centres[i][1] - centres[j][1]) - 12)
                self.assertGreater(max(apart), -1, (i, j, centres))

    def test_mistakes_are_named(self):
        self.make_all()
        good = ["-w", "father", "-o", "x.png"]
        self.expect_error(self.call("plot_neighbourhood", "absent", *good), "absent/config.json: No such file")
        self.expect_error(self.call("plot_neighbourhood", "float", "-w", "zebra", "-o", "x.png"),
                          'float/vocab.txt: no word "zebra" among 20')
        self.expect_error(self.call("plot_neighbourhood", "float", *good, "--count", "1"), "at least 2", 2)
        self.expect_error(self.call("plot_neighbourhood", "float", *good, "--label", "a", "--label", "b"),
                          "2 --label for 1 models")
        self.expect_error(self.call("plot_neighbourhood", "float", *good, blocked="sklearn"),
                          "sklearn is not installed; scripts/install-dependencies --plots")
        blob = self.read("float/model.safetensors")
        self.write("float/model.safetensors", blob[:-1])
        self.expect_error(self.call("plot_neighbourhood", "float", *good),
                          f"float/model.safetensors: {len(blob) - 1} bytes, expected {len(blob)}")
        self.write("binary/config.json", "{")
        self.expect_error(self.call("plot_neighbourhood", "binary", *good), "binary/config.json: ")
        self.write("planes/vocab.txt", "a\n")
        self.expect_error(self.call("plot_neighbourhood", "planes", *good), "planes/vocab.txt: 1 words, expected 20")
        self.assertFalse(os.path.exists(self.path("x.png")))


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=2).result
    if not outcome.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if outcome.testsRun == len(outcome.skipped) else 0)
