/** Four threads train at once; workers are terminated and processes exit in mid-work: nothing may crash. */
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { start } from '../support/runner.js';
import { compiledLibrary, type Shown } from './shown.js';

/** Trains for ever, or `steps` steps and then posts the loss; plain JavaScript, so that a worker starts in milliseconds. */
const body = (library: string, steps: number): string => `
const { parentPort } = require('node:worker_threads');
(async () => {
  const wl = await import(${JSON.stringify(pathToFileURL(library).href)});
  const model = new wl.nn.Sequential(new wl.nn.Linear(32, 64), new wl.nn.ReLU(), new wl.nn.Linear(64, 4));
  const optimizer = new wl.optim.AdamW(model.parameters(), { lr: 1e-2 });
  const x = wl.keep(wl.randn([16, 32], { generator: new wl.Generator({ seed: 3 }) }));
  const y = wl.keep(wl.tensor(Int32Array.from({ length: 16 }, (_, i) => i % 4)));
  if (parentPort) parentPort.postMessage('started');
  let last = 0;
  for (let i = 0; i < ${steps}; i++) {
    await wl.tidy(async () => {
      const loss = wl.crossEntropy(model.forward(x), y);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      if (i % 10 === 9) last = await loss.item();
    });
  }
  if (parentPort) parentPort.postMessage(last);
})();
`;

async function trainTogether(library: string): Promise<number[]> {
  const threads = Array.from({ length: 4 }, () => new Worker(body(library, 200), { eval: true }));
  return Promise.all(
    threads.map(async (worker) => {
      let loss = NaN;
      worker.on('message', (message: number | string) => {
        if (typeof message === 'number') loss = message;
      });
      const [code] = (await once(worker, 'exit')) as [number];
      return code === 0 ? loss : NaN;
    }),
  );
}

/** Starts a worker, lets it work for a random while, and terminates it. A crash would take this process with it. */
async function terminateOne(library: string, wait: number): Promise<void> {
  const worker = new Worker(body(library, 1e9), { eval: true });
  // Half of them while they still load, half in mid-training.
  if (wait >= 10) await once(worker, 'message');
  await new Promise((resolve) => setTimeout(resolve, wait));
  await worker.terminate();
}

/** A process that exits in mid-work with status 7; anything else is a crash. */
async function exitOne(library: string, wait: number): Promise<boolean> {
  const code = `${body(library, 1e9)}\nsetTimeout(() => process.exit(7), ${60 + wait});`;
  const done = await start(process.execPath, ['-e', code], { timeoutSeconds: 60 });
  if (done.code !== 7) process.stdout.write(`exit ${done.signal ?? done.code}: ${done.output}\n`);
  return done.code === 7;
}

export async function show(terminations = 1000, exits = 200): Promise<Shown> {
  const library = await compiledLibrary();
  const losses = await trainTogether(library);
  const trained = losses.every((loss) => loss >= 0 && loss < 1);
  const lanes = async (count: number, one: (i: number) => Promise<void>) => {
    let next = 0;
    await Promise.all(
      Array.from({ length: 2 }, async () => {
        while (next < count) await one(next++);
      }),
    );
  };
  await lanes(terminations, (i) => terminateOne(library, (i * 7) % 20));
  let clean = 0;
  await lanes(exits, async (i) => {
    if (await exitOne(library, (i * 13) % 60)) clean++;
  });
  return {
    figures: `losses of four threads ${losses.map((l) => l.toFixed(3)).join(' ')}; ${terminations} terminations; ${clean} of ${exits} exits clean`,
    ok: trained && clean === exits,
  };
}
