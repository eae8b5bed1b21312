/** Hostile input: misuse of every kind must give typed errors, and mutated files must be refused or read, never crash. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { bin, root, start } from '../support/runner.js';
import { measureInChild, type Shown } from './shown.js';

interface Measured {
  misuses: number;
  untyped: string[];
  mutants: number;
  refused: number;
  read: number;
  wrong: string[];
}

/** The addon under AddressSanitizer, and what a process needs to load it. */
async function sanitized(): Promise<Record<string, string>> {
  const folder = 'build-asan-addon';
  const built = await start(bin('cmake-js'), [
    'build',
    '-O',
    folder,
    '--parallel',
    '2',
    '--CDWARPLOOM_SANITIZE=address',
    '--CDCMAKE_CXX_FLAGS_RELEASE=-O1',
  ]);
  const addon = join(root, folder, 'Release', 'warploom.node');
  if (built.code !== 0 || !existsSync(addon)) throw new Error(built.output);
  const library = (await start('g++', ['-print-file-name=libasan.so'])).output.trim();
  // Node itself leaks at exit on purpose; what matters here is reading outside.
  return { WARPLOOM_ADDON: addon, LD_PRELOAD: library, ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1' };
}

export async function show(mutants = 100_000, underAsan = true): Promise<Shown> {
  const env = underAsan ? await sanitized() : {};
  const m = await measureInChild<Measured>('hostile', [String(mutants)], env);
  for (const line of [...m.untyped, ...m.wrong].slice(0, 20)) process.stdout.write(`hostile: ${line}\n`);
  return {
    figures: `${m.misuses} misuses, ${m.untyped.length} without a typed error; ${m.mutants} mutated files${underAsan ? ' under ASan' : ''}, ${m.refused} refused, ${m.read} read, ${m.wrong.length} wrong`,
    ok: m.untyped.length === 0 && m.wrong.length === 0 && m.refused > m.mutants / 4,
  };
}
