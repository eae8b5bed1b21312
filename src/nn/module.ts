/**
 * Module: a tree of parameters, buffers and further modules, all found among a module's own properties, so plain class
 * fields suffice. Names are PyTorch's: the path of property names, '0.weight' or 'layers.1.bias'.
 */
import * as native from '../addon.ops.js';
import { device as openDevice, Device, type DeviceLike } from '../device.js';
import { isDType, isFloating, type DType } from '../dtype.js';
import { FormatError, ShapeError } from '../errors.js';
import { to } from '../ops/copy.js';
import { keep } from '../scope.js';
import { Tensor } from '../tensor.js';
import { isParameter } from './parameter.js';

export type StateDict = Record<string, Tensor>;

export type ForwardPreHook<M extends Module = Module> = (
  module: M,
  inputs: readonly unknown[],
) => readonly unknown[] | undefined | void;
export type ForwardHook<M extends Module = Module> = (
  module: M,
  inputs: readonly unknown[],
  output: unknown,
) => unknown;

/** A module from one tensor to one tensor: what Sequential chains. */
export interface Layer extends Module {
  forward(x: Tensor): Tensor;
}

export interface LoadResult {
  /** names the module has and the state dict lacks */
  missing: string[];
  /** names the state dict has and the module lacks */
  unexpected: string[];
}

export interface ToOptions {
  device?: DeviceLike;
  dtype?: DType;
}

/**
 * The base of all layers and models. A subclass holds its tensors and modules in public (or TypeScript-private) fields
 * and defines `forward`; `#private` fields are not seen. Arrays of modules are listed as `name.0`, `name.1`, as
 * ModuleList would.
 *
 * ```ts
 * class Block extends nn.Module {
 *   norm = new nn.LayerNorm(64);
 *   scale = nn.parameter(ones([64]));
 *   forward(x: Tensor) { return this.norm.forward(x).mul(this.scale); }
 * }
 * ```
 */
export abstract class Module {
  /** whether layers such as Dropout act as in training; set by train() and eval() */
  training = true;
  /** names of the properties that are buffers, and whether the state dict holds them */
  readonly #buffers = new Map<string, boolean>();
  readonly #preHooks = new Set<ForwardPreHook>();
  readonly #hooks = new Set<ForwardHook>();

  abstract forward(...inputs: never[]): unknown;

  /** `forward` between the hooks of this module; Sequential and the layers call their children this way. */
  call(...inputs: Parameters<this['forward']>): ReturnType<this['forward']> {
    let given: readonly unknown[] = inputs;
    for (const hook of this.#preHooks) given = hook(this, given) ?? given;
    let output: unknown = this.forward(...(given as never[]));
    for (const hook of this.#hooks) output = hook(this, given, output) ?? output;
    return output as ReturnType<this['forward']>;
  }

  /** Runs before `call`'s forward and may replace its inputs. Returns the function that removes it. */
  registerForwardPreHook(hook: ForwardPreHook): () => void {
    this.#preHooks.add(hook);
    return () => this.#preHooks.delete(hook);
  }

  /** Runs after `call`'s forward and may replace its output. Returns the function that removes it. */
  registerForwardHook(hook: ForwardHook): () => void {
    this.#hooks.add(hook);
    return () => this.#hooks.delete(hook);
  }

  /** @internal whether a hook sees what goes in or comes out */
  get isWatched(): boolean {
    return this.#preHooks.size > 0 || this.#hooks.size > 0;
  }

  /**
   * What this module holds, by name, in the order of assignment. Containers name their items instead of their fields.
   */
  protected ownEntries(): [string, unknown][] {
    return Object.entries(this);
  }

  /**
   * Makes a tensor part of the module's state without training it: it is moved, saved (unless `persistent` is false)
   * and loaded as a property of that name. Returns the tensor.
   */
  registerBuffer(name: string, t: Tensor, { persistent = true }: { persistent?: boolean } = {}): Tensor {
    this.#buffers.set(name, persistent);
    keep(t);
    Object.defineProperty(this, name, { value: t, writable: true, enumerable: true, configurable: true });
    return t;
  }

  #ownParameters(): [string, Tensor][] {
    return this.ownEntries().filter(
      (entry): entry is [string, Tensor] =>
        entry[1] instanceof Tensor && !this.#buffers.has(entry[0]) && isParameter(entry[1]),
    );
  }

  #ownBuffers(persistentOnly = false): [string, Tensor][] {
    return this.ownEntries().filter((entry): entry is [string, Tensor] => {
      const persistent = this.#buffers.get(entry[0]);
      return persistent !== undefined && (persistent || !persistentOnly) && entry[1] instanceof Tensor;
    });
  }

  /** The modules directly inside, by name. */
  namedChildren(): [string, Module][] {
    return this.ownEntries().flatMap(([name, value]): [string, Module][] => {
      if (value instanceof Module) return [[name, value]];
      if (!Array.isArray(value)) return [];
      return value.flatMap((item, i): [string, Module][] => (item instanceof Module ? [[`${name}.${i}`, item]] : []));
    });
  }

  children(): Module[] {
    return [...new Set(this.namedChildren().map(([, child]) => child))];
  }

  /** Every place a module holds in the tree, this one first with the name ''; a module held twice appears twice. */
  #places(prefix = ''): [string, Module][] {
    const dot = prefix === '' ? '' : `${prefix}.`;
    const inner = this.namedChildren().flatMap(([name, child]) => child.#places(`${dot}${name}`));
    return [[prefix, this], ...inner];
  }

  /** This module (named '') and all inside, each once, under the first of its names. */
  namedModules(): [string, Module][] {
    return firstOfEach(this.#places());
  }

  modules(): Module[] {
    return this.namedModules().map(([, module]) => module);
  }

  #collect(own: (module: Module) => [string, Tensor][]): [string, Tensor][] {
    return this.#places().flatMap(([prefix, module]) =>
      own(module).map(([name, t]): [string, Tensor] => [prefix === '' ? name : `${prefix}.${name}`, t]),
    );
  }

  /** All parameters, each once, under the first of its names. */
  namedParameters(): [string, Tensor][] {
    return firstOfEach(this.#collect((module) => module.#ownParameters()));
  }

  parameters(): Tensor[] {
    return this.namedParameters().map(([, t]) => t);
  }

  namedBuffers(): [string, Tensor][] {
    return firstOfEach(this.#collect((module) => module.#ownBuffers()));
  }

  buffers(): Tensor[] {
    return this.namedBuffers().map(([, t]) => t);
  }

  /**
   * Parameters and persistent buffers by name, detached, sharing memory with the module: save or copy them before
   * training goes on. A shared parameter stands under each of its names, as in PyTorch.
   */
  stateDict(): StateDict {
    const entries = this.#collect((module) => [...module.#ownParameters(), ...module.#ownBuffers(true)]);
    return Object.fromEntries(entries.map(([name, t]) => [name, t.detach()]));
  }

  /**
   * Copies values into the parameters and buffers of the same names, converting dtype and device. Nothing is written
   * unless all fits.
   * Throws FormatError when names are missing or unexpected and `strict` is not false, ShapeError when shapes differ.
   */
  loadStateDict(state: Readonly<StateDict>, { strict = true }: { strict?: boolean } = {}): LoadResult {
    const own = new Map(this.#collect((module) => [...module.#ownParameters(), ...module.#ownBuffers(true)]));
    const missing = [...own.keys()].filter((name) => !Object.hasOwn(state, name));
    const unexpected = Object.keys(state).filter((name) => !own.has(name));
    if (strict && (missing.length > 0 || unexpected.length > 0)) {
      const list = (what: string, names: string[]): string =>
        names.length > 0 ? ` ${what}: ${names.join(', ')}.` : '';
      throw new FormatError(`names do not match.${list('Missing', missing)}${list('Unexpected', unexpected)}`, {
        op: 'loadStateDict',
        hint: 'Pass { strict: false } to load what fits.',
      });
    }
    const pairs = [...own].flatMap(([name, target]) =>
      Object.hasOwn(state, name) ? [{ name, target, source: state[name]! }] : [],
    );
    const wrong = pairs.filter(({ target, source }) => String(target.shape) !== String(source.shape));
    if (wrong.length > 0) {
      const list = wrong.map(
        ({ name, target, source }) => `${name} is (${target.shape.join(', ')}), given (${source.shape.join(', ')})`,
      );
      throw new ShapeError(`shapes do not match: ${list.join('; ')}.`, {
        op: 'loadStateDict',
        shapes: wrong.flatMap(({ target, source }) => [target.shape, source.shape]),
      });
    }
    for (const { target, source } of pairs) {
      const here = source.device === target.device ? source : to(source.detach(), { device: target.device });
      native.copy(target.device, here, target);
      target.storage.bump();
      if (here !== source) here.dispose();
    }
    return { missing, unexpected };
  }

  /** Sets `training` here and in all modules inside. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  requiresGrad_(requiresGrad = true): this {
    for (const t of this.parameters()) t.requiresGrad = requiresGrad;
    return this;
  }

  /** Stops gradients for all parameters; they stay in the state dict. */
  freeze(): this {
    return this.requiresGrad_(false);
  }

  unfreeze(): this {
    return this.requiresGrad_(true);
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const t of this.parameters()) t.grad = null;
  }

  /** Calls `fn` on every module, the innermost first. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  /**
   * Moves parameters and buffers to a device, floating-point ones to a dtype as well. The tensors keep their identity,
   * so optimizers built earlier still hold them; gradients are dropped. Build optimizers after moving all the same:
   * their state stays where it was.
   */
  to(target: DeviceLike | DType | ToOptions): this {
    const { device, dtype } = toOptions(target);
    const tensors = new Set([...this.parameters(), ...this.buffers()]);
    for (const t of tensors) {
      const newDType = dtype !== undefined && isFloating(t.dtype) ? dtype : t.dtype;
      const newDevice = device ?? t.device;
      if (newDType === t.dtype && newDevice === t.device) continue;
      const moved = to(t.detach(), { dtype: newDType, device: newDevice });
      t.setData(moved);
      moved.dispose();
    }
    return this;
  }

  /** A tree of names, as PyTorch prints it. */
  toString(): string {
    const lines = this.namedChildren().map(
      ([name, child]) => `  (${name}): ${child.toString().replaceAll('\n', '\n  ')}`,
    );
    const head = `${this.constructor.name}(${this.extraRepr()}`;
    return lines.length === 0 ? `${head})` : `${head}\n${lines.join('\n')}\n)`;
  }

  /** What toString() says between the parentheses. */
  protected extraRepr(): string {
    return '';
  }
}

function toOptions(target: DeviceLike | DType | ToOptions): { device: Device | undefined; dtype: DType | undefined } {
  if (typeof target === 'string') {
    return isDType(target) ? { device: undefined, dtype: target } : { device: openDevice(target), dtype: undefined };
  }
  if (target instanceof Device) return { device: target, dtype: undefined };
  const { device, dtype } = target;
  return { device: device === undefined ? undefined : openDevice(device), dtype };
}

function firstOfEach<T>(entries: [string, T][]): [string, T][] {
  const seen = new Set<T>();
  return entries.filter(([, value]) => !seen.has(value) && seen.add(value));
}
