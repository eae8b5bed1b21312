/** One training loop of `steps` steps in the mode given, with what was alive after the first mark and at the end. */
import * as wl from '../../../src/index.js';

const [mode, stepsText, markText] = process.argv.slice(2) as [string, string, string];
const steps = Number(stepsText);
const mark = Number(markText);
const collect = (globalThis as { gc?: () => void }).gc;

interface Marked {
  storages: number;
  active: number;
  rss: number;
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

async function measure(): Promise<Marked> {
  for (let i = 0; i < 3; i++) {
    collect?.();
    await settle();
  }
  const { storages, active } = wl.memory();
  return { storages, active, rss: process.memoryUsage().rss };
}

const batch = 8;
const samples = 8000; // 1,000 steps an epoch
wl.manualSeed(1);
const model = new wl.nn.Sequential(new wl.nn.Linear(8, 16), new wl.nn.ReLU(), new wl.nn.Linear(16, 4));
const optimizer = new wl.optim.AdamW(model.parameters(), { lr: 1e-3 });
const inputs = Float32Array.from({ length: samples * 8 }, (_, i) => ((i * 37) % 101) / 101 - 0.5);
const labels = Int32Array.from({ length: samples }, (_, i) => i % 4);

function step(x: wl.Tensor, y: wl.Tensor): wl.Tensor {
  const loss = wl.crossEntropy(model.forward(x), y);
  loss.backward();
  optimizer.step();
  optimizer.zeroGrad();
  return loss;
}

let first: Marked | undefined;

async function byHand(run: () => void): Promise<void> {
  for (let i = 1; i <= steps; i++) {
    run();
    // A turn of the event loop now and then, as in any loop that awaits: without one V8 keeps widening its nursery, by several MiB.
    if (i % 20 === 0) await settle();
    if (i === mark) first = await measure();
  }
}

if (mode === 'fit') {
  const train = wl.arrayDataset({ x: { data: inputs, shape: [8] }, y: labels });
  const perEpoch = samples / batch;
  let done = 0;
  await wl.fit(model, {
    train,
    loss: wl.crossEntropy,
    optimizer,
    epochs: Math.ceil(steps / perEpoch),
    batchSize: batch,
    progress: false,
    callbacks: [
      {
        onStep: async () => {
          if (++done === mark || done === steps) {
            const now = await measure();
            if (done === mark) first = now;
            else report(first!, now);
          }
        },
      },
    ],
  });
} else {
  const x = wl.keep(wl.tensor(inputs.slice(0, batch * 8), { shape: [batch, 8] }));
  const y = wl.keep(wl.tensor(labels.slice(0, batch)));
  if (mode === 'capture') {
    const captured = wl.capture(step);
    await byHand(() => captured(x, y).dispose());
  } else {
    await byHand(() => {
      wl.tidy(() => {
        step(x, y);
      });
    });
  }
  report(first!, await measure());
}

function report(before: Marked, after: Marked): void {
  process.stdout.write(`${JSON.stringify({ before, after })}\n`);
}
