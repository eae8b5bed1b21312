/**
 * The package as a user gets it: packed, judged by publint and attw, installed in an empty folder with nothing on PATH that could
 * compile, and used from ES modules, CommonJS and TypeScript.
 */
import { findNvcc } from '../../scripts/support/nvcc.js';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bin, root, start, type Finished } from '../../scripts/support/runner.js';
import { consumers, tsconfig } from './consumers.js';
import { readmePrograms } from './readme.js';
import { aboveFloor, symbolVersions } from './symbols.js';

const folder = mkdtempSync(join(tmpdir(), 'warploom-package-'));
const home = join(folder, 'consumer');
const tools = join(folder, 'tools');
const addon = join('prebuilds', `${process.platform}-${process.arch}`, 'warploom.node');
let tarball = '';

async function succeed(
  command: string,
  args: string[],
  cwd = root,
  env: Record<string, string> = {},
): Promise<Finished> {
  const done = await start(command, args, { cwd, env, timeoutSeconds: 1000 });
  expect(done.code, `${command} ${args.join(' ')}\n${done.output}`).toBe(0);
  return done;
}

/** Runs in the consumer's folder with a PATH of node, npm and a shell alone. */
const asUser = (command: string, args: string[]) => succeed(join(tools, command), args, home, { PATH: tools });

beforeAll(async () => {
  await succeed('npm', ['pack', '--pack-destination', folder]);
  tarball = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.tgz'))!,
  );
  mkdirSync(home);
  mkdirSync(tools);
  symlinkSync(process.execPath, join(tools, 'node'));
  symlinkSync(realpathSync(join(dirname(process.execPath), 'npm')), join(tools, 'npm'));
  symlinkSync('/bin/sh', join(tools, 'sh'));
  writeFileSync(join(home, 'package.json'), '{ "name": "consumer", "private": true }\n');
  writeFileSync(join(home, 'tsconfig.json'), JSON.stringify(tsconfig));
  for (const [name, text] of Object.entries(consumers)) writeFileSync(join(home, name), text);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('holds what a user needs and nothing else', async () => {
  const { output } = await succeed('tar', ['-tzf', tarball]);
  const files = output
    .trim()
    .split('\n')
    .map((name) => name.replace(/^package\//, ''));
  const allowed = [
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|FEATURES\.md|binding\.gyp)$/,
    /^dist\/[\w/.]+\.(js|d\.ts)$/,
    /^prebuilds\/[a-z]+-[a-z0-9]+\/warploom\.node$/,
    /^native\/(engine|cpu|cuda|binding)\/[\w/]+\.(h|cc|def)$/,
    /^kernels\/\w+\.(fatbin|ptx)$/,
  ];
  expect(files.filter((name) => !allowed.some((pattern) => pattern.test(name)))).toEqual([]);
  const needed = ['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'binding.gyp', 'README.md', 'LICENSE', addon];
  for (const name of needed) expect(files).toContain(name);
  const families = (kind: string) =>
    files.flatMap((name) => new RegExp(`^kernels/(\\w+)\\.${kind}$`).exec(name)?.[1] ?? []);
  // Without nvcc there is no device code to pack, and the package computes on the CPU alone.
  if (findNvcc() !== undefined) expect(families('fatbin').length).toBeGreaterThan(0);
  expect(families('fatbin')).toEqual(families('ptx'));
  const megabytes = statSync(tarball).size / 1e6;
  console.log(`package: ${files.length} files, ${megabytes.toFixed(2)} MB packed`);
  expect(megabytes).toBeLessThan(10);
});

test('publint and attw find nothing', async () => {
  await succeed(bin('publint'), ['run', tarball, '--strict']);
  await succeed(bin('attw'), [tarball, '--profile', 'esm-only']);
});

test('installs without a compiler and asks for no newer libraries than Node', async () => {
  const { seconds } = await asUser('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball]);
  console.log(`package: installed in ${seconds.toFixed(1)} s`);
  expect(aboveFloor(symbolVersions(join(home, 'node_modules', 'warploom', addon)))).toEqual([]);
});

test('TypeScript (nodenext, lib es2022, strict, no skipLibCheck) compiles against the types', async () => {
  await asUser('node', [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '--project', '.']);
});

test.each(['esm.mjs', 'common.cjs', 'typed.mjs'])('%s trains a step', async (file) => {
  const { output } = await asUser('node', [file]);
  expect(output).toMatch(/^loss \d\.\d{4} -> \d\.\d{4}$/m);
});

test("the README's programs run", async () => {
  for (const [i, text] of readmePrograms().entries()) {
    writeFileSync(join(home, `readme${i}.mjs`), text);
    await asUser('node', [`readme${i}.mjs`]);
  }
});

test('warploom inspect --json', async () => {
  const { output } = await asUser('npm', ['exec', '--offline', '--', 'warploom', 'inspect', '--json']);
  expect(JSON.parse(output.slice(output.indexOf('{')))).toMatchObject({ device: 'cpu', simulated: false });
});

test("compiles in the installed package's folder with plain g++, as where no prebuilt addon fits", async () => {
  const installed = join(home, 'node_modules', 'warploom');
  const { seconds } = await succeed(bin('node-gyp'), ['rebuild', '--jobs', '2'], installed);
  console.log(`package: compiled with node-gyp in ${seconds.toFixed(0)} s`);
  rmSync(join(installed, 'prebuilds'), { recursive: true });
  const { output } = await asUser('node', ['esm.mjs']);
  expect(output).toMatch(/^loss/m);
  expect(aboveFloor(symbolVersions(join(installed, 'build', 'Release', 'warploom.node')))).toEqual([]);
});

test('importing it', async () => {
  const least = async (code: string) => {
    let best = Infinity;
    for (let i = 0; i < 5; i++) {
      const { seconds } = await asUser('node', ['--input-type=module', '-e', code]);
      best = Math.min(best, seconds * 1000);
    }
    return best;
  };
  const more = (await least(`import 'warploom'`)) - (await least(''));
  console.log(`package: import ${more.toFixed(0)} ms over bare node`);
});
