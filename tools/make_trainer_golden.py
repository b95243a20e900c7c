#!/usr/bin/env python3
"""Makes trainer/layers/testdata/pytorch_lstm_step.json: one training step of a float LSTM language model by PyTorch.

The trainer's parity test compares its own loss and gradients with these numbers. Parameters follow a formula that both sides know, so
the file holds results only. Needs Debian's python3-torch:

    /usr/bin/python3 tools/make_trainer_golden.py > trainer/layers/testdata/pytorch_lstm_step.json
"""
import json
import math

import torch

V, E, H, B, T = 13, 5, 6, 3, 4
torch.set_default_dtype(torch.float64)


def values(seed, *shape):
    """0.5 * sin(0.7 * i + seed), row-major."""
    n = math.prod(shape)
    return torch.tensor([0.5 * math.sin(0.7 * i + seed) for i in range(n)]).reshape(shape).requires_grad_()


embedding = values(1, V, E)
weight_x = values(2, 4 * H, E)  # Gates i f g o, PyTorch's own order.
weight_h = values(3, 4 * H, H)
bias = values(4, 4 * H)
projection = values(6, E, H)  # E != H: the network joins them by an output projection, with a bias.
projection_bias = values(7, E)
output = values(5, V, E)
inputs = [[(3 * t + 5 * b) % V for b in range(B)] for t in range(T)]
targets = [[(7 * t + 2 * b + 1) % V for b in range(B)] for t in range(T)]

x = torch.nn.functional.embedding(torch.tensor(inputs), embedding)
zero = torch.zeros(1, B, H)
weights = [weight_x, weight_h, bias, torch.zeros(4 * H)]
h, _, _ = torch._VF.lstm(x, (zero, zero), weights, True, 1, 0.0, False, False, False)
z = torch.nn.functional.linear(h, projection, projection_bias)
logits = torch.nn.functional.linear(z, output)
loss = torch.nn.functional.cross_entropy(logits.reshape(-1, V), torch.tensor(targets).reshape(-1), reduction="sum")
loss.backward()
print(json.dumps({
    "torch": torch.__version__,
    "loss": loss.item(),
    "gradients": {name: [round(g, 14) for g in tensor.grad.reshape(-1).tolist()] for name, tensor in {
        "embedding": embedding, "lstm.0.weight_x": weight_x, "lstm.0.weight_h": weight_h, "lstm.0.bias": bias,
        "output_projection.weight": projection, "output_projection.bias": projection_bias, "output_embedding": output}.items()},
}, indent=0))
