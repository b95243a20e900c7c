#!/usr/bin/python3
"""The peer of `scripts/bench trainer`: the network of the preset `bllm`, trained in PyTorch, fp32 or bf16, on the CPU.

The same mathematics as bitlm-train's ([LCY18] sections 3.2 and 3.3, Algorithms 1 and 2), in the fastest form that was
found for PyTorch 1.13: the fused LSTM on effective weights, straight-through gradients taken at the binarized weights
(no autograd function in between), only the rows of the input embedding that a step uses are updated, and the softmax is
taken a part at a time, so that its rows stay in the cache (--loss-rows). With --dtype bf16 activations, effective weights
and their gradients are bfloat16; latent weights, updates and the softmax stay fp32.

    bench/trainer_peer.py --threads 1 --steps 20 --json

Text is random words: the time of a step does not depend on which words they are. Needs Debian's python3-torch.
"""

import argparse
import json
import math
import os
import time

# A machine may set this to a CPU older than its own, which halves OpenBLAS: unfair to a peer.
os.environ.pop("OPENBLAS_CORETYPE", None)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=500, help="hidden and embedding size (default %(default)s)")
    parser.add_argument("--vocabulary", type=int, default=10000, help="words (default %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="text streams (default %(default)s)")
    parser.add_argument("--bptt", type=int, default=35, help="time steps of a training step (default %(default)s)")
    parser.add_argument("--dropout", type=float, default=0.0, help="on LSTM input and output (default %(default)s)")
    parser.add_argument("--clip", type=float, default=5.0, help="gradient norm (default %(default)s)")
    parser.add_argument("--rate", type=float, default=1.0, help="learning rate of SGD (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default %(default)s)")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32", help="of products (default %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="steps not measured (default %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="steps measured (default %(default)s)")
    parser.add_argument("--loss-rows", type=int, default=2240, help="softmax rows at a time (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


ARGUMENTS = parse_arguments()
# OpenMP and the BLAS read these when they are loaded.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(ARGUMENTS.threads)

import torch  # pylint: disable=wrong-import-position
import torch.nn.functional as F  # pylint: disable=wrong-import-position


class Bllm:
    """One LSTM layer between two binary projections and two binary embeddings."""

    def __init__(self, options):
        self.options = options
        hidden, words = options.hidden, options.vocabulary
        self.alpha = math.sqrt(1.0 / hidden)  # [LCY18] equation 8
        self.dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
        # Latent weights, clamped to [-alpha, alpha].
        self.latent = {
            "embedding": self.uniform(words, hidden),            # W_e
            "output_embedding": self.uniform(words, hidden),     # W_y
            "input_projection": self.uniform(hidden, hidden),    # W_Te
            "output_projection": self.uniform(hidden, hidden),   # W_Ty
            "input": self.uniform(4 * hidden, hidden),           # W_x, gates i f g o
            "recurrent": self.uniform(4 * hidden, hidden),       # W_h
        }
        # gamma and b of Algorithm 1; one gamma per gate row, for W_x and W_h together.
        self.real = {}
        for name, rows in [("input_projection", hidden), ("output_projection", hidden), ("gates", 4 * hidden)]:
            self.real[name + ".gamma"] = torch.zeros(rows)
            self.real[name + ".bias"] = torch.zeros(rows)
        self.state = tuple(torch.zeros(1, options.batch, hidden, dtype=self.dtype) for _ in "hc")
        self.zero_bias = torch.zeros(4 * hidden, dtype=self.dtype)

    def uniform(self, rows, columns):
        return (torch.rand(rows, columns) * 2 - 1) * self.alpha

    def binarize(self, latent):
        """Equation 8 as a leaf: by equation 7 its gradient is the latent weight's."""
        return torch.where(latent > 0, self.alpha, -self.alpha).to(self.dtype).requires_grad_()

    def step(self, words, targets):
        """One training step on [T, B] words and targets; returns the mean loss, nats per word."""
        options = self.options
        used, position = torch.unique(words, return_inverse=True)
        used_latent = self.latent["embedding"][used]
        binary = {name: self.binarize(used_latent if name == "embedding" else latent)
                  for name, latent in self.latent.items()}
        real = {name: value.detach().to(self.dtype).requires_grad_() for name, value in self.real.items()}

        embedded = F.embedding(position, binary["embedding"])
        embedded = F.linear(embedded, binary["input_projection"])
        embedded = embedded * real["input_projection.gamma"].exp() + real["input_projection.bias"]
        embedded = F.dropout(embedded, options.dropout)
        scale = real["gates.gamma"].exp().unsqueeze(1)
        weights = [binary["input"] * scale, binary["recurrent"] * scale, real["gates.bias"], self.zero_bias]
        hidden, h, c = torch._VF.lstm(  # pylint: disable=protected-access
            embedded, self.state, weights, True, 1, 0.0, True, False, False)
        self.state = (h.detach(), c.detach())
        hidden = F.dropout(hidden, options.dropout).flatten(0, 1)
        z = F.linear(hidden, binary["output_projection"])
        z = z * real["output_projection.gamma"].exp() + real["output_projection.bias"]
        loss = self.backward_of_softmax(z, binary["output_embedding"], targets.flatten())
        self.update(used, used_latent, binary, real)
        return loss

    def backward_of_softmax(self, z, output_embedding, targets):
        """Cross entropy and everything behind it, --loss-rows rows at a time."""
        rows = self.options.loss_rows
        if rows >= len(targets):
            loss = F.cross_entropy(F.linear(z, output_embedding).float(), targets)
            loss.backward()
            return loss.item()
        top = z.detach().requires_grad_()
        total = 0.0
        for begin in range(0, len(targets), rows):
            logits = F.linear(top[begin:begin + rows], output_embedding).float()
            part = F.cross_entropy(logits, targets[begin:begin + rows], reduction="sum") / len(targets)
            part.backward()
            total += part.item()
        z.backward(top.grad)
        return total

    @torch.no_grad()
    def update(self, used, used_latent, binary, real):
        """SGD with the norm of all gradients clipped; Algorithm 2's clamp of the latent weights."""
        options = self.options
        norm = torch.stack([value.grad.float().norm() for value in [*binary.values(), *real.values()]]).norm().item()
        rate = options.rate * min(1.0, options.clip / (norm + 1e-6))
        for name, value in real.items():
            self.real[name].sub_(value.grad.float(), alpha=rate)
        for name, value in binary.items():
            latent = used_latent if name == "embedding" else self.latent[name]
            latent.sub_(value.grad.float(), alpha=rate).clamp_(-self.alpha, self.alpha)
        self.latent["embedding"][used] = used_latent


def main():
    options = ARGUMENTS
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = Bllm(options)
    shape = (options.bptt, options.batch)
    batches = [(torch.randint(options.vocabulary, shape), torch.randint(options.vocabulary, shape)) for _ in range(8)]
    for step in range(options.warm_up):
        model.step(*batches[step % len(batches)])
    start = time.perf_counter()
    for step in range(options.steps):
        loss = model.step(*batches[step % len(batches)])
    seconds = time.perf_counter() - start
    if not math.isfinite(loss):
        raise SystemExit("trainer_peer: the loss is not finite")
    rate = options.steps * options.bptt * options.batch / seconds
    if options.json:
        print(json.dumps({"tokens_per_second": rate, "steps": options.steps, "seconds": seconds, "loss": loss,
                          "threads": options.threads, "dtype": options.dtype, "torch": torch.__version__}))
    else:
        print(f"{rate:.0f} tokens/s, {options.threads} threads, PyTorch {torch.__version__} {options.dtype}, loss {loss:.4f}")


if __name__ == "__main__":
    main()
