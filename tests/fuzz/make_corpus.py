#!/usr/bin/env python3
"""Writes corpus/: one small input per idea, for each fuzz target.

Usage: tests/fuzz/make_corpus.py tests/golden/format_1/bllm
The argument is a model directory, whose config.json and vocab.txt become inputs too.
"""
import json
import pathlib
import struct
import sys

CORPUS = pathlib.Path(__file__).parent / "corpus"
GOLDEN = pathlib.Path(sys.argv[1])


def write(target, name, data):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def safetensors(header, data, length=None):
    if not isinstance(header, (bytes, str)):
        header = json.dumps(header, separators=(",", ":"))
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


# The tensors of safetensors_fuzz.cc.
FLOATS = struct.pack("<4f", 0.5, -1.0, 3.25, 0.0)
DATA = FLOATS + bytes([0xFF, 0x07, 0x00, 0x00, 0x55, 0x02]) + bytes([1, 2, 3, 253, 254, 255])
GOOD = {"floats": tensor("F32", [4], 0, 16), "bits": tensor("U8", [3, 2], 16, 22),
        "bytes": tensor("I8", [2, 3], 22, 28)}


def changed(name, **fields):
    return {**GOOD, name: {**GOOD[name], **fields}}


def write_safetensors():
    def put(name, *args, **kwargs):
        write("safetensors", name, safetensors(*args, **kwargs))

    put("good", GOOD, DATA)
    put("metadata", {"__metadata__": {"format": "pt", "\u00e9": "snow"}, **GOOD}, DATA)
    put("spaces", json.dumps(GOOD, indent=4) + "     ", DATA)
    put("empty", "", b"")
    put("no-tensors", "{}", b"")
    put("huge-length", GOOD, DATA, length=2**64 - 1)
    put("length-wraps", GOOD, DATA, length=2**64 - 8)
    put("overlap", changed("bytes", data_offsets=[16, 22]), DATA)
    put("hole", changed("bytes", data_offsets=[23, 29]), DATA + b"x")
    put("trailing", GOOD, DATA + b"x")
    put("short", GOOD, DATA[:-1])
    put("backwards", changed("bytes", data_offsets=[28, 22]), DATA)
    put("negative", changed("bytes", shape=[-2, -3]), DATA)
    put("overflow", changed("bytes", shape=[2**63, 2]), DATA)
    put("beyond-64-bits", changed("bytes", data_offsets=[22, 2**70]), DATA)
    put("float-shape", changed("floats", shape=[4.0]), DATA)
    put("wrong-dtype", changed("floats", dtype="F64"), DATA)
    put("unknown-dtype", changed("floats", dtype="F4"), DATA)
    put("unknown-tensor", {**GOOD, "more": tensor("U8", [0], 28, 28)}, DATA)
    put("missing-tensor", {k: v for k, v in GOOD.items() if k != "bits"}, DATA)
    put("repeated", json.dumps(GOOD)[:-1] + ',"floats":{}}', DATA)
    put("nested", '{"floats":' + "[" * 500 + "]" * 500 + "}", DATA)
    put("unclosed", '{"floats":{"dtype":"F3', DATA)
    put("invalid-utf8", b'{"floats\xed\xb2\x80":1}', b"")
    put("nan", GOOD, struct.pack("<f", float("nan")) + DATA[4:])
    put("infinity", GOOD, DATA[:12] + struct.pack("<f", float("-inf")) + DATA[16:])
    put("padding", GOOD, DATA[:17] + b"\x08" + DATA[18:])


def write_config_json():
    text = (GOLDEN / "config.json").read_text()
    config = json.loads(text)
    write("config_json", "good", text)
    for name, edit in {
        "newer": lambda c: c.update(format_version=2),
        "huge-network": lambda c: c["network"].update(hidden_size=65536, vocabulary_size=4194304),
        "custom": lambda c: c["network"].update(preset="custom", bit_planes=3),
        "planes": lambda c: c["network"].update(recurrent_planes=2, projection_planes=3),
        "classifier": lambda c: c["network"].update(head="classifier", classes=5),
        "no-golden": lambda c: c.update(golden=[]),
        "golden-text": lambda c: c["golden"][0].update(text="a\u0000b"),
        "unknown-key": lambda c: c.update(comment="x"),
        "wrong-types": lambda c: c.update(network=[], files=1),
    }.items():
        copy = json.loads(text)
        edit(copy)
        write("config_json", name, json.dumps(copy, indent=2))
    write("config_json", "compact", json.dumps(config))
    write("config_json", "big-number", text.replace('"layers": 1', '"layers": 1e400'))
    write("config_json", "deep", "[" * 3000)


def write_vocabulary():
    write("vocabulary", "good", (GOLDEN / "vocab.txt").read_bytes())
    write("vocabulary", "smallest", "<unk>\n</s>\n")
    write("vocabulary", "accents", "<unk>\n</s>\ncafé\n漢字\n😀\n")
    write("vocabulary", "no-newline", "<unk>\n</s>")
    write("vocabulary", "repeated", "<unk>\n</s>\na\na\n")
    write("vocabulary", "empty-word", "<unk>\n\n</s>\n")
    write("vocabulary", "carriage-return", "<unk>\r\n</s>\r\n")
    write("vocabulary", "nul", "<unk>\n\0\n</s>\n")
    write("vocabulary", "long", "<unk>\n</s>\n" + "x" * 1025 + "\n")


def write_text_normalizer():
    for name, text in {
        "sentence": "The quick brown fox — it's 3,000 years old — jumps… doesn’t it?",
        "apostrophes": "'tis o''clock ‘don’t’ dogs' x'y'z ʼ ` ´",
        "case": "ÀÞŠŸİıſẞΑΩПривет ǄǅǆⱥȺ",
        "spaces": "a\u00a0b\u2003c\u3000d\u2028e\u0085f\u200bg\ufeffh\u00adi",
        "symbols": "$5 + 50% = €7 © 😀 ☃ ½ ² № 漢字、仮名。",
        "marks": "e\u0301 a\u0308\u0323 \u0300x",
        "nul": "a\0b",
    }.items():
        write("text_normalizer", name, text)
    write("text_normalizer", "overlong", b"a \xc0\x80 b")
    write("text_normalizer", "surrogate", b"a \xed\xa0\x80 b")
    write("text_normalizer", "too-high", b"\xf4\x90\x80\x80")
    write("text_normalizer", "cut", b"caf\xc3")


def write_model_directory():
    files = [(GOLDEN / name).read_bytes() for name in ("config.json", "vocab.txt", "model.safetensors")]

    def pack(config, vocabulary, tensors):
        return struct.pack("<II", len(config), len(vocabulary)) + config + vocabulary + tensors

    write("model_directory", "good", pack(*files))
    config, vocabulary, tensors = files
    write("model_directory", "no-config", pack(b"", vocabulary, tensors))
    write("model_directory", "no-vocabulary", pack(config, b"", tensors))
    write("model_directory", "cut", pack(config, vocabulary, tensors[:-1]))
    write("model_directory", "more", pack(config, vocabulary + b"more\n", tensors))


def write_rpc_request():
    # Protocol Buffers by hand: a field is its number and wire type, and a length for strings.
    def string(number, text):
        data = text if isinstance(text, bytes) else text.encode()
        return bytes([number << 3 | 2, len(data)]) + data

    def integer(number, value):
        return bytes([number << 3, value])

    def put(rpc, name, *fields):
        write("rpc_request", name, bytes([rpc]) + b"".join(fields))

    options = string(4, integer(1, 0) + integer(3, 2) + bytes([4 << 3 | 1]) + struct.pack("<d", -3.5) + integer(5, 1))
    put(0, "score", string(1, "tiny"), integer(2, 1), string(3, "w1 w2 w3"), string(3, "w1 zebra"), string(3, ""), options)
    put(0, "score-label", string(3, "w1"), string(5, "stable"))
    put(0, "score-not-utf8", string(3, b"w1 \xff"), string(1, "other"))
    put(0, "score-self-normalized", string(3, "w1"), string(4, integer(6, 1)))
    put(0, "score-many", *[string(3, "w%d" % i) for i in range(51)])
    put(1, "next", string(3, "w1 w2"), integer(4, 5), integer(5, 1), integer(6, 0))
    put(1, "next-candidates", string(3, "w1"), string(7, "w3"), string(7, "zebra"), string(7, "</s>"), string(7, "w3"))
    put(1, "next-prefix", string(8, "w1"), integer(9, 0), string(10, "latest"))
    put(2, "describe", string(1, "other"), integer(2, 1))
    put(3, "list")
    put(4, "info")
    put(5, "load", string(1, "../tiny"), integer(2, 3))
    put(6, "log-level", string(1, "debug"))


def write_server_config():
    for name, text in {
        "flags": "--grpc-port=0\n--max-queue-tokens\n5000\n--allow-failed-models\n",
        "file": "--log-level=debug\n---\n# a comment\ngrpc-port = 1\nallow-failed-models = true\n",
        "file-quoted": "---\nmodel-repository = \"a b\"\n[section]\nx = 1\n",
        "file-list": "---\nload-models = [\"a\", \"b\"]\nmodel-control-mode = explicit\n",
        "explicit": "--model-control-mode=explicit\n--load-models=a,b\n--admin-address=::1\n",
        "print": "--print-config\n",
        "help": "--help\n",
        "tokens": "# front end\n0123456789abcdef\nfedcba9876543210==\n",
        "labels": '{"stable": 3, "canary": 12}',
        "labels-wrong": '{"latest": 3, "a/b": 0, "c": -1, "d": 1.5}',
    }.items():
        write("server_config", name, text)


write_safetensors()
write_model_directory()
write_rpc_request()
write_server_config()
write_config_json()
write_vocabulary()
write_text_normalizer()
