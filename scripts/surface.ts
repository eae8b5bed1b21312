/**
 * `npm run surface`: every name the package promises, with its cases of value, gradient, second gradient, edge shapes, NaN, bad
 * input and PyTorch, per device and dtype, as the last `npm test` ran them. Writes FEATURES.md. Exits 1 while a claim has no
 * case, an export is not listed, or a listed name is not exported.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  columns,
  computes,
  evidenceFolder,
  readSurface,
  root,
  testDevices,
  type Claim,
  type Evidence,
  type Row,
} from '../test/harness/surface.js';
import { ensureBuilt } from './build.js';
import { runVitest } from './support/vitest.js';

function readEvidence(): Set<string> {
  const found = new Set<string>();
  if (!existsSync(evidenceFolder)) return found;
  for (const file of readdirSync(evidenceFolder)) {
    if (!file.endsWith('.jsonl')) continue;
    for (const line of readFileSync(join(evidenceFolder, file), 'utf8').split('\n')) {
      if (line === '') continue;
      const { name, column, device, dtype } = JSON.parse(line) as Evidence;
      found.add([name, column, device, dtype].join(' '));
      found.add([name, column].join(' '));
    }
  }
  return found;
}

const titlesFile = join(evidenceFolder, 'titles.json');

/** Keeps the names of the tests that passed: a function or class without dtypes is covered by a test that names it. */
export function keepTitles(passed: readonly string[]): void {
  mkdirSync(evidenceFolder, { recursive: true });
  writeFileSync(titlesFile, JSON.stringify(passed));
}

const readTitles = (): string[] =>
  existsSync(titlesFile) ? (JSON.parse(readFileSync(titlesFile, 'utf8')) as string[]) : [];

function named(row: Row, titles: readonly string[]): boolean {
  if (row.kind === 'op' || row.kind === 'method') return false;
  const word = new RegExp(`\\b${row.name.split('.').at(-1)!}\\b`);
  return titles.some((title) => word.test(title));
}

/** What `name` claims in a column and no passed test covers. */
function missing(row: Row, evidence: Set<string>, titles: readonly string[]): string[] {
  const lacks: string[] = [];
  for (const column of columns) {
    const claim = row.claims[column];
    if (!claim || 'reason' in claim) continue;
    for (const dtype of claim) {
      if (dtype === '*') {
        if (!evidence.has([row.name, column].join(' ')) && !(column === 'value' && named(row, titles)))
          lacks.push(column);
        continue;
      }
      for (const device of testDevices()) {
        if (!computes(device, dtype)) continue;
        if (!evidence.has([row.name, column, device, dtype].join(' '))) lacks.push(`${column} (${dtype} on ${device})`);
      }
    }
  }
  return lacks;
}

/** The exported names: of index.ts, and of its namespaces with the namespace before them. */
async function exportedNames(): Promise<Set<string>> {
  const index = (await import('../src/index.js')) as Record<string, unknown>;
  const names = new Set<string>();
  for (const [name, value] of Object.entries(index)) {
    if (typeof value === 'object' && value !== null && value[Symbol.toStringTag as never] === 'Module') {
      for (const inner of Object.keys(value)) names.add(`${name}.${inner}`);
    } else names.add(name);
  }
  return names;
}

/** Names whose row claims nothing at all, not even a value. */
const claimsNothing = (row: Row): boolean => !row.claims.value;

export async function judgeSurface(): Promise<{
  problems: string[];
  rows: Map<string, Row>;
  lacks: Map<string, string[]>;
}> {
  const rows = readSurface();
  const evidence = readEvidence();
  const titles = readTitles();
  const exported = await exportedNames();
  const problems: string[] = [];
  const lacks = new Map<string, string[]>();
  for (const row of rows.values()) {
    if (row.kind !== 'method' && !exported.has(row.name)) problems.push(`${row.name} is promised and not exported`);
    if (claimsNothing(row)) problems.push(`${row.name} claims no value`);
    const lacking = missing(row, evidence, titles);
    lacks.set(row.name, lacking);
    if (lacking.length > 0) problems.push(`${row.name} lacks ${lacking.join(', ')}`);
  }
  for (const name of exported)
    if (!rows.has(name)) problems.push(`${name} is exported and test/surface.json does not list it`);
  return { problems, rows, lacks };
}

const short: Record<string, string> = {
  float32: 'f32',
  float64: 'f64',
  int32: 'i32',
  int64: 'i64',
  uint8: 'u8',
  bool: 'bool',
};

function cell(claim: Claim | undefined): string {
  if (!claim) return '';
  if ('reason' in claim) return `no: ${claim.reason}`;
  return claim[0] === '*' ? 'yes' : claim.map((d) => short[d] ?? d).join(' ');
}

/** The feature table: what test/surface.json claims and `npm test` holds it to. */
export function featuresText(rows: Map<string, Row>): string {
  const head = [
    'name',
    ...columns.map((c) => c.replace('secondGradient', 'second gradient').replace('badInput', 'bad input')),
  ];
  const table = (of: Row[], columnsShown: readonly (typeof columns)[number][], titles: string[]) =>
    [
      `| ${titles.join(' | ')} |`,
      `|${titles.map(() => '---').join('|')}|`,
      ...of.map((row) => `| ${[`\`${row.name}\``, ...columnsShown.map((c) => cell(row.claims[c]))].join(' | ')} |`),
    ].join('\n');
  const all = [...rows.values()];
  const ops = all.filter((row) => row.kind === 'op');
  const others = all.filter((row) => row.kind !== 'op');
  return `# Features

Generated by \`npm run surface\` from \`test/surface.json\`. Each mark is a test that \`npm test\` runs; it fails while a mark has none.
Dtypes: f32 float32, f64 float64, i32 int32, i64 int64, u8 uint8. Devices: cpu and
cuda; float64 is computed on the cpu alone.

## Ops

${table(ops, columns, head)}

## Functions, classes and objects

| name | kind | tested |
|---|---|---|
${others.map((row) => `| \`${row.name}\` | ${row.kind} | ${cell(row.claims.value)}${row.claims.badInput ? ', bad input' : ''} |`).join('\n')}
`;
}

async function main(): Promise<void> {
  await ensureBuilt('test');
  if (!existsSync(titlesFile)) keepTitles((await runVitest([], { show: false })).passed);
  const { problems, rows, lacks } = await judgeSurface();
  for (const row of rows.values()) {
    const lacking = lacks.get(row.name)!;
    process.stdout.write(`${row.name}: ${lacking.length === 0 ? 'complete' : `lacks ${lacking.join(', ')}`}\n`);
  }
  writeFileSync(join(root, 'FEATURES.md'), featuresText(rows));
  for (const problem of problems) process.stdout.write(`surface: ${problem}\n`);
  process.stdout.write(`${rows.size} names, ${problems.length} problems\n`);
  process.exit(problems.length === 0 ? 0 : 1);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
