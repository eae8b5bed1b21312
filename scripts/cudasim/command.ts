/** `npm run cudasim`, apart from the process it runs in and from building what it needs. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { simulatorLibrary, simulatorTool } from '../build.js';
import { findNvcc, NvccError } from '../support/nvcc.js';
import { root, start } from '../support/runner.js';
import { checkArguments, chooseKernel, kernelsOf, type Kernel } from './kernels.js';
import { reportText, type Counters, type Failure, type Finding, type Report, type Three } from './report.js';
import {
  bytesOf,
  initialBytes,
  parseArgument,
  scalarHex,
  summarise,
  UsageError,
  type Argument,
  type BufferArgument,
} from './values.js';

export const USAGE = `usage: npm run cudasim -- FILE [--kernel NAME] --grid X[,Y[,Z]] --block X[,Y[,Z]] [--arg ARG]... [OPTION...]

Runs one kernel of a .ptx or .cu file on the CPU: its findings, its counters, what it wrote.

  --kernel NAME      may be left out when the file has one; of a C++ name the plain part is enough
  --grid, --block    blocks, and threads of a block
  --smem N           bytes of dynamic shared memory (default 0)
  --arg ARG          one for each parameter, in order:
                       KIND:N:FILL[:SEED]   a buffer of N elements: f32 f64 f16 bf16 i32 i64 u8,
                                            filled by randn uniform zeros ones arange uninit
                       KIND=VALUE           a scalar: i32 i64 u32 u64 f32 f64
  --check LIST       of mem,init,race,sync, or none (CUDASIM_CHECK)
  --seed N           the schedule (CUDASIM_SEED); 0 is the plain order
  --threads N        of the CPU (CUDASIM_THREADS)
  --json             the report as JSON
  --help             this text

A .cu file needs nvcc: on PATH, or named by WARPLOOM_NVCC. Exit code: 0 clean, 1 findings or a failed call, 2 not understood.
`;

/** Something other than the command line went wrong. */
class RunError extends Error {}

interface Options {
  readonly file: string;
  readonly kernel?: string;
  readonly grid: Three;
  readonly block: Three;
  readonly shared: number;
  readonly args: readonly Argument[];
  /** as they were written */
  readonly written: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly json: boolean;
}

function three(name: string, text: string | undefined): Three {
  const parts = (text ?? '').split(',');
  if (parts.length > 3 || parts.some((part) => !/^[1-9]\d{0,9}$/.test(part))) {
    throw new UsageError(`--${name} takes X, X,Y or X,Y,Z, each from 1${text === undefined ? '' : `, not '${text}'`}`);
  }
  const [x, y = 1, z = 1] = parts.map(Number);
  return [x!, y, z];
}

function wholeNumber(name: string, text: string): string {
  if (!/^\d{1,18}$/.test(text)) throw new UsageError(`--${name} takes a whole number, not '${text}'`);
  return text;
}

function parseOptions(args: readonly string[]): Options | null {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      kernel: { type: 'string' },
      grid: { type: 'string' },
      block: { type: 'string' },
      smem: { type: 'string', default: '0' },
      arg: { type: 'string', multiple: true, default: [] },
      check: { type: 'string' },
      seed: { type: 'string' },
      threads: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError('one FILE, a .ptx or a .cu, is needed');
  if (!/\.(ptx|cu)$/.test(file)) throw new UsageError(`${file}: neither a .ptx nor a .cu file`);
  if (!existsSync(file)) throw new UsageError(`${file}: no such file`);
  const env: Record<string, string> = {};
  if (values.check !== undefined) {
    if (!/^(none|(mem|init|race|sync)(,(mem|init|race|sync))*)$/.test(values.check)) {
      throw new UsageError(`--check takes a list of mem, init, race, sync, or none, not '${values.check}'`);
    }
    env['CUDASIM_CHECK'] = values.check;
  }
  if (values.seed !== undefined) env['CUDASIM_SEED'] = wholeNumber('seed', values.seed);
  if (values.threads !== undefined) env['CUDASIM_THREADS'] = wholeNumber('threads', values.threads);
  const shared = Number(wholeNumber('smem', values.smem));
  if (shared > 2 ** 31) throw new UsageError(`--smem ${shared}: no device has so much`);
  return {
    file: resolve(file),
    kernel: values.kernel,
    grid: three('grid', values.grid),
    block: three('block', values.block),
    shared,
    args: values.arg.map(parseArgument),
    written: values.arg,
    env,
    json: values.json,
  };
}

/** The PTX of a file; a .cu is compiled, and what nvcc says about it is the error. */
async function ptxOf(file: string, folder: string): Promise<string> {
  if (file.endsWith('.ptx')) return file;
  const nvcc = findNvcc();
  if (nvcc === undefined) {
    throw new RunError(
      `${relative('', file)} needs nvcc, and there is none${process.env['WARPLOOM_NVCC'] === '' ? ' (WARPLOOM_NVCC is empty)' : ''}.\n` +
        'Put it on PATH, name it with WARPLOOM_NVCC, or give a .ptx file.',
    );
  }
  const ptx = join(folder, 'module.ptx');
  // The headers of this repository are found as its own kernels find them.
  const args = ['-ptx', '-lineinfo', '-arch=compute_80', '-I', join(root, 'native'), '-o', ptx, file];
  const done = await start(nvcc, args, { timeoutSeconds: 300 });
  if (done.code !== 0) throw new RunError(`nvcc did not compile ${relative('', file)}:\n${done.output.trimEnd()}`);
  return ptx;
}

interface ToolAnswer {
  /** fields of each line */
  readonly lines: readonly (readonly string[])[];
  readonly failure: Failure | null;
  /** what the driver says about the module */
  readonly log: string;
}

async function tool(args: readonly string[], env: Readonly<Record<string, string>>): Promise<ToolAnswer> {
  const done = await start(simulatorTool, args, { env });
  const lines = done.output.split('\n').map((line) => line.split('\t'));
  const failed = lines.find(([word]) => word === 'failed');
  if (done.code > 1 || done.signal !== null || (done.code === 1 && failed === undefined)) {
    throw new RunError(`the simulator ended with ${done.signal ?? done.code}:\n${done.output.trimEnd()}`);
  }
  const [, call = '', code = '', name = '', text = ''] = failed ?? [];
  const rest = lines.filter(([word]) => word === 'log').map(([, line]) => line);
  // Complaints about variables come on stderr.
  rest.push(...lines.filter(([word]) => word?.startsWith('cudasim: ')).map((fields) => fields.join('\t')));
  return { lines, failure: failed ? { call, code: Number(code), name, text } : null, log: rest.join('\n') };
}

const failureText = ({ call, code, name, text }: Failure, log: string): string =>
  `${log === '' ? '' : `${log}\n`}${call} returned ${code}, ${name}: ${text}`;

function jsonLines<T>(file: string): T[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}

async function launch(options: Options, kernel: Kernel, ptx: string, folder: string): Promise<Report> {
  const { args, grid, block, shared } = options;
  const before = args.map((argument) => (argument.buffer ? initialBytes(argument) : null));
  before.forEach((bytes, i) => bytes && writeFileSync(join(folder, `${i}.in`), bytes));
  const described = args.map((argument, i) =>
    argument.buffer ? `${before[i] ? 'in' : 'fresh'}:${bytesOf(argument)}` : `value:${scalarHex(argument)}`,
  );
  const [report, counters] = [join(folder, 'report'), join(folder, 'counters')];
  const where = [grid.join(','), block.join(','), String(shared), folder];
  const env = { ...options.env, CUDASIM_REPORT: report, CUDASIM_COUNTERS: counters };
  const { failure, log } = await tool([simulatorLibrary, ptx, kernel.name, ...where, ...described], env);
  if (failure?.call === 'cuLaunchKernel' || failure?.call === 'cuFuncSetAttribute') {
    throw new RunError(
      `${failureText(failure, log)}\nThe driver refused the launch: at most 1024 threads in a block (fewer where the kernel says ` +
        `.maxntid), 65535 blocks in y and z, and 163 KB of shared memory, static and dynamic together.`,
    );
  }
  if (failure !== null && failure.call !== 'cuCtxSynchronize') throw new RunError(failureText(failure, log));
  const result = (argument: BufferArgument, i: number) => {
    const bytes = readFileSync(join(folder, `${i}.out`));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    // Whether a buffer that started as nobody's bytes was written cannot be told; it is shown.
    return { written: before[i] === null || !bytes.equals(before[i]!), ...summarise(argument.kind, bytes), sha256 };
  };
  return {
    file: options.file,
    kernel: kernel.name,
    grid,
    block,
    shared,
    failure,
    findings: jsonLines<Finding>(report),
    counters: jsonLines<Counters>(counters)[0] ?? null,
    arguments: args.map((argument, i) => ({
      argument: options.written[i]!,
      parameter: kernel.parameters[i]!.text,
      ...(argument.buffer && failure === null ? { result: result(argument, i) } : {}),
    })),
  };
}

/** Runs the command line and gives the exit code. The simulator must have been built. */
export async function main(
  args: readonly string[],
  out: NodeJS.WritableStream,
  err: NodeJS.WritableStream,
): Promise<number> {
  let folder: string | undefined;
  try {
    const options = parseOptions(args);
    if (options === null) {
      out.write(USAGE);
      return 0;
    }
    folder = mkdtempSync(join(tmpdir(), 'cudasim-'));
    const ptx = await ptxOf(options.file, folder);
    const { lines, failure, log } = await tool([simulatorLibrary, ptx], options.env);
    if (failure !== null) throw new RunError(failureText(failure, log));
    const kernels = kernelsOf(lines, readFileSync(ptx, 'utf8'));
    if (kernels.length === 0) throw new UsageError(`${relative('', options.file)} has no kernel`);
    const kernel = chooseKernel(kernels, options.kernel);
    checkArguments(kernel, options.args);
    const report = await launch(options, kernel, ptx, folder);
    // JSON has neither whole numbers beyond 2^53 nor NaN and the infinities: they go as text.
    const plain = (_: string, value: unknown) =>
      typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value;
    out.write(options.json ? `${JSON.stringify(report, plain, 2)}\n` : reportText(report, ptx));
    return report.findings.length > 0 || report.failure !== null ? 1 : 0;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const usage = error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS');
    if (!usage && !(error instanceof RunError) && !(error instanceof NvccError)) throw error;
    err.write(`cudasim: ${message}\n`);
    return usage ? 2 : 1;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
