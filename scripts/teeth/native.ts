/**
 * Breaks lines of the CPU back end on purpose. All breaks are compiled into one copy of the sources, each behind a switch that
 * WARPLOOM_TEETH_BREAK turns when a program starts: one build serves all of them, and each instruction set by itself.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../build.js';
import { bin, root, start } from '../support/runner.js';
import { isas, type Break, type Family, type Isa } from './breaks/break.js';
import { conv } from './breaks/conv.js';
import { matmul } from './breaks/matmul.js';
import { pool } from './breaks/pool.js';
import { reduce } from './breaks/reduce.js';
import { softmax } from './breaks/softmax.js';

const families: readonly Family[] = [reduce, softmax, pool, conv, matmul];

export interface NativeBite {
  readonly name: string;
  readonly broken: Break;
  readonly family: Family;
  readonly isa: Isa;
  /** of the switch */
  readonly number: number;
}

/** The instruction sets of this machine. */
function ownIsas(): Isa[] {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' '));
  return isas.filter((isa) => isa === 'baseline' || flags.has(isa === 'avx2' ? 'avx2' : 'avx512f'));
}

export function nativeBites(): NativeBite[] {
  const own = ownIsas();
  const all = families.flatMap((family) => family.breaks.map((broken) => ({ family, broken })));
  const numbers = new Set<number>();
  return all.flatMap(({ family, broken }) => {
    const name = nameOf(broken);
    const number = numberOf(name);
    if (numbers.has(number)) throw new Error(`${name} is there twice`);
    numbers.add(number);
    return own
      .filter((isa) => broken.isas?.includes(isa) ?? true)
      .map((isa) => ({ name: `${name}, ${isa}`, broken, family, isa, number }));
  });
}

const nameOf = (broken: Break): string => `native ${broken.file}: ${broken.name}`;

/** From the name alone: a new break leaves the sources of the others as they are. */
const numberOf = (name: string): number => createHash('sha256').update(name).digest().readUInt32LE() >>> 1;

const cpu = join(root, 'native', 'cpu');
const copy = join(root, 'build-teeth', 'native');
const built = join(copy, 'build');

const switches = `#pragma once
#include <cstdio>
#include <cstdlib>
// A switch hides from the compiler what it knew.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
namespace warploom::teeth {
inline int numberOf(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? -1 : std::atoi(text);
}
inline const int broken = numberOf("WARPLOOM_TEETH_BREAK"), isa = numberOf("WARPLOOM_TEETH_ISA");
inline bool reached() {
  static const bool marked = [] {
    const char* path = std::getenv("WARPLOOM_TEETH_MARK");
    std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "w");
    if (file != nullptr) std::fclose(file);
    return true;
  }();
  return marked;
}
}  // namespace warploom::teeth
#define WL_TEETH_ALL(n) (__builtin_expect(::warploom::teeth::broken == (n), 0) && ::warploom::teeth::reached())
#define WL_TEETH(n) \\
  (__builtin_expect(::warploom::teeth::broken == (n), 0) && ::warploom::teeth::isa == WL_ISA_LEVEL && \\
   ::warploom::teeth::reached())
`;

/** One span of a source, and what stands there for each break of it. */
interface Span {
  readonly begin: number;
  readonly end: number;
  readonly breaks: { readonly number: number; readonly to: string }[];
}

/** The text of a file with its breaks behind switches. */
export function withBreaks(text: string, breaks: readonly { number: number; broken: Break }[]): string {
  const spans: Span[] = [];
  for (const { number, broken } of breaks) {
    const [before, original, after] = broken.at.split(/[«»]/) as [string, string, string];
    const whole = before + original + after;
    const at = text.indexOf(whole);
    const where = `${broken.file}, ${broken.name}: ${JSON.stringify(whole)}`;
    if (at < 0) throw new Error(`${where} is not there`);
    if (text.includes(whole, at + 1)) throw new Error(`${where} is there twice`);
    const begin = at + before.length;
    const end = begin + original.length;
    const same = spans.find((span) => span.begin === begin && span.end === end);
    if (same) same.breaks.push({ number, to: broken.to });
    else if (spans.some((span) => span.begin < end && begin < span.end)) throw new Error(`${where} overlaps another`);
    else spans.push({ begin, end, breaks: [{ number, to: broken.to }] });
  }
  // A source that is compiled once has no instruction set of its own.
  const once = breaks.some(({ broken }) => broken.file.endsWith('.cc')) && !text.includes('cpu/foreach_isa.h');
  const test = once ? 'WL_TEETH_ALL' : 'WL_TEETH';
  for (const { begin, end, breaks: here } of spans.sort((a, b) => b.begin - a.begin)) {
    let code = text.slice(begin, end);
    const statement = code.endsWith(';');
    for (const { number, to } of here) {
      code = statement
        ? `if (${test}(${number})) { ${to} } else { ${code} }`
        : `(${test}(${number}) ? (${to}) : (${code}))`;
    }
    text = text.slice(0, begin) + code + text.slice(end);
  }
  return text;
}

/** Of each file that a break is listed for, the text with all of them. */
export function brokenFiles(): Map<string, string> {
  const all = families.flatMap((family) => family.breaks);
  const texts = new Map<string, string>();
  for (const file of new Set(all.map((broken) => broken.file))) {
    const here = all
      .filter((broken) => broken.file === file)
      .map((broken) => ({ number: numberOf(nameOf(broken)), broken }));
    texts.set(file, withBreaks(readFileSync(join(cpu, file), 'utf8'), here));
  }
  return texts;
}

/** The sources that include one of `files`, or are one. */
function affected(folder: string, files: ReadonlySet<string>): string[] {
  const reads = (name: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(name) || !existsSync(join(folder, name))) return seen;
    seen.add(name);
    const text = readFileSync(join(folder, name), 'utf8');
    for (const [, next] of text.matchAll(/#include "cpu\/([^"]+)"/g)) reads(next!, seen);
    return seen;
  };
  return readdirSync(folder).filter((name) => name.endsWith('.cc') && [...reads(name)].some((f) => files.has(f)));
}

/** Writes only what changed, so that what did not is not compiled again. */
function writeChanged(file: string, text: string): void {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
}

/** Copies the sources, breaks them, and builds the addon and the native tests of the families. */
export function buildBroken(): void {
  mkdirSync(copy, { recursive: true });
  rmSync(join(copy, 'test'), { recursive: true, force: true });
  const files = brokenFiles();
  const touched = new Set([...files.keys(), ...affected(cpu, new Set(files.keys()))]);
  for (const part of ['native', 'test/native', 'package.json', 'CMakeLists.txt', 'bench/native']) {
    cpSync(join(root, part), join(copy, part), {
      recursive: true,
      preserveTimestamps: true,
      filter: (from) => !from.startsWith(`${cpu}/`) || !touched.has(from.slice(cpu.length + 1)),
    });
  }
  for (const name of readdirSync(join(copy, 'native'), { recursive: true, encoding: 'utf8' })) {
    const ours = name === join('cpu', 'teeth.h') || existsSync(join(root, 'native', name));
    if (!ours) rmSync(join(copy, 'native', name), { recursive: true, force: true });
  }
  if (!existsSync(join(copy, 'node_modules'))) symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  writeChanged(join(copy, 'native', 'cpu', 'teeth.h'), switches);
  for (const file of touched) {
    const text = files.get(file) ?? readFileSync(join(cpu, file), 'utf8');
    writeChanged(join(copy, 'native', 'cpu', file), file.endsWith('.cc') ? `#include "cpu/teeth.h"\n${text}` : text);
  }
  const targets = ['warploom_addon', ...new Set(families.flatMap((family) => family.native))];
  const cmakeJs = ['-d', copy, '-O', built];
  const options = ['-DWARPLOOM_TESTS=ON', '-DWARPLOOM_CUDASIM=OFF', '-DWARPLOOM_NVCC='];
  if (!existsSync(join(built, 'build.ninja')) && !existsSync(join(built, 'Makefile'))) {
    run(bin('cmake-js'), ['configure', ...cmakeJs, '--', ...options]);
  }
  run('cmake', ['--build', built, '--parallel', '2', '--target', ...targets], { show: true });
}

/** Runs the tests of one break until one is red; `mark` is a file that the program writes where it reaches the break. */
export async function biteNative(bite: NativeBite, mark: string): Promise<'red' | 'survived' | 'never reached'> {
  const env = {
    WARPLOOM_TEETH_BREAK: String(bite.number),
    WARPLOOM_TEETH_ISA: String(isas.indexOf(bite.isa)),
    WARPLOOM_TEETH_MARK: mark,
    WARPLOOM_ISA: bite.isa,
    WARPLOOM_ADDON: join(built, 'Release', 'warploom.node'),
  };
  for (const test of bite.family.native) {
    const done = await start(join(built, test), [], { env, timeoutSeconds: 300 });
    if (done.code !== 0) return 'red';
  }
  const args = ['run', ...bite.family.files, '--bail', '1', '--reporter', 'dot'];
  const done = await start(bin('vitest'), args, { env, timeoutSeconds: 300 });
  if (done.code !== 0) return 'red';
  return existsSync(mark) ? 'survived' : 'never reached';
}
