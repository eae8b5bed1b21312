/**
 * Builds what the other scripts need, and only what is missing or stale.
 *
 *   tsx scripts/build.ts release   dist/, the addon: what the package ships
 *   tsx scripts/build.ts test      the addon, the native tests and the test back end
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

export type BuildMode = 'release' | 'test';

/** Runs a command in the checkout; its output is shown when it fails, or as it comes with `show`. */
export function run(command: string, args: readonly string[], { show = false } = {}): void {
  const result = spawnSync(command, args, { cwd: root, stdio: show ? 'inherit' : 'pipe', encoding: 'utf8' });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) {
    if (!show) process.stderr.write(`${result.stdout}${result.stderr}`);
    throw new Error(`${command} ${args.join(' ')} failed with status ${result.status ?? result.signal}`);
  }
}

const bin = (name: string) => join(root, 'node_modules', '.bin', name);

function generate(): void {
  run(bin('tsx'), ['scripts/generate-ops.ts']);
}

/** Compiles with cmake-js in a folder of its own for each mode (a configured folder keeps its options for good). */
function compile(mode: BuildMode): void {
  const folder = mode === 'test' ? 'build-test' : 'build-cmake';
  const options = mode === 'test' ? ['--CDWARPLOOM_TESTS=ON'] : [];
  run(bin('cmake-js'), ['build', '-O', folder, '--parallel', '2', ...options]);
  const target = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
  mkdirSync(target, { recursive: true });
  // Replaced, never overwritten: a process that has the old file mapped keeps it whole.
  const addon = join(target, 'warploom.node');
  rmSync(addon, { force: true });
  copyFileSync(join(root, folder, 'Release', 'warploom.node'), addon);
}

function typescript(): void {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(bin('tsc'), ['-p', 'tsconfig.build.json']);
}

/** Makes sure that everything `mode` needs exists and is up to date. */
export async function ensureBuilt(mode: BuildMode): Promise<void> {
  generate();
  compile(mode);
  if (mode === 'release') typescript();
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mode = process.argv[2];
  if (mode !== 'release' && mode !== 'test') {
    process.stderr.write('usage: build.ts release | test\n');
    process.exit(2);
  }
  await ensureBuilt(mode);
}
