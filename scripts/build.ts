/**
 * Builds what the other scripts need, and only what is missing or stale.
 *
 *   tsx scripts/build.ts addon     the addon
 *   tsx scripts/build.ts test      also the native tests, the test back end, the CUDA simulator and its kernels' PTX
 *   tsx scripts/build.ts release   the addon and dist/: what the package ships
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build as bundle } from 'esbuild';
import { findNvcc } from './support/nvcc.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** addon: what a program of the checkout needs; test: the native tests and the simulator beside; release: what the package ships. */
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

/** The one folder of the CMake build: the addon, the native tests, the test back end, the CUDA simulator. */
export const buildFolder = 'build-cmake';

/** What CMake is told; the simulator is compiled only where a target asks for it. */
const cmakeOptions = (): Record<string, string> => ({
  WARPLOOM_TESTS: 'ON',
  WARPLOOM_CUDASIM: 'ON',
  WARPLOOM_NVCC: findNvcc() ?? '',
});

/** Configures a folder that has not been, or was with other options. */
function configure(names: readonly string[]): void {
  const options = cmakeOptions();
  const file = join(root, buildFolder, 'CMakeCache.txt');
  const cache = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const same = names.every((name) => new RegExp(`^${name}:\\w+=(.*)$`, 'm').exec(cache)?.[1] === options[name]);
  if (same) return;
  const defined = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
  run(bin('cmake-js'), ['configure', '-O', buildFolder, '--', ...defined]);
}

/** Compiles one target, or all of them, with two processes. */
function make(target?: string): void {
  const only = target === undefined ? [] : ['--target', target];
  run(bin('cmake-js'), ['build', '-O', buildFolder, '--parallel', '2', ...only]);
}

/** The addon; with tests also the native tests, the kernels' PTX, and the simulator. */
function compileAddon(tests: boolean): void {
  const prebuilds = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
  const addon = join(prebuilds, 'warploom.node');
  if (!existsSync(addon)) process.stderr.write('Compiling the native addon: a minute or two, the first time only.\n');
  // nvcc is a matter of the tests: another one must not make anything else configure anew.
  configure(['WARPLOOM_TESTS', 'WARPLOOM_CUDASIM', ...(tests ? ['WARPLOOM_NVCC'] : [])]);
  make(tests ? undefined : 'warploom_addon');
  const built = join(root, buildFolder, 'Release', 'warploom.node');
  if (existsSync(addon) && readFileSync(addon).equals(readFileSync(built))) return;
  mkdirSync(prebuilds, { recursive: true });
  // Renamed into place, never overwritten: a process that has the old file mapped keeps it whole.
  const fresh = `${addon}.${process.pid}`;
  copyFileSync(built, fresh);
  renameSync(fresh, addon);
}

/** Where the addon looks for device code. */
export const kernelFolder = join(root, 'kernels');

/** Makes kernels/ hold what a folder of the build holds, and nothing else. */
function installKernels(from: string): void {
  const files = readdirSync(from).filter((name) => /\.(ptx|fatbin)$/.test(name));
  mkdirSync(kernelFolder, { recursive: true });
  for (const name of readdirSync(kernelFolder)) if (!files.includes(name)) rmSync(join(kernelFolder, name));
  for (const name of files) {
    const source = join(from, name);
    const target = join(kernelFolder, name);
    if (!existsSync(target) || !readFileSync(source).equals(readFileSync(target))) copyFileSync(source, target);
  }
}

/** The device code: PTX alone for the simulator, or all that the package ships. Without nvcc there is none. */
export function ensureKernels(release: boolean): void {
  configure(['WARPLOOM_TESTS', 'WARPLOOM_CUDASIM', 'WARPLOOM_NVCC']);
  if (findNvcc() === undefined) {
    rmSync(kernelFolder, { recursive: true, force: true });
    process.stderr.write('No nvcc: CUDA kernels are NOT built, and nothing that needs them can run.\n');
    return;
  }
  make(release ? 'cuda_release' : 'cuda_ptx');
  installKernels(join(root, buildFolder, release ? 'kernels-release' : 'kernels'));
}

/** The simulator's library, under the name that programs look for. */
export const simulatorLibrary = join(root, 'build-cudasim', 'libcuda.so.1');
/** The program behind `npm run cudasim`. */
export const simulatorTool = join(root, buildFolder, 'cudasim_tool');

/** The simulator and the program of `npm run cudasim`, and nothing else. */
export function ensureSimulator(): void {
  if (!existsSync(simulatorLibrary))
    process.stderr.write('Compiling the CUDA simulator: a minute, the first time only.\n');
  configure(['WARPLOOM_TESTS', 'WARPLOOM_CUDASIM']);
  make('cudasim_tool');
}

/** The harness of `npm run bench:gemm`; gives its path. */
export function ensureGemmBench(): string {
  generate();
  configure(['WARPLOOM_TESTS', 'WARPLOOM_CUDASIM']);
  make('bench_gemm');
  return join(root, buildFolder, 'bench_gemm');
}

/** Types file by file; the program as one file for both entries, since opening eighty takes Node five times as long. */
async function typescript(): Promise<void> {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(bin('tsc'), ['-p', 'tsconfig.build.json']);
  const source = join(root, 'src');
  await bundle({
    entryPoints: [join(source, 'index.ts'), join(source, 'cli', 'main.ts')],
    outbase: source,
    outdir: join(root, 'dist'),
    bundle: true,
    splitting: true,
    // In dist/ itself: the addon and the kernels are looked for from there.
    chunkNames: '[name].[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
}

/** Makes sure that everything `mode` needs exists and is up to date. */
export async function ensureBuilt(mode: BuildMode): Promise<void> {
  generate();
  compileAddon(mode === 'test');
  if (mode !== 'addon') ensureKernels(mode === 'release');
  if (mode === 'release') await typescript();
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mode = process.argv[2];
  if (mode !== 'addon' && mode !== 'test' && mode !== 'release') {
    process.stderr.write('usage: build.ts addon | test | release\n');
    process.exit(2);
  }
  await ensureBuilt(mode);
}
