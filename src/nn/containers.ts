/** Modules that hold modules. */
import { IndexError, NotSupportedError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { fused } from './fuse.js';
import { Module, type Layer } from './module.js';

/** Modules in a row under the names '0', '1', ...; called by the code that holds them, not by itself. */
export class ModuleList<M extends Module = Layer> extends Module implements Iterable<M> {
  readonly #items: M[];

  constructor(items: Iterable<M> = []) {
    super();
    this.#items = [...items];
  }

  protected override ownEntries(): [string, unknown][] {
    return this.#items.map((item, i) => [String(i), item]);
  }

  get length(): number {
    return this.#items.length;
  }

  /** Item `index`; negative ones count from the end. */
  at(index: number): M {
    const item = this.#items.at(index);
    if (item === undefined) {
      throw new IndexError(`index ${index} is out of range for ${this.#items.length} modules`, { op: 'ModuleList.at' });
    }
    return item;
  }

  append(item: M): this {
    this.#items.push(item);
    return this;
  }

  map<T>(fn: (item: M, index: number) => T): T[] {
    return this.#items.map(fn);
  }

  [Symbol.iterator](): Iterator<M> {
    return this.#items[Symbol.iterator]();
  }

  override forward(): never {
    throw new NotSupportedError('it holds modules and computes nothing', {
      op: 'ModuleList',
      hint: 'Call its items, or use Sequential.',
    });
  }
}

/** Modules under names of their own. */
export class ModuleDict<M extends Module = Layer> extends Module {
  readonly #items: Map<string, M>;

  constructor(items: Readonly<Record<string, M>> = {}) {
    super();
    this.#items = new Map(Object.entries(items));
  }

  protected override ownEntries(): [string, unknown][] {
    return [...this.#items];
  }

  keys(): string[] {
    return [...this.#items.keys()];
  }

  has(name: string): boolean {
    return this.#items.has(name);
  }

  get(name: string): M {
    const item = this.#items.get(name);
    if (item === undefined) {
      throw new IndexError(`no module '${name}' among ${this.keys().join(', ')}`, { op: 'ModuleDict.get' });
    }
    return item;
  }

  set(name: string, item: M): this {
    this.#items.set(name, item);
    return this;
  }

  override forward(): never {
    throw new NotSupportedError('it holds modules and computes nothing', {
      op: 'ModuleDict',
      hint: 'Call its items.',
    });
  }
}

/** Layers one after the other, under the names '0', '1', ... */
export class Sequential extends Module {
  readonly #layers: Layer[];

  constructor(...layers: Layer[]) {
    super();
    this.#layers = layers;
  }

  protected override ownEntries(): [string, unknown][] {
    return this.#layers.map((layer, i) => [String(i), layer]);
  }

  get length(): number {
    return this.#layers.length;
  }

  /** Layer `index`; negative ones count from the end. */
  at(index: number): Layer {
    const layer = this.#layers.at(index);
    if (layer === undefined) {
      throw new IndexError(`index ${index} is out of range for ${this.#layers.length} layers`, { op: 'Sequential.at' });
    }
    return layer;
  }

  append(layer: Layer): this {
    this.#layers.push(layer);
    return this;
  }

  [Symbol.iterator](): Iterator<Layer> {
    return this.#layers[Symbol.iterator]();
  }

  override forward(x: Tensor): Tensor {
    const layers = this.#layers;
    let y = x;
    for (let i = 0; i < layers.length; i++) {
      const both = i + 1 < layers.length ? fused(layers[i]!, layers[i + 1]!, y, layers[i + 2]) : null;
      if (both === null) y = layers[i]!.call(y);
      else {
        y = both;
        i++;
      }
    }
    return y;
  }
}
