/**
 * Runs a TypeScript program of the checkout: `tsx scripts/run.ts PROGRAM [ARGUMENT...]`. Builds what is missing first, then becomes the
 * program: same process, so signals and the exit code are the program's own.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.js';
import { asksForCuda, prepareCuda } from './support/cuda.js';

const [program, ...rest] = process.argv.slice(2);
if (program === undefined || !existsSync(program)) {
  console.error(program === undefined ? 'usage: tsx scripts/run.ts PROGRAM [ARGUMENT...]' : `${program}: no such file`);
  process.exitCode = 2;
} else {
  await ensureBuilt('addon');
  if (asksForCuda(rest, process.env)) prepareCuda();
  const path = resolve(program);
  process.argv = [process.argv[0]!, path, ...rest];
  await import(pathToFileURL(path).href);
}
