#!/usr/bin/python3
"""Tests of the checks in tools/: each must fail on what it forbids; of recipes; and of the report of benchmarks."""

import importlib.machinery
import importlib.util
import json
import os
import re
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def load(name, folder="tools"):
    """Imports the program <folder>/<name>, which may have no extension."""
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(ROOT, folder, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


includes = load("check_includes")
isa = load("check_isa_objects")
repository = load("check_repository")
report = load("report.py", "bench")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class RecipeKeysTest(unittest.TestCase):
    def test_the_documentation_has_the_keys_that_the_trainer_knows(self):
        setters = re.search(r"Setters\(Recipe\* r\) \{.*?\n\}\n", read("trainer/train/recipe.cc"), re.S).group()
        known = set(re.findall(r'^      \{"([a-z0-9_.]+)",', setters, re.M))
        rows = re.findall(r"^\| (`.*?) \|", read("docs/recipe-keys.md"), re.M)
        documented = [key for row in rows for key in re.findall(r"`(.*?)`", row)]
        self.assertGreater(len(known), 60)
        self.assertEqual(sorted(documented), sorted(known))


def recipes():
    """The recipes of the tree: their texts, by name."""
    folder = os.path.join(ROOT, "trainer", "recipes")
    return {name[:-len(".recipe")]: read(os.path.join("trainer", "recipes", name))
            for name in sorted(os.listdir(folder)) if name.endswith(".recipe")}


def section(text, title):
    """The lines of a document's section, without those of the ones after it."""
    lines = text.split("\n")
    begin = lines.index(title)
    ends = (i for i in range(begin + 1, len(lines)) if lines[i].startswith("#"))
    return lines[begin:next(ends, len(lines))]


def names_figure(line, name, figure):
    """Whether a line has both the recipe `name` and the figure, each as a whole."""
    return f"`{name}`" in line and re.search(rf"(?<![\d.,]){re.escape(figure)}(?!\d|[.,]\d)", line) is not None


class RecipesTest(unittest.TestCase):
    # Their figures are in the columns of a table, whose heads leave out what all have in common.
    TABLE_5 = {"ptb-table5-bllm": "bllm", "ptb-table5-bllm-no-i": "no-i", "ptb-table5-bllm-no-o": "no-o",
               "ptb-table5-bllm-no-io": "no-io"}

    def test_runs_that_a_recipe_names_are_of_recipes(self):
        """In comments, too: with the commands that generate text."""
        names = set(recipes())
        texts = dict(recipes())
        for name in os.listdir(os.path.join(ROOT, "trainer", "recipes", "shared")):
            texts["shared/" + name] = read(os.path.join("trainer", "recipes", "shared", name))
        found = 0
        for name, text in texts.items():
            for run in re.findall(r"\bruns/([\w.-]+)/", text) + re.findall(r"^init\.run = runs/(\S+)$", text, re.M):
                with self.subTest(recipe=name, run=run):
                    self.assertIn(run, names)
                found += 1
            for run, model in re.findall(r"\bruns/([\w.-]+)/models/([\w.-]+)/1\b", text):
                with self.subTest(recipe=name, model=model):
                    self.assertEqual(run, model)
        self.assertGreater(found, 60)

    def test_expected_perplexities_are_results(self):
        results = read("docs/results.md")
        lines = results.split("\n")
        expected = {name: figure for name, text in recipes().items()
                    for figure in re.findall(r"^expected_perplexity = (\S+)$", text, re.M)}
        self.assertGreater(len(expected), 40)
        for name, figure in expected.items():
            if name in self.TABLE_5:
                continue
            with self.subTest(recipe=name, expected=figure):
                self.assertTrue(any(names_figure(line, name, figure) for line in lines))
        table = [[cell.strip() for cell in line.strip("| ").split("|")]
                 for line in section(results, "## [LCY18] Table 5: without the linear layers")
                 if line.startswith("|")]
        head = next(row for row in table if "bllm, fitted scales" in row)
        ours = next(row for row in table if row[0] == "ours, seed 1")
        for name, column in self.TABLE_5.items():
            with self.subTest(recipe=name):
                self.assertEqual(ours[head.index(column) - len(head)], expected[name])

    def test_figures_are_whole(self):
        line = "| 4,348 | **92.09** | `wikitext-2-2bit` (93.5, 1,140.78), 85.86; 7.12."
        for name, figure, named in [("wikitext-2-2bit", "92.09", True), ("wikitext-2", "92.09", False),
                                    ("wikitext-2-2bit", "2.09", False), ("wikitext-2-2bit", "92.0", False),
                                    ("wikitext-2-2bit", "140.78", False), ("wikitext-2-2bit", "85.86", True),
                                    ("wikitext-2-2bit", "7.12", True), ("wikitext-2-2bit", "4", False)]:
            with self.subTest(name=name, figure=figure):
                self.assertEqual(names_figure(line, name, figure), named)


class CheckIncludesTest(unittest.TestCase):
    def errors(self, path, *lines, pragma=True):
        included = [line.split('"')[1] for line in lines if '"' in line]
        text = ("#pragma once\n" if path.endswith(".h") and pragma else "") + "\n".join(
            f"#include {line}" for line in lines)
        return includes.check_file(path, text, set(included) | {path})

    def test_forbidden_edges(self):
        for path, included in [
            ("engine/base/file.h", "engine/model/model.h"),
            ("engine/model/model.h", "engine/kernels/variant.h"),
            ("engine/model/model.h", "engine/nn/language_model.h"),
            ("engine/kernels/variant.h", "engine/model/tensor.h"),
            ("engine/nn/cpu.h", "engine/scoring/next_word.h"),
            ("engine/scoring/next_word.h", "engine/kernels/variant.h"),
            ("engine/scoring/next_word.h", "server/server.h"),
            ("engine/base/file.h", "trainer/data/corpus.h"),
            ("engine/nn/cpu.h", "bitlm/v1/model_service.pb.h"),
            ("trainer/layers/lstm.h", "engine/nn/language_model.h"),
            ("trainer/layers/lstm.h", "server/server.h"),
            ("trainer/layers/lstm.h", "trainer/train/training_run.h"),
            ("trainer/eval/word_table.h", "trainer/layers/lstm.h"),
            ("trainer/train/training_run.cc", "trainer/eval/word_table.h"),
            ("server/server.h", "trainer/data/corpus.h"),
            ("server/server.h", "engine/kernels/variant.h"),
            ("clients/cpp/client.h", "engine/base/status.h"),
            ("clients/cli/score.h", "server/server.h"),
            ("server/server.h", "clients/cpp/client.h"),
            ("server/server.cc", "tests/support/random_model.h"),
            ("engine/nn/cpu.cc", "engine/kernels/gemv/x86_math.h"),
            ("engine/kernels/gemv/gemv.cc", "engine/kernels/testing.h"),
        ]:
            with self.subTest(path=path, included=included):
                self.assertEqual(len(self.errors(path, f'"{included}"')), 1)

    def test_allowed_edges(self):
        for path, included in [
            ("engine/model/model.h", "engine/base/file.h"),
            ("engine/nn/cpu.h", "engine/kernels/variant.h"),
            ("engine/scoring/next_word.h", "engine/nn/language_model.h"),
            ("server/service/scoring.cc", "bitlm/v1/model_service.grpc.pb.h"),
            ("server/server.cc", "engine/scoring/next_word.h"),
            ("trainer/train/training_run.cc", "engine/scoring/perplexity.h"),
            ("trainer/eval/text_evaluation.h", "engine/scoring/perplexity.h"),
            ("trainer/cli/compare_command.cc", "trainer/eval/comparison.h"),
            ("trainer/layers/lstm.h", "engine/model/tensor.h"),
            ("clients/cpp/client.cc", "bitlm/v1/model_service.pb.h"),
            ("engine/nn/cpu_test.cc", "tests/support/random_model.h"),
            ("engine/kernels/gemv/gemv_test.cc", "engine/kernels/testing.h"),
            ("tests/integration/end_to_end_test.cc", "server/server.h"),
            ("engine/kernels/gemv/x86_avx512.cc", "engine/kernels/gemv/x86_math.h"),
        ]:
            with self.subTest(path=path, included=included):
                self.assertEqual(self.errors(path, f'"{included}"'), [])

    def test_system_headers(self):
        for path, included, allowed in [
            ("server/service/a.cc", "grpcpp/grpcpp.h", True),
            ("server/server.cc", "grpcpp/grpcpp.h", True),
            ("clients/cpp/a.cc", "grpcpp/grpcpp.h", True),
            ("server/batching/a.cc", "grpcpp/grpcpp.h", False),
            ("engine/base/a.cc", "grpcpp/grpcpp.h", False),
            ("server/metrics/a.cc", "prometheus/registry.h", True),
            ("server/service/a.cc", "prometheus/registry.h", False),
            ("engine/kernels/gemv/x86_avx2.cc", "immintrin.h", True),
            ("engine/kernels/gemv/portable.cc", "immintrin.h", False),
            ("engine/base/cpu_features.cc", "x86intrin.h", False),
            ("engine/kernels/gemv/arm_neon.cc", "arm_neon.h", True),
            ("engine/kernels/simd/arm_neon_inl.h", "arm_neon.h", True),
            ("engine/kernels/gemv/gemv.cc", "arm_neon.h", False),
            ("engine/kernels/gemv/vector_inl.h", "arm_neon.h", False),
            ("engine/kernels/gemv/arm_math.h", "arm_neon.h", False),
            ("engine/kernels/gemv/x86_avx2.cc", "arm_neon.h", False),
            ("engine/kernels/gemv/arm_neon.cc", "immintrin.h", False),
            ("engine/base/cpu_features.cc", "arm_acle.h", False),
            ("engine/nn/cuda_model.cc", "cuda_runtime.h", True),
            ("engine/kernels/gemv/cuda.cu", "cuda_runtime.h", True),
            ("engine/nn/cpu_model.cc", "cuda_runtime.h", False),
            ("trainer/tensor/a.cc", "dnnl.hpp", True),
            ("engine/nn/a.cc", "oneapi/dnnl/dnnl.hpp", False),
            ("engine/nn/a_test.cc", "gtest/gtest.h", True),
            ("engine/nn/a.cc", "gtest/gtest.h", False),
            ("engine/nn/testing.h", "gtest/gtest.h", True),
            ("engine/base/mutex.h", "absl/synchronization/mutex.h", False),
        ]:
            with self.subTest(path=path, included=included):
                self.assertEqual(len(self.errors(path, f"<{included}>")), 0 if allowed else 1)

    def test_form(self):
        self.assertIn("no #pragma once", self.errors("engine/base/a.h", pragma=False))
        self.assertEqual(len(self.errors("engine/base/a.cc", '"b.h"')), 1)
        self.assertEqual(len(self.errors("engine/base/a.cc", '"../base/b.h"')), 1)
        self.assertEqual(len(self.errors("engine/base/a.cc", "<vector>", '"engine/base/a.h"')), 1)
        self.assertEqual(len(self.errors("engine/base/a_test.cc", "<vector>", '"engine/base/a.h"')), 1)
        self.assertEqual(self.errors("engine/base/a.cc", '"engine/base/a.h"', "<vector>"), [])
        self.assertEqual(len(includes.check_file("engine/base/a.cc", '#include "engine/base/gone.h"', set())), 1)

    def test_cycles(self):
        self.assertEqual(includes.find_cycle({"a": ["b"], "b": ["c"], "c": ["a"]}), ["a", "b", "c", "a"])
        self.assertIsNone(includes.find_cycle({"a": ["b", "c"], "b": ["c"], "c": []}))


class CheckIsaObjectsTest(unittest.TestCase):
    def test_finds_weak_definitions_only(self):
        nm = ("0000000000000000 W std::max<int>(int, int)\n0000000000000010 T bitlm::avx512::Run()\n"
              "                 U memcpy\n                 w __gmon_start__\n0000000000000000 V vtable for A\n")
        self.assertEqual(isa.weak_definitions(nm), ["std::max<int>(int, int)", "vtable for A"])

    def test_isa_flags_only_on_isa_sources(self):
        entry = {"directory": "/", "file": "/a/portable.cc", "command": "g++ -mavx512f -c /a/portable.cc -o a.o"}
        self.assertEqual(len(isa.check_entry(entry)[1]), 1)
        entry["command"] = "g++ -O3 -c /a/portable.cc -o a.o"
        self.assertEqual(isa.check_entry(entry), (False, []))

    def test_missing_object_is_an_error(self):
        entry = {"directory": "/nowhere", "file": "/a/x86_avx2.cc", "command": "g++ -mavx2 -c /a/x86_avx2.cc -o a.o"}
        is_isa, errors = isa.check_entry(entry)
        self.assertTrue(is_isa)
        self.assertIn("not built", errors[0])


    def test_checking_nothing_is_an_error(self):
        self.assertEqual(isa.summarize([(True, []), (False, [])], "x86_64"), (1, []))
        self.assertEqual(isa.summarize([(False, [])], "riscv64"), (0, []))
        for machine in "x86_64", "aarch64":
            self.assertEqual(len(isa.summarize([(False, [])], machine)[1]), 1)


class CheckRepositoryTest(unittest.TestCase):
    def test_text(self):
        for path, text in [
            ("a.md", "no newline"),
            ("a.md", "blank \n"),
            ("a.md", "dos\r\n"),
            ("engine/a.cc", "x\n" * 501),
            ("a.md", "see /" + "home/someone/file\n"),
            ("engine/a.cc", "// TO" + "DO: later\n"),
        ]:
            with self.subTest(text=text[:20]):
                self.assertEqual(len(repository.check_text(path, text)), 1)
        for path, text in [
            ("a.md", "fine\n"),
            ("engine/a.cc", "// TO" + "DO(#12): later\n"),
            ("models/english/1/vocab.txt", "a \n"),
            ("a.md", "https://example.com/" + "home/page\n"),
        ]:
            with self.subTest(text=text[:20]):
                self.assertEqual(repository.check_text(path, text), [])

    def test_links(self):
        self.assertEqual(len(repository.check_links("README.md", "[a](nowhere.md)", ROOT)), 1)
        self.assertEqual(repository.check_links("README.md", "[a](LICENSE) [b](https://example.com)", ROOT), [])


class DeployTest(unittest.TestCase):
    def test_one_image_tag(self):
        def read(path):
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                return file.read()

        version = re.search(r"project\(\w+\s+VERSION ([0-9.]+)", read("CMakeLists.txt")).group(1)
        for path in ["docker/Dockerfile", "deploy/compose/docker-compose.yml", "deploy/kubernetes/kustomization.yaml"]:
            tags = re.findall(r"bitlm:([\w.]+)|newTag: \"(.*)\"", read(path))
            with self.subTest(path=path):
                self.assertEqual({tag for pair in tags for tag in pair if tag}, {version})

    def test_alerts_name_metrics_that_exist(self):
        with open(os.path.join(ROOT, "deploy/prometheus/alerts.yml"), encoding="utf-8") as file:
            used = set(re.findall(r"\bbitlm_\w+", file.read()))
        with open(os.path.join(ROOT, "server/metrics/server_metrics.cc"), encoding="utf-8") as file:
            known = set(re.findall(r'"(bitlm_\w+)"', file.read()))
        self.assertTrue(used)
        self.assertEqual({re.sub(r"_bucket$", "", name) for name in used} - known, set())


class BenchReportTest(unittest.TestCase):
    ROW = {"id": "cpu.3", "what": "a | b", "value": 0.5, "unit": "ratio", "peer": 1, "target": None, "command": "x"}

    def test_rows_are_checked(self):
        self.assertEqual(report.parse_row(json.dumps(self.ROW), "cpu"), self.ROW)
        for change in [{"id": "gpu.3"}, {"value": "0.5"}, {"more": 1}]:
            with self.subTest(change=change), self.assertRaises(ValueError):
                report.parse_row(json.dumps({**self.ROW, **change}), "cpu")
        for line in ["[]", "{", json.dumps({"id": "cpu.3"})]:
            with self.subTest(line=line), self.assertRaises(ValueError):
                report.parse_row(line, "cpu")

    def test_a_suite_replaces_its_own_section_only(self):
        text = report.with_section("# Title\n\nhead\n", "cpu", "## cpu\n\nold\n")
        text = report.with_section(text, "trainer", "## trainer\n\nrows\n")
        self.assertEqual(report.with_section(text, "cpu", "## cpu\n\nnew\n"),
                         "# Title\n\nhead\n\n## cpu\n\nnew\n\n## trainer\n\nrows\n")

    def test_a_section_has_a_line_for_each_row_and_says_where_it_was_measured(self):
        text = report.section("cpu", [self.ROW, {**self.ROW, "id": "cpu.4", "value": 12345.0, "target": 2}])
        self.assertIn("| cpu.3 | a \\| b | 0.5 | ratio | - | `x` |\n", text)
        self.assertIn("| cpu.4 | a \\| b | 12,345 | ratio | 2 | `x` |\n", text)
        self.assertRegex(text, r"^## cpu\n\n`./scripts/bench cpu` at ([0-9a-f]{7}(-dirty)?|unknown) on: .* cores; ")


if __name__ == "__main__":
    unittest.main()
