#!/usr/bin/python3
"""The peer of rows 7 to 9 of `scripts/bench cpu`: the network of the preset `bllm` in PyTorch, on one thread.

    bench/scoring_peer.py --lists FILE --type fp32 --seconds 2

FILE as for bitlm-bench-scoring. The weights of a bllm are ordinary matrices here; a list of sentences is one padded batch,
sorted by length, and the softmax is taken of the words that are there. With --next the ten most probable words after each
line, one line at a time. --type: fp32, bf16 or int8 (dynamic quantization). Prints one JSON object.
"""

import argparse
import json
import os
import time

# A machine may set this to a CPU older than its own, which halves OpenBLAS: unfair to a peer.
os.environ.pop("OPENBLAS_CORETYPE", None)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", required=True)
    parser.add_argument("--next", action="store_true")
    parser.add_argument("--type", choices=["fp32", "bf16", "int8"], default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--vocabulary", type=int, default=10000)
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=2)
    return parser.parse_args()


ARGUMENTS = parse_arguments()
# OpenMP and the BLAS read these when they are loaded.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(ARGUMENTS.threads)

import torch  # pylint: disable=wrong-import-position

END_OF_SENTENCE = 1


class Bllm(torch.nn.Module):
    """[LCY18] section 3.3 on effective weights: embedding, linear, LSTM, linear, output table."""

    def __init__(self, words, hidden):
        super().__init__()
        self.embedding = torch.nn.Embedding(words, hidden)
        self.before = torch.nn.Linear(hidden, hidden)
        self.lstm = torch.nn.LSTM(hidden, hidden, batch_first=True)
        self.after = torch.nn.Linear(hidden, hidden)
        self.output = torch.nn.Linear(hidden, words, bias=False)

    def hidden(self, words):
        return self.lstm(self.before(self.embedding(words)))[0]

    def logits(self, hidden):
        return self.output(self.after(hidden))


def read_lists(path):
    lists = [[]]
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                lists[-1].append([int(word) for word in line.split()])
            else:
                lists.append([])
    return [sentences for sentences in lists if sentences]


def as_batch(sentences):
    """Inputs [B, T], and the targets and positions of the words that are there."""
    sentences = sorted(sentences, key=len, reverse=True)
    steps = len(sentences[0]) + 1
    inputs = torch.full((len(sentences), steps), END_OF_SENTENCE)
    rows, targets = [], []
    for b, sentence in enumerate(sentences):
        inputs[b, 1:len(sentence) + 1] = torch.tensor(sentence)
        rows += range(b * steps, b * steps + len(sentence) + 1)
        targets += sentence + [END_OF_SENTENCE]
    return inputs, torch.tensor(rows), torch.tensor(targets)


def score(model, batch):
    inputs, rows, targets = batch
    hidden = model.hidden(inputs)
    hidden = hidden.reshape(-1, hidden.shape[-1])[rows]
    done = 0
    for part, wanted in zip(hidden.split(512), targets.split(512)):  # Rows whose logits stay in a cache.
        model.logits(part).float().log_softmax(1).gather(1, wanted[:, None])
        done += len(wanted)
    return done


def predict_next(model, contexts):
    for context in contexts:
        hidden = model.hidden(torch.tensor([[END_OF_SENTENCE] + context]))
        model.logits(hidden[:, -1]).float().log_softmax(1).topk(10)
    return len(contexts)


def main():
    torch.set_num_threads(ARGUMENTS.threads)
    torch.manual_seed(1)
    model = Bllm(ARGUMENTS.vocabulary, ARGUMENTS.hidden).eval()
    if ARGUMENTS.type == "bf16":
        model = model.to(torch.bfloat16)
    elif ARGUMENTS.type == "int8":
        model = torch.quantization.quantize_dynamic(model, {torch.nn.Linear, torch.nn.LSTM}, torch.qint8)
    lists = read_lists(ARGUMENTS.lists)
    work = [(predict_next, sentences) if ARGUMENTS.next else (score, as_batch(sentences)) for sentences in lists]
    with torch.inference_mode():
        work[0][0](model, work[0][1])
        tokens = 0
        start = time.perf_counter()
        elapsed = 0
        while elapsed < ARGUMENTS.seconds:
            for run, argument in work:
                tokens += run(model, argument)
                elapsed = time.perf_counter() - start
                if elapsed >= ARGUMENTS.seconds:
                    break
    print(json.dumps({"tokens": tokens, "seconds": elapsed}))


if __name__ == "__main__":
    main()
