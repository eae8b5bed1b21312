/**
 * What each promised name claims (test/surface.json) and the record of the cases that ran and passed. A test adds to the record
 * at its end, so a failing or skipped one leaves its claim without a case.
 */
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const evidenceFolder = join(root, 'build-surface');

export const columns = ['value', 'gradient', 'secondGradient', 'edge', 'nan', 'badInput', 'pytorch'] as const;
export type Column = (typeof columns)[number];

/** Dtypes that are claimed, or the reason why the column does not apply. */
export type Claim = readonly string[] | { readonly reason: string };

export interface Row {
  readonly name: string;
  readonly kind: 'op' | 'function' | 'class' | 'object' | 'method';
  readonly claims: Readonly<Partial<Record<Column, Claim>>>;
}

export interface Evidence {
  readonly name: string;
  readonly column: Column;
  readonly device: string;
  readonly dtype: string;
}

interface SurfaceFile {
  readonly dtypes: Readonly<Record<string, readonly string[]>>;
  readonly reasons: Readonly<Record<string, string>>;
  readonly names: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * The rows of surface.json. A cell is `@set` (a named set of dtypes), `*` (a name that has no dtypes: any case counts), or
 * `-reason` (a named reason why there is nothing to claim).
 */
export function readSurface(): Map<string, Row> {
  const file = JSON.parse(readFileSync(join(root, 'test', 'surface.json'), 'utf8')) as SurfaceFile;
  const rows = new Map<string, Row>();
  for (const [name, { kind, ...cells }] of Object.entries(file.names)) {
    const claims: Partial<Record<Column, Claim>> = {};
    for (const [column, cell] of Object.entries(cells)) {
      if (!(columns as readonly string[]).includes(column))
        throw new Error(`surface.json: ${name} has no column ${column}`);
      const key = cell.slice(1);
      if (cell === '*') claims[column as Column] = ['*'];
      else if (cell.startsWith('@') && file.dtypes[key]) claims[column as Column] = file.dtypes[key];
      else if (cell.startsWith('-') && file.reasons[key]) claims[column as Column] = { reason: file.reasons[key] };
      else throw new Error(`surface.json: ${name}.${column} says ${cell}, which names no set and no reason`);
    }
    rows.set(name, { name, kind: kind as Row['kind'], claims });
  }
  return rows;
}

export function testDevices(): string[] {
  return (process.env['WARPLOOM_TEST_DEVICES'] ?? 'cpu').split(',').filter((d) => d !== '');
}

/** CUDA devices leave float64 to the CPU. */
export const computes = (device: string, dtype: string): boolean => !(device.startsWith('cuda') && dtype === 'float64');

/** Tests of a broken op are no evidence. */
const broken = process.env['WARPLOOM_TEETH'] !== undefined;
let folderMade = false;

export function record(name: string, column: Column, device = '*', dtype = '*'): void {
  if (broken) return;
  if (!folderMade) mkdirSync(evidenceFolder, { recursive: true });
  folderMade = true;
  appendFileSync(join(evidenceFolder, `${process.pid}.jsonl`), `${JSON.stringify({ name, column, device, dtype })}\n`);
}

/** For tests of what is no op (classes, functions): the last line of a test that covers `name`. */
export function covers(name: string, ...what: Column[]): void {
  for (const column of what.length > 0 ? what : (['value'] as const)) record(name, column);
}
