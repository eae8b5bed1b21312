"""PyTorch's side: python3 bench/pytorch.py THREADS CASE... prints one row of JSON a line."""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

THREADS = int(sys.argv[1])
torch.set_num_threads(THREADS)
torch.manual_seed(1)
TINY_CHAIN = 1000


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.qkv, self.proj = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.ln2, self.fc1, self.fc2 = nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.register_buffer("mask", torch.ones(64, 64, dtype=torch.bool).triu(1))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in self.qkv(self.ln1(x)).split(d, 2))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-1, -2)) / (d // self.heads) ** 0.5
            y = torch.softmax(scores.masked_fill(self.mask, float("-inf")), -1) @ v
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(256, 128), nn.Embedding(64, 128)
        self.blocks = nn.Sequential(Block(128, 4), Block(128, 4))
        self.ln, self.head = nn.LayerNorm(128), nn.Linear(128, 256, bias=False)

    def forward(self, index):
        return self.head(self.ln(self.blocks(self.tok(index) + self.pos.weight))).view(16 * 64, 256)


def trainer(model, x, y, optimizer=torch.optim.Adam):
    optimizer = optimizer(model.parameters(), lr=1e-3)

    def step():
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def product(n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    return lambda: a @ b


def add(n):
    a, b = torch.rand(n), torch.rand(n)
    return lambda: a + b


def chain():
    a, b = torch.rand(8), torch.rand(8)

    def run():
        x = a
        for _ in range(TINY_CHAIN):
            x = x + b

    return run


def mlp():
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return trainer(model, torch.rand(128, 784), torch.randint(0, 10, (128,)))


def cnn():
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
                          nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 7 * 7, 10))
    return trainer(model, torch.rand(64, 1, 28, 28), torch.randint(0, 10, (64,)))


def gpt():
    return trainer(Gpt(), torch.randint(0, 256, (16, 64)), torch.randint(0, 256, (16 * 64,)))


def tiny_mlp():
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    return trainer(model, torch.rand(16, 4), torch.randint(0, 3, (16,)), torch.optim.AdamW)


PROGRAMS = {"matmul_512": lambda: product(512), "matmul_1024": lambda: product(1024), "add_1e7": lambda: add(10_000_000),
            "tiny_add": chain, "mlp_step": mlp, "cnn_step": cnn, "gpt_step": gpt,
            "tiny_mlp": tiny_mlp, "tiny_mlp_captured": tiny_mlp}  # PyTorch 1.13 has no capture on the CPU: eager beside both



def status(key):
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith(key + ":"))) * 1024 / 1e6


ROW = {"peer": "pytorch " + torch.__version__, "threads": THREADS, "dtype": "float32"}
if sys.argv[2] == "--memory":
    # One case a process: what its steps take at most beyond what the import left.
    imported, program = status("VmRSS"), PROGRAMS[sys.argv[3]]()
    for _ in range(20):
        program()
    print(json.dumps({**ROW, "case": sys.argv[3], "peak_mb": status("VmHWM") - imported}))
    sys.exit()

for name in sys.argv[2:]:
    program = PROGRAMS[name]()
    for _ in range(3):
        program()
    samples, began = [], time.perf_counter()
    while len(samples) < 15 or time.perf_counter() - began < 1.5:
        start = time.perf_counter()
        program()
        samples.append(time.perf_counter() - start)
    samples.sort()
    unit = 1000 / (TINY_CHAIN if name == "tiny_add" else 1)
    print(json.dumps({**ROW, "case": name, "median_ms": samples[len(samples) // 2] * unit, "min_ms": samples[0] * unit,
                      "reps": len(samples)}), flush=True)
