"""Reads the word tables of a model directory (docs/model-format.md) with numpy."""

import json
import os

import numpy

from plot_output import PlotError


def read_file(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise PlotError(f"{path}: {error.strerror}") from None


class Model:
    """Configuration, words and tensors of a model directory."""

    def __init__(self, directory):
        self.directory = directory
        self._path = os.path.join(directory, "model.safetensors")
        try:
            config = json.loads(read_file(os.path.join(directory, "config.json")))
            self.network = config["network"]
            self.name = config["metadata"]["name"] or directory
            sizes = {name: record["bytes"] for name, record in config["files"].items()}
        except (ValueError, KeyError, TypeError) as error:
            raise PlotError(f"{directory}/config.json: {error}") from None
        self.words = read_file(os.path.join(directory, "vocab.txt")).decode("utf-8", "replace").split("\n")[:-1]
        if len(self.words) != self.network["vocabulary_size"]:
            raise PlotError(f"{directory}/vocab.txt: {len(self.words)} words, "
                            f"expected {self.network['vocabulary_size']}")
        blob = read_file(self._path)
        if len(blob) != sizes.get("model.safetensors"):
            raise PlotError(f"{self._path}: {len(blob)} bytes, expected {sizes.get('model.safetensors')}")
        length = int.from_bytes(blob[:8], "little")
        try:
            self._header = json.loads(blob[8 : 8 + length])
        except ValueError as error:
            raise PlotError(f"{self._path}: header: {error}") from None
        self._data = blob[8 + length :]

    def tensor(self, name):
        """A tensor as it is stored."""
        try:
            entry = self._header[name]
            begin, end = entry["data_offsets"]
            dtype = {"F32": "<f4", "U8": "u1", "I8": "i1"}[entry["dtype"]]
            return numpy.frombuffer(self._data[begin:end], dtype).reshape(entry["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise PlotError(f'{self._path}: tensor "{name}": {error!r}') from None

    def table(self, side):
        """The "input" or "output" table [V, E]: effective values, of a binary table sums of scale * sign."""
        if side == "output" and self.network["head"] == "classifier":
            raise PlotError(f"{self.directory}: the output table of a classifier holds classes, not words")
        separate = side == "output" and self.network["output_embedding"] != "tied"
        kind = self.network["output_embedding" if separate else "embedding"]
        weight = self.tensor("output_embedding.weight" if separate else "embedding.weight")
        if kind == "float":
            return weight.astype(numpy.float64)
        rows, columns = self.network["vocabulary_size"], self.network["embedding_size"]
        planes = weight.reshape(-1, rows, weight.shape[-1])
        scales = self.tensor("output_embedding.scale" if side == "output" else "embedding.scale")
        values = numpy.zeros((rows, columns))
        for plane, scale in zip(planes, scales.reshape(-1)):
            bits = numpy.unpackbits(plane, axis=1, count=columns, bitorder="little")
            values += float(scale) * (2.0 * bits - 1.0)
        return values

    def find(self, word):
        """The id of a word, as written or else in lower case."""
        for form in (word, word.lower()):
            if form in self.words:
                return self.words.index(form)
        raise PlotError(f'{self.directory}/vocab.txt: no word "{word}" among {len(self.words)}')


def nearest(model, table, word, count):
    """Ids and cosines of the `count` words whose rows are nearest to that of id `word`: as `bitlm-train neighbours`."""
    lengths = numpy.linalg.norm(table, axis=1)
    lengths[lengths == 0] = 1
    cosines = (table @ table[word]) / (lengths * lengths[word])
    candidates = [i for i, w in enumerate(model.words) if i != word and w not in ("<unk>", "</s>")]
    # Rounded, so that words at one distance are ties whatever the order of a sum; the sort keeps those in order of ids.
    order = numpy.argsort(-numpy.round(cosines[candidates], 10), kind="stable")[:count]
    ids = [candidates[i] for i in order]
    return ids, cosines[ids]
