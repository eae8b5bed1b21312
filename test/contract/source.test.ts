import { readdirSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join, posix } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../harness/surface.js';

const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'addon.ops.ts')
  .map((name) => name.split('\\').join('/'));

const text = (name: string): string => readFileSync(join(root, 'src', name), 'utf8');

/** Imports that a module needs when it runs: types alone bind nothing. */
function imports(name: string): string[] {
  const found = text(name).matchAll(/^(?:import|export) (?!type\b)(?:[^'";]*? from )?'(\.[^']+)'/gm);
  return [...found].map((m) => posix.normalize(posix.join(dirname(name), m[1]!)).replace(/\.js$/, '.ts'));
}

/** Rooms from the bottom up; a module may import its own room and those below. */
const rooms: Record<string, number> = { '': 0, autograd: 0, ops: 2, nn: 3, optim: 3, data: 3, io: 3, train: 4, cli: 5 };
const roomOf = (name: string): string => (name.includes('/') ? name.split('/')[0]! : '');

test('imports point down only', () => {
  const upward: string[] = [];
  for (const name of sources) {
    if (name === 'index.ts') continue;
    expect(rooms, `${name} lies in a room that has no place in the order`).toHaveProperty([roomOf(name)]);
    for (const target of imports(name)) {
      if (rooms[roomOf(target)]! > rooms[roomOf(name)]!) upward.push(`${name} imports ${target}`);
    }
  }
  expect(upward).toEqual([]);
});

test('one file alone loads the addon', () => {
  const loading = sources.filter(
    (name) => /createRequire|process\.dlopen/.test(text(name)) && /\.node\b/.test(text(name)),
  );
  expect(loading).toEqual(['addon.ts']);
});

const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter((name) => /\.(ts|js|cc|h|py|md|json|txt|yml|gyp)$|^CMakeLists|^\.ci\//.test(name));
const written = tracked.filter((name) => !/^(package-lock\.json|test\/frozen\/.*\.json|test\/fixtures\/)/.test(name));

test('no file of code is longer than 500 lines', () => {
  const long = written
    .filter((name) => /\.(ts|cc|h|py)$/.test(name))
    .map((name) => ({ name, lines: readFileSync(join(root, name), 'utf8').split('\n').length }))
    .filter(({ lines }) => lines > 500);
  expect(long).toEqual([]);
});

test('the text names no machine: no absolute home or working folder, no registry', () => {
  const machine = new RegExp(
    ['/(wo' + 'rk|ro' + 'ot|ho' + 'me|far' + 'm)/[A-Za-z0-9._-]+', 'registry\\.' + 'npm'].join('|'),
  );
  const naming = written.filter((name) => machine.test(readFileSync(join(root, name), 'utf8')));
  expect(naming).toEqual([]);
});

test('the library prints nothing unasked', () => {
  const printing = sources.filter(
    (name) =>
      !name.startsWith('cli/') && /\bconsole\.(log|error|info|warn)\(/.test(text(name).replace(/\/\*[^]*?\*\//g, '')),
  );
  expect(printing).toEqual([]);
});
