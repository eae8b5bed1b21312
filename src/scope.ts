/** Scopes: tensors made inside tidy() go away with it. */
import { inner, isThenable, mode, runIn } from './context.js';
import type { GradNode } from './autograd/tape.js';
import { Tensor } from './tensor.js';

/** What a tidy() has to give back at its end. */
export class Scope {
  readonly parent: Scope | null;
  tensors: Tensor[] = [];
  /** recorded ops that hold saved values */
  nodes: GradNode[] = [];
  closed = false;
  /** recorded ops with a higher sequence number were made inside */
  private readonly firstNode: number;

  constructor(parent: Scope | null, firstNode: number) {
    this.parent = parent;
    this.firstNode = firstNode;
  }

  /** Disposes all but `survivors`, which move to the scope around this one. */
  close(survivors: ReadonlySet<Tensor>): void {
    if (this.closed) return;
    this.closed = true;
    const outer = openScope(this.parent);
    const roots: GradNode[] = [];
    for (const tensor of this.tensors) {
      if (tensor.kept || survivors.has(tensor)) {
        if (!tensor.kept) track(outer, tensor);
        else if (tensor.gradNode !== null) roots.push(tensor.gradNode);
      } else {
        tensor.meta?.bucket?.endWith(tensor, survivors);
        tensor.dispose();
      }
    }
    for (const { gradNode } of survivors) if (gradNode !== null) roots.push(gradNode);
    const needed = roots.length === 0 ? null : reachable(roots, this.firstNode);
    for (const node of this.nodes) {
      if (needed !== null && needed.has(node)) trackNode(outer, node);
      else node.release('tidy');
    }
    this.tensors = [];
    this.nodes = [];
  }
}

/** The nearest scope that is still open: a promise nobody awaited may outlive its own. */
function openScope(scope: Scope | null): Scope | null {
  while (scope !== null && scope.closed) scope = scope.parent;
  return scope;
}

/** Nodes of the graph behind `roots` that are not older than `first`. */
function reachable(roots: readonly GradNode[], first: number): Set<GradNode> {
  const seen = new Set<GradNode>(roots);
  const stack = [...roots];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    for (const next of node.next) {
      if (next !== null && next.sequence > first && !seen.has(next)) {
        seen.add(next);
        stack.push(next);
      }
    }
  }
  return seen;
}

/** Makes `scope` the owner of a tensor; without one, the garbage collector. */
export function track(scope: Scope | null, tensor: Tensor): void {
  if (scope !== null && scope.closed) scope = openScope(scope);
  if (scope === null) tensor.storage.adopt();
  else scope.tensors.push(tensor);
}

/** The same for a recorded op with saved values. */
export function trackNode(scope: Scope | null, node: GradNode): void {
  if (scope !== null && scope.closed) scope = openScope(scope);
  if (scope === null) for (const saved of node.saved) saved.storage.adopt();
  else scope.nodes.push(node);
}

/** Every tensor inside `value`: arrays, maps, sets, and the own properties of objects, to any depth. */
export function tensorsIn(value: unknown): Set<Tensor> {
  const found = new Set<Tensor>();
  const seen = new Set<object>();
  const stack: unknown[] = [value];
  while (stack.length > 0) {
    const item = stack.pop();
    if (typeof item !== 'object' || item === null || seen.has(item)) continue;
    seen.add(item);
    if (item instanceof Tensor) found.add(item);
    else if (Array.isArray(item) || item instanceof Set) for (const x of item as Iterable<unknown>) stack.push(x);
    else if (item instanceof Map) for (const [k, v] of item as Map<unknown, unknown>) stack.push(k, v);
    else if (!ArrayBuffer.isView(item)) for (const x of Object.values(item)) stack.push(x);
  }
  return found;
}

/**
 * Runs `fn` and disposes every tensor made meanwhile, except those it returns (also inside arrays and objects), those given to
 * keep(), parameters, gradients, optimizer state and buffers. With an async function it waits for the promise and follows
 * it across awaits. A returned tensor keeps the graph behind it, so backward() still works on it.
 */
export function tidy<T>(fn: () => T): T {
  const around = mode();
  const scope = new Scope(around.scope, inner.lastNode);
  let result: T;
  try {
    result = runIn({ scope, gradEnabled: around.gradEnabled }, fn);
  } catch (error) {
    scope.close(new Set());
    throw error;
  }
  if (isThenable(result)) {
    return Promise.resolve(result).then(
      (value) => {
        scope.close(tensorsIn(value));
        return value;
      },
      (error: unknown) => {
        scope.close(new Set());
        throw error;
      },
    ) as T;
  }
  scope.close(tensorsIn(result));
  return result;
}

/** Takes a tensor out of every scope: it lives until dispose(), or until nothing refers to it. Returns it. */
export function keep(tensor: Tensor): Tensor {
  tensor.kept = true;
  tensor.storage.adopt();
  tensor.storage.exempt();
  return tensor;
}

/** Disposes tensors, also inside arrays and objects. */
export function dispose(value: unknown): void {
  for (const tensor of tensorsIn(value)) tensor.dispose();
}
