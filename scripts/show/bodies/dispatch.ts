/** Time over count of chained adds, the best of several rounds, and what importing the compiled library costs. */
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import * as wl from '../../../src/index.js';

const count = 100_000;
const collect = (globalThis as { gc?: () => void }).gc;

/** Microseconds for each add: the bare loop, as its PyTorch twin runs it, or all of it inside one tidy(), cleaning up included. */
async function round(requiresGrad: boolean, scoped: boolean): Promise<number> {
  collect?.();
  const start = wl.ones([8], { requiresGrad });
  const one = wl.ones([8]);
  await one.ready();
  const chain = async () => {
    let x = start;
    for (let i = 0; i < count; i++) x = wl.add(x, one);
    await x.ready();
  };
  const began = performance.now();
  await (scoped ? wl.tidy(chain) : chain());
  const micros = ((performance.now() - began) * 1000) / count;
  start.dispose();
  one.dispose();
  return micros;
}

async function best(body: () => Promise<number>, times: number): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < times; i++) least = Math.min(least, await body());
  return least;
}

const library = pathToFileURL(process.argv[2]!).href;
const startUp = (code: string) => {
  const began = performance.now();
  execFileSync(process.execPath, ['--input-type=module', '-e', code]);
  return performance.now() - began;
};
const least = (code: string) => Math.min(...Array.from({ length: 7 }, () => startUp(code)));

const plain = await best(() => round(false, false), 9);
const recorded = await best(() => round(true, false), 9);
const scoped = [await best(() => round(false, true), 9), await best(() => round(true, true), 9)];
const load = least(`import ${JSON.stringify(library)};`) - least('');
process.stdout.write(`${JSON.stringify({ plain, recorded, scoped, load })}\n`);
