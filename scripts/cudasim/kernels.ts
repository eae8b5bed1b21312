/** The kernels of a module, their parameters, and whether arguments fit them. */
import { kinds, UsageError, type Argument } from './values.js';

export interface Parameter {
  /** as the driver gives it */
  readonly size: number;
  /** as the PTX declares it: `.u64 x` */
  readonly text: string;
  /** .u64, .f32, ... */
  readonly type: string;
}
export interface Kernel {
  readonly name: string;
  readonly parameters: readonly Parameter[];
}

/** The parameter declarations of each entry in PTX text: the driver knows sizes, the text also types and names. */
export function declaredParameters(ptx: string): Map<string, string[]> {
  const plain = ptx.replace(/\/\*[^]*?\*\/|\/\/.*/g, ' ');
  const found = new Map<string, string[]>();
  for (const [, name, list] of plain.matchAll(/\.entry\s+([\w$]+)\s*(?:\(([^)]*)\))?/g)) {
    const items = (list ?? '').split(',').map((item) =>
      item
        .replace(/\.param\b/, '')
        .trim()
        .replace(/\s+/g, ' '),
    );
    found.set(name!, items.filter(Boolean));
  }
  return found;
}

/** Puts the driver's list (lines `kernel NAME SIZES`) beside the declarations. */
export function kernelsOf(lines: readonly (readonly string[])[], ptx: string): Kernel[] {
  const declared = declaredParameters(ptx);
  return lines
    .filter(([word]) => word === 'kernel')
    .map(([, name = '', sizes = '']) => ({
      name,
      parameters: sizes
        .split(',')
        .filter(Boolean)
        .map((size, i) => {
          // A name that nvcc made, `_Z5saxpyPff_param_0`, says no more than its place.
          const text = declared.get(name)?.[i]?.replace(/\s\S+_param_\d+(?=\[|$)/, '') ?? `${size} bytes`;
          return { size: Number(size), text, type: /\.[usbf]\d+\b/.exec(text)?.[0] ?? '' };
        }),
    }));
}

/** `saxpy(.u64 y, .f32 a)` */
export const signature = ({ name, parameters }: Kernel): string =>
  `${name}(${parameters.map(({ text }) => text).join(', ')})`;

export const listed = (kernels: readonly Kernel[]): string =>
  kernels.map((kernel) => `  ${signature(kernel)}`).join('\n');

/**
 * The kernel that was asked for: by its full name, or by the plain name inside a C++ one, where only one has it.
 * @throws UsageError listing the kernels there are
 */
export function chooseKernel(kernels: readonly Kernel[], wanted: string | undefined): Kernel {
  if (wanted === undefined) {
    if (kernels.length === 1) return kernels[0]!;
    throw new UsageError(`the module has ${kernels.length} kernels; choose one with --kernel:\n${listed(kernels)}`);
  }
  const exact = kernels.find(({ name }) => name === wanted);
  if (exact) return exact;
  // In a C++ name its length stands before it; another digit before that belongs to a longer name.
  const part = new RegExp(`^_Z(.*\\D)?${wanted.length}${wanted.replace(/\W/g, '\\$&')}`);
  const inside = kernels.filter(({ name }) => part.test(name));
  if (inside.length === 1) return inside[0]!;
  const what = inside.length === 0 ? `there is no kernel '${wanted}'` : `'${wanted}' could be any of several kernels`;
  throw new UsageError(`${what}; the module has\n${listed(inside.length === 0 ? kernels : inside)}`);
}

/** @throws UsageError naming the parameter list, when number, size or type differ */
export function checkArguments(kernel: Kernel, args: readonly Argument[]): void {
  const { parameters } = kernel;
  const wrong = (what: string): never => {
    throw new UsageError(`${what}; the kernel is\n  ${signature(kernel)}`);
  };
  if (args.length !== parameters.length) {
    wrong(`${args.length} arguments were given for ${parameters.length} parameters`);
  }
  args.forEach((argument, i) => {
    const { size, type } = parameters[i]!;
    const kind = kinds[argument.kind]!;
    const bytes = argument.buffer ? 8 : kind.bytes;
    const what = argument.buffer ? `a buffer (an address of ${bytes} bytes)` : `${argument.kind} (${bytes} bytes)`;
    if (bytes !== size) wrong(`argument ${i} is ${what}, its parameter has ${size} bytes`);
    // Of the same size and still not the same: an integer's bits read as a float.
    const real = !argument.buffer && kind.real;
    if ((type.startsWith('.f') && !real) || (/^\.[us]/.test(type) && real)) {
      wrong(`argument ${i} is ${what}, its parameter is ${type}`);
    }
  });
}
