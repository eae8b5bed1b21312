/** clang-format over the native sources, their tests and benchmarks: rewrites them, or with `--check` lists those that differ. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { bin, root } from './support/runner.js';

const files = ['native', 'test/native', 'bench/native'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cc|h|cu|cuh)$/.test(name))
    .map((name) => join(folder, name)),
);
const check = process.argv.includes('--check');
const args = check ? ['--dry-run', '--Werror', ...files] : ['-i', ...files];
const done = spawnSync(bin('clang-format'), args, { cwd: root, encoding: 'utf8' });
if (done.error) throw done.error;
process.stdout.write(`${done.stdout}${done.stderr}`);
if (check)
  process.stdout.write(done.status === 0 ? `${files.length} native files are formatted\n` : 'run npm run format\n');
process.exit(done.status ?? 1);
