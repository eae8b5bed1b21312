/**
 * Builds what the other scripts need, and only what is missing or stale.
 *
 *   tsx scripts/build.ts addon     the addon
 *   tsx scripts/build.ts test      the native tests and the test back end as well
 *   tsx scripts/build.ts release   the addon and dist/: what the package ships
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** addon: what a program of the checkout needs; test: native tests beside; release: what the package ships. */
export type BuildMode = 'addon' | 'test' | 'release';

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

/** The one folder of the CMake build, for the addon, the native tests and the test back end alike. */
export const buildFolder = 'build-cmake';

/** Compiles with cmake-js; a target leaves out what it does not need. */
function compile(target?: string): void {
  const prebuilds = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
  const addon = join(prebuilds, 'warploom.node');
  if (!existsSync(addon)) process.stderr.write('Compiling the native addon: a minute or two, the first time only.\n');
  const only = target === undefined ? [] : ['--target', target];
  run(bin('cmake-js'), ['build', '-O', buildFolder, '--parallel', '2', '--CDWARPLOOM_TESTS=ON', ...only]);
  const built = join(root, buildFolder, 'Release', 'warploom.node');
  if (existsSync(addon) && readFileSync(addon).equals(readFileSync(built))) return;
  mkdirSync(prebuilds, { recursive: true });
  // Renamed into place, never overwritten: a process that has the old file mapped keeps it whole.
  const fresh = `${addon}.${process.pid}`;
  copyFileSync(built, fresh);
  renameSync(fresh, addon);
}

function typescript(): void {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(bin('tsc'), ['-p', 'tsconfig.build.json']);
}

/** Makes sure that everything `mode` needs exists and is up to date. */
export async function ensureBuilt(mode: BuildMode): Promise<void> {
  generate();
  compile(mode === 'test' ? undefined : 'warploom_addon');
  if (mode === 'release') typescript();
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mode = process.argv[2];
  if (mode !== 'addon' && mode !== 'test' && mode !== 'release') {
    process.stderr.write('usage: build.ts addon | test | release\n');
    process.exit(2);
  }
  await ensureBuilt(mode);
}
