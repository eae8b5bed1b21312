"""Freezes ten training steps of three small models: initial weights, batches and PyTorch's losses (float32 and float64).

Run with any PyTorch (the files in the tree come from 1.13.1 on the CPU):  python3 test/frozen/make_steps.py
Writes steps_<model>.safetensors (weights under PyTorch's names, batches as batch.x and batch.y, both with a leading step dim)
and steps_<model>.json (losses). Inputs lie in [-1, 1): in [0, 1) a rounding at a relu's kink makes even float32 PyTorch drift
by 2e-3 from float64.
"""
import json
import os
import struct

import torch
from torch import nn
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = 10
torch.set_num_threads(1)


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).split(d, 2)
        q, k, v = (z.view(b, t, self.heads, d // self.heads).transpose(1, 2) for z in (q, k, v))
        scores = q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5
        scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.proj((torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(b, t, d))


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.ln1 = nn.LayerNorm(d)
        self.attn = Attention(d, heads)
        self.ln2 = nn.LayerNorm(d)
        self.fc1 = nn.Linear(d, 4 * d)
        self.fc2 = nn.Linear(4 * d, d)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self, vocabulary=31, d=32, heads=4, length=12, layers=2):
        super().__init__()
        self.tok = nn.Embedding(vocabulary, d)
        self.pos = nn.Embedding(length, d)
        self.blocks = nn.ModuleList([Block(d, heads) for _ in range(layers)])
        self.ln = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocabulary, bias=False)

    def forward(self, index):
        x = self.tok(index) + self.pos(torch.arange(index.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


def mlp():
    model = nn.Sequential(nn.Linear(49, 64), nn.ReLU(), nn.Linear(64, 33), nn.Tanh(), nn.Linear(33, 10))
    x = torch.rand(STEPS, 32, 49) * 2 - 1
    return model, x, torch.randint(0, 10, (STEPS, 32)), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)


def cnn():
    model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 5, padding=2), nn.ReLU(),
                          nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 3 * 3, 10))
    x = torch.rand(STEPS, 16, 1, 12, 12) * 2 - 1
    return model, x, torch.randint(0, 10, (STEPS, 16)), lambda p: torch.optim.Adam(p, lr=2e-3)


def transformer():
    tokens = torch.randint(0, 31, (STEPS, 8, 13))
    return Transformer(), tokens[:, :, :-1], tokens[:, :, 1:], lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1)


def losses(model, xs, ys, make_optimizer, dtype):
    model = model.to(dtype)
    optimizer = make_optimizer(model.parameters())
    result = []
    for x, y in zip(xs, ys):
        optimizer.zero_grad()
        out = model(x.to(dtype) if x.is_floating_point() else x)
        loss = F.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return result


def save_safetensors(path, tensors):
    header, body = {}, b""
    for name in sorted(tensors):
        t = tensors[name].contiguous()
        t = t.to(torch.int32) if t.dtype == torch.int64 else t
        raw = t.numpy().tobytes()
        header[name] = {"dtype": {torch.float32: "F32", torch.int32: "I32"}[t.dtype], "shape": list(t.shape),
                        "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


for make in (mlp, cnn, transformer):
    torch.manual_seed(5)
    model, xs, ys, make_optimizer = make()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    name = "steps_" + make.__name__
    save_safetensors(os.path.join(HERE, name + ".safetensors"), {**weights, "batch.x": xs, "batch.y": ys})
    single = losses(model, xs, ys, make_optimizer, torch.float32)
    model.load_state_dict(weights)
    double = losses(model, xs, ys, make_optimizer, torch.float64)
    with open(os.path.join(HERE, name + ".json"), "w") as file:
        json.dump({"float32": single, "float64": double}, file, indent=1)
        file.write("\n")
    print(make.__name__, max(abs(a - b) for a, b in zip(single, double)), single[0], single[-1])
