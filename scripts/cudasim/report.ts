/** What a run found, for a person. */
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Summary } from './values.js';

export type Three = readonly [number, number, number];

export interface Finding {
  readonly check: string;
  readonly kernel: string;
  readonly block: Three;
  readonly thread: Three;
  readonly file: string;
  readonly line: number;
  readonly ptx_line: number;
  readonly message: string;
}

export type Counters = Readonly<Record<string, number>>;

/** One argument as it was given; a buffer that came back says what the kernel left in it. */
export interface ArgumentReport {
  readonly argument: string;
  readonly parameter: string;
  readonly result?: Summary & { readonly written: boolean; readonly sha256: string };
}

export interface Failure {
  readonly call: string;
  readonly code: number;
  readonly name: string;
  readonly text: string;
}

export interface Report {
  readonly file: string;
  readonly kernel: string;
  readonly grid: Three;
  readonly block: Three;
  readonly shared: number;
  /** the driver's answer, when it is an error */
  readonly failure: Failure | null;
  readonly findings: readonly Finding[];
  /** null when the kernel was not launched */
  readonly counters: Counters | null;
  readonly arguments: readonly ArgumentReport[];
}

const whole = (n: number): string => n.toLocaleString('en-US');
const number = (x: number | bigint | null): string =>
  x === null ? '-' : typeof x === 'bigint' || Number.isInteger(x) ? String(x) : String(Number(x.toPrecision(6)));
const ratio = (a: number, b: number): string => (b === 0 ? '-' : (a / b).toFixed(2));

/** A line of a text file, or nothing where there is no such line. */
function sourceLine(file: string, line: number): string {
  if (line <= 0 || !existsSync(file)) return '';
  return readFileSync(file, 'utf8').split('\n')[line - 1]?.trim() ?? '';
}

function findingText(finding: Finding, ptx: string): string {
  const { check, block, thread, file, line, ptx_line, message } = finding;
  const known = file !== '' && line > 0;
  const place = known ? `${relative('', file)}:${line} (PTX line ${ptx_line})` : `PTX line ${ptx_line}`;
  const source = known ? sourceLine(file, line) : sourceLine(ptx, ptx_line);
  const lines = [`  ${check}: ${message}`, `    at ${place}, block ${block.join(',')}, thread ${thread.join(',')}`];
  if (source !== '') lines.push(`    | ${source}`);
  return lines.join('\n');
}

function countersText(counters: Counters): string[] {
  const c = (name: string): number => counters[name] ?? 0;
  const rows: [string, string][] = [];
  const some = (names: Readonly<Record<string, string>>): string =>
    Object.entries(names)
      .filter(([name]) => c(name) > 0)
      .map(([name, text]) => `${text} ${whole(c(name))}`)
      .join(', ');
  const efficiency = ((100 * c('laneInstructions')) / (32 * c('warpInstructions'))).toFixed(1);
  rows.push(['instructions', `${whole(c('warpInstructions'))} of warps, ${whole(c('laneInstructions'))} of lanes`]);
  rows.push(['SIMT efficiency', `${efficiency} %`]);
  rows.push([
    'lane instructions',
    some({
      integer: 'integer',
      float32: 'float32',
      float64: 'float64',
      half: 'half',
      conversion: 'conversion',
      move: 'move',
      control: 'control',
    }),
  ]);
  rows.push([
    'operations',
    some({
      flops32: 'float32',
      flops64: 'float64',
      flops16: 'half',
      flopsMma: 'tensor core',
      mma: 'in mma instructions',
    }),
  ]);
  for (const [row, prefix] of [
    ['global loads', 'globalLoad'],
    ['global stores', 'globalStore'],
  ] as const) {
    const requests = c(`${prefix}Requests`);
    const sectors = c(`${prefix}Sectors`);
    if (requests === 0) continue;
    rows.push([
      row,
      `${whole(c(`${prefix}Bytes`))} bytes, ${whole(requests)} requests, ${whole(sectors)} sectors ` +
        `(${ratio(sectors, requests)} a request)`,
    ]);
  }
  if (c('sharedBytes') > 0) {
    const [cycles, ideal] = [c('sharedCycles'), c('sharedIdealCycles')];
    rows.push([
      'shared memory',
      `${whole(c('sharedBytes'))} bytes, ${whole(cycles)} bank cycles (ideal ${whole(ideal)})`,
    ]);
  }
  rows.push(['local memory', c('localBytes') > 0 ? `${whole(c('localBytes'))} bytes` : '']);
  rows.push([
    'control',
    some({ branches: 'branches', divergentBranches: 'divergent', barriers: 'barriers', atomics: 'atomics' }),
  ]);
  return rows.filter(([, text]) => text !== '').map(([name, text]) => `  ${name.padEnd(18)} ${text}`);
}

function argumentText({ argument, parameter, result }: ArgumentReport, i: number): string {
  const head = `  ${i} ${parameter}: ${argument}`;
  if (result === undefined) return head;
  if (!result.written) return `${head}, not changed`;
  const { first, min, max, nan, sha256 } = result;
  return [
    `${head}, written`,
    `    first ${first.map(number).join(' ')}`,
    `    min ${number(min)}, max ${number(max)}, NaN ${nan}, sha256 ${sha256}`,
  ].join('\n');
}

/** `ptx`: the file that was loaded, to quote a line where no source line is known. */
export function reportText(report: Report, ptx: string): string {
  const { kernel, grid, block, shared, failure, findings, counters } = report;
  const lines = [
    `${kernel}: grid ${grid.join(',')}, block ${block.join(',')}, ${shared} bytes of dynamic shared memory`,
  ];
  if (failure !== null) lines.push(`${failure.call} returned ${failure.code}, ${failure.name}: ${failure.text}`);
  lines.push('', findings.length === 0 ? 'no findings' : `${findings.length} finding${findings.length > 1 ? 's' : ''}`);
  for (const finding of findings) lines.push(findingText(finding, ptx));
  if (counters !== null) lines.push('', 'counters (modelled)', ...countersText(counters));
  if (report.arguments.length > 0) lines.push('', 'arguments', ...report.arguments.map(argumentText));
  if (failure !== null && report.arguments.length > 0) lines.push('  (a lost device gives nothing back)');
  return `${lines.join('\n')}\n`;
}
