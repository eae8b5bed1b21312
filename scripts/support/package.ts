/**
 * The package as a user gets it: packed, judged by publint and attw, installed in an empty folder with no compiler on PATH, and
 * used by an ESM, a CommonJS and a TypeScript consumer that each train a step.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { bin, noTotals, root, start, type Totals } from './runner.js';

/** The oldest C and C++ libraries the prebuilt addon may ask for: what the README states. */
export const floor = { GLIBC: '2.34', GLIBCXX: '3.4.30' } as const;

const body = `
const w = warploom.randn([3, 2], { requiresGrad: true });
const x = warploom.tensor([1, 2, 3, 4, 5, 6], { shape: [2, 3] });
const optimizer = new warploom.optim.SGD([w], { lr: 0.1 });
const loss = x.matmul(w).square().mean();
loss.backward();
optimizer.step();
const value = await loss.item();
if (!(value > 0)) throw new Error('the loss is ' + value);
console.log('trained a step');
`;

const consumers: Record<string, string> = {
  'esm.mjs': `import * as warploom from 'warploom';\n${body}`,
  'common.cjs': `const warploom = require('warploom');\n(async () => {${body}})();\n`,
  'typed.mts': `import * as warploom from 'warploom';\nasync function main(): Promise<void> {${body.replace('const value =', 'const value: number | bigint =')}}\nawait main();\n`,
};

const versionParts = (v: string): number[] => v.split('.').map(Number);
export function newer(a: string, b: string): boolean {
  const [x, y] = [versionParts(a), versionParts(b)];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  }
  return false;
}

/** Symbol versions of the prebuilt addon above the floor. */
export async function tooNew(addon: string): Promise<string[]> {
  const { output, code } = await start('readelf', ['--version-info', addon]);
  if (code !== 0) throw new Error(output);
  const found = new Set([...output.matchAll(/Name: (GLIBC|GLIBCXX)_([\d.]+)/g)].map((m) => `${m[1]} ${m[2]}`));
  return [...found].filter((entry) => {
    const [library, version] = entry.split(' ') as [keyof typeof floor, string];
    return newer(version, floor[library]);
  });
}

export async function checkPackage(): Promise<Totals> {
  const totals = noTotals();
  const folder = mkdtempSync(join(tmpdir(), 'warploom-package-'));
  const step = async (name: string, command: string, args: string[], env: Record<string, string> = {}, cwd = root) => {
    const done = await start(command, args, { env, cwd, timeoutSeconds: 600 });
    process.stdout.write(`  ${name}: ${done.code === 0 ? 'ok' : `FAILED\n${done.output}`}\n`);
    if (done.code === 0) totals.passed++;
    else totals.failed++;
    return done;
  };
  try {
    await step('npm pack', 'npm', ['pack', '--pack-destination', folder]);
    const file = readdirSync(folder).find((name) => name.endsWith('.tgz'));
    if (!file) return totals;
    const tarball = join(folder, file);
    await step('publint', bin('publint'), ['run', tarball, '--strict']);
    await step('attw', bin('attw'), [tarball, '--profile', 'esm-only']);
    const addon = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'warploom.node');
    const above = await tooNew(addon);
    process.stdout.write(`  symbol versions: ${above.length === 0 ? 'ok' : `above the floor: ${above.join(', ')}`}\n`);
    if (above.length === 0) totals.passed++;
    else totals.failed++;
    await consume(folder, tarball, step);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return totals;
}

type Step = (
  name: string,
  command: string,
  args: string[],
  env: Record<string, string>,
  cwd: string,
) => Promise<unknown>;

async function consume(folder: string, tarball: string, step: Step): Promise<void> {
  const home = join(folder, 'consumer');
  const tools = join(folder, 'tools');
  mkdirSync(home);
  mkdirSync(tools);
  // A PATH with node, npm and a shell, and nothing that could compile.
  symlinkSync(process.execPath, join(tools, 'node'));
  symlinkSync(join(dirname(process.execPath), 'npm'), join(tools, 'npm'));
  symlinkSync('/bin/sh', join(tools, 'sh'));
  const env = { PATH: tools, NODE_PATH: '' };
  writeFileSync(join(home, 'package.json'), '{ "name": "consumer", "private": true }\n');
  for (const [name, text] of Object.entries(consumers)) writeFileSync(join(home, name), text);
  await step(
    'install without a compiler',
    'npm',
    ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball],
    env,
    home,
  );
  const strict = [
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2022',
    '--strict',
    '--skipLibCheck',
    'false',
  ];
  await step(
    'TypeScript compiles',
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), ...strict, '--types', '', 'typed.mts'],
    env,
    home,
  );
  for (const file of ['esm.mjs', 'common.cjs', 'typed.mjs'])
    await step(`${file} trains a step`, 'node', [file], env, home);
}
