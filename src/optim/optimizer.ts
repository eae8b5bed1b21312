/** The base of optimizers: parameter groups, the step, and state that can be saved and loaded. */
import * as native from '../addon.ops.js';
import { FormatError, ShapeError, WarploomError } from '../errors.js';
import { zeros } from '../ops/create.js';
import { to } from '../ops/copy.js';
import { Tensor } from '../tensor.js';
import { factorOf, squaresOf } from './clip.js';
import { checkParameter, checkRate, ParamGroup, type ActiveCohort, type BaseOptions, type Shard } from './group.js';

/** Tensors, or [name, tensor] pairs as `module.namedParameters()` gives them: the names then key the state. */
export type ParameterList = Iterable<Tensor> | Iterable<readonly [string, Tensor]>;

/** A group of parameters with options of its own. */
export type GroupSpec<O> = { params: ParameterList } & Partial<O>;

export type OptimizerInput<O> = ParameterList | Iterable<GroupSpec<O>>;

export interface StepOptions {
  /** scales all gradients so that their norm together is at most this, without waiting for the device */
  clipGradNorm?: number;
}

/** What `stateDict()` gives: tensors for a tensor file, and the rest as plain JSON. */
export interface OptimizerState {
  /**
   * the moments of each parameter that has been stepped: 'NAME.momentum_buffer', 'NAME.exp_avg', 'NAME.exp_avg_sq';
   * copies
   */
  tensors: Record<string, Tensor>;
  meta: OptimizerMeta;
}

export interface OptimizerMeta {
  format: 1;
  optimizer: string;
  groups: { lr: number; initialLr: number; options: Record<string, unknown>; params: string[] }[];
  /** step counts and running powers of the betas, each with the parameters that share them */
  clocks: { state: [step: number, beta1Power: number, beta2Power: number]; params: string[] }[];
}

function isNamed(item: unknown): item is readonly [string, Tensor] {
  return Array.isArray(item) && typeof item[0] === 'string';
}

function isGroup<O>(item: unknown): item is GroupSpec<O> {
  return typeof item === 'object' && item !== null && !(item instanceof Tensor) && 'params' in item;
}

export abstract class Optimizer<O extends BaseOptions = BaseOptions> {
  readonly paramGroups: ParamGroup<O>[] = [];
  /** the clipping of every step that names none */
  clipGradNorm: number | undefined;
  protected readonly defaults: O;
  /** 'SGD', 'Adam', ...: what errors and saved states call it */
  readonly name: string;
  readonly #moments: readonly string[];
  readonly #names = new Set<string>();
  readonly #params = new Set<Tensor>();

  /** `moments` names the flat buffers a parameter's state has. */
  protected constructor(
    op: string,
    params: OptimizerInput<O>,
    defaults: O,
    moments: readonly string[],
    clipGradNorm: number | undefined,
  ) {
    this.name = op;
    this.defaults = defaults;
    this.#moments = moments;
    this.clipGradNorm = clipGradNorm;
    if (clipGradNorm !== undefined) checkRate(op, 'clipGradNorm', clipGradNorm);
    const items = [...(params as Iterable<Tensor | readonly [string, Tensor] | GroupSpec<O>>)];
    const groups: GroupSpec<O>[] = items.some((item) => isGroup(item))
      ? (items as GroupSpec<O>[])
      : [{ params: items as Tensor[] } as unknown as GroupSpec<O>];
    for (const group of groups) this.addParamGroup(group);
  }

  /** Throws on hyperparameters out of range. */
  protected abstract checkOptions(options: O): void;

  /** One native pass over the parameters of a cohort; `factor` scales the gradients. */
  protected abstract update(group: ParamGroup<O>, shard: Shard, cohort: ActiveCohort, factor: Tensor | null): void;

  /** The decay rates whose powers a step advances. */
  protected betas(_group: ParamGroup<O>): readonly [number, number] {
    return [0, 0];
  }

  /**
   * Adds parameters with options of their own; those not given are the optimizer's.
   * Throws WarploomError when a parameter is listed twice, AutogradError when one is not a leaf.
   */
  addParamGroup(spec: GroupSpec<O>): ParamGroup<O> {
    const op = this.name;
    if (!isGroup<O>(spec))
      throw new WarploomError('parameter groups and parameters cannot be mixed in one list', { op });
    const { params: list, ...given } = spec;
    const options = { ...this.defaults };
    for (const [key, value] of Object.entries(given))
      if (value !== undefined) (options as Record<string, unknown>)[key] = value;
    this.checkOptions(options);

    const params: Tensor[] = [];
    const names: string[] = [];
    for (const item of list as Iterable<unknown>) {
      const [name, p] = isNamed(item) ? item : [String(this.#params.size), item as Tensor];
      if (!(p instanceof Tensor)) {
        throw new WarploomError('parameters must be tensors', {
          op,
          hint: 'Pass model.parameters() or model.namedParameters().',
        });
      }
      if (this.#params.has(p)) {
        throw new WarploomError(`parameter '${name}' is listed twice`, {
          op,
          hint: 'Each parameter belongs to one group, once.',
        });
      }
      if (this.#names.has(name)) throw new WarploomError(`two parameters are named '${name}'`, { op });
      checkParameter(op, name, p);
      this.#params.add(p);
      this.#names.add(name);
      params.push(p);
      names.push(name);
    }
    if (params.length === 0) throw new WarploomError('a group without parameters', { op });
    const group = new ParamGroup<O>(op, params, names, options, this.#moments);
    this.paramGroups.push(group);
    return group;
  }

  /** The rate of the first group; setting it sets that of all groups. */
  get lr(): number {
    return this.paramGroups[0]!.lr;
  }

  set lr(lr: number) {
    for (const group of this.paramGroups) group.lr = lr;
  }

  /**
   * One update of every parameter that has a gradient; the others stay as they are, and so does their step count.
   * Nothing waits: the update is queued. Gradients themselves are not changed by `clipGradNorm`, which the update
   * applies on the way.
   */
  step({ clipGradNorm = this.clipGradNorm }: StepOptions = {}): void {
    const work = this.paramGroups.flatMap((group) =>
      group.shards.flatMap((shard) => shard.active(group.lr).map((cohort) => ({ group, shard, cohort }))),
    );
    if (work.length === 0) return;
    let factor: Tensor | null = null;
    if (clipGradNorm !== undefined) {
      checkRate(this.name, 'clipGradNorm', clipGradNorm);
      const total = squaresOf(
        this.name,
        [...new Set(work.map(({ shard }) => shard.bucket))].map((bucket) => {
          for (let i = 0; i < bucket.offsets.length; i++) bucket.ensureZeroed(i);
          return bucket.flat;
        }),
      );
      const clipped = factorOf(total, clipGradNorm);
      clipped.norm.dispose();
      factor = clipped.factor;
    }
    for (const { group, shard, cohort } of work) {
      native.optimAdvance(cohort.state.device, cohort.state, ...this.betas(group));
      this.update(group, shard, cohort, factor);
      cohort.started = true;
      for (const i of cohort.members) shard.params[i]!.storage.bump();
    }
    factor?.dispose();
  }

  /** Forgets all gradients: one mark per bucket, no work on the device. */
  zeroGrad(): void {
    for (const group of this.paramGroups) for (const shard of group.shards) shard.bucket.markEmpty();
  }

  /**
   * A copy of the state as it is now in queue order; later steps do not change it. The caller disposes of the tensors.
   */
  async stateDict(): Promise<OptimizerState> {
    const tensors: Record<string, Tensor> = {};
    const clocks: Promise<OptimizerMeta['clocks'][number]>[] = [];
    for (const shard of this.#shards()) {
      for (const cohort of shard.cohorts.filter(({ started }) => started)) {
        for (const i of cohort.members) {
          for (const [moment, flat] of shard.moments) {
            const { shape } = shard.params[i]!;
            const copy = zeros(shape, { dtype: flat.dtype, device: flat.device });
            native.copy(flat.device, shard.momentView(flat, i), copy);
            tensors[`${shard.names[i]!}.${moment}`] = copy;
          }
        }
        const params = cohort.members.map((i) => shard.names[i]!);
        clocks.push(
          cohort.state!.data('float64').then(([, step, beta1, beta2]) => ({ state: [step!, beta1!, beta2!], params })),
        );
      }
    }
    const groups = this.paramGroups.map(({ lr, initialLr, options, names }) => ({
      lr,
      initialLr,
      options: { ...(options as Record<string, unknown>) },
      params: [...names],
    }));
    return { tensors, meta: { format: 1, optimizer: this.name, groups, clocks: await Promise.all(clocks) } };
  }

  /**
   * Continues from a state of the same kind of optimizer over parameters of the same names: options and rates, step
   * counts and moments.
   * Throws FormatError when kind, names or moments do not fit, ShapeError when a moment has another shape; nothing is
   * changed then.
   */
  loadStateDict({ tensors, meta }: OptimizerState): void {
    this.#checkState(tensors, meta);
    this.paramGroups.forEach((group, k) => {
      const saved = meta.groups[k]!;
      Object.assign(group.options, saved.options);
      group.initialLr = saved.initialLr;
      group.lr = saved.lr;
    });
    const clockOf = new Map(meta.clocks.flatMap((clock) => clock.params.map((name) => [name, clock] as const)));
    for (const group of this.paramGroups) {
      for (const shard of group.shards) {
        const parts = new Map<OptimizerMeta['clocks'][number] | undefined, number[]>();
        shard.names.forEach((name, i) => {
          const clock = clockOf.get(name);
          const members = parts.get(clock);
          if (members) members.push(i);
          else parts.set(clock, [i]);
          for (const [moment, flat] of shard.moments)
            this.#loadMoment(shard, i, flat, clock && tensors[`${name}.${moment}`]);
        });
        const list = [...parts].map(([clock, members]) => ({ members, state: clock?.state ?? null }));
        shard.restore(list, group.lr);
      }
    }
  }

  #shards(): Shard[] {
    return this.paramGroups.flatMap(({ shards }) => shards);
  }

  #loadMoment(shard: Shard, i: number, flat: Tensor, source: Tensor | undefined): void {
    const target = shard.momentView(flat, i);
    if (source === undefined) {
      native.fill(flat.device, target, 0);
      return;
    }
    const here = source.device === flat.device ? source : to(source, { device: flat.device });
    native.copy(flat.device, here, target);
    if (here !== source) here.dispose();
  }

  #checkState(tensors: Readonly<Record<string, Tensor>>, meta: OptimizerMeta): void {
    const op = this.name;
    const fail = (message: string): never => {
      throw new FormatError(message, { op: `${op}.loadStateDict` });
    };
    if (meta.format !== 1) fail(`unknown format ${String(meta.format)}; this version reads 1`);
    if (meta.optimizer !== op) fail(`the state is of ${meta.optimizer}`);
    if (meta.groups.length !== this.paramGroups.length) {
      fail(`the state has ${meta.groups.length} parameter groups, the optimizer ${this.paramGroups.length}`);
    }
    this.paramGroups.forEach(({ names }, k) => {
      const saved = meta.groups[k]!.params;
      if (String(saved) !== String(names))
        fail(`group ${k} of the state holds [${saved.join(', ')}], the optimizer's [${names.join(', ')}]`);
    });
    const started = new Set(meta.clocks.flatMap(({ params }) => params));
    for (const shard of this.#shards()) {
      shard.names.forEach((name, i) => {
        if (!started.has(name)) return;
        for (const moment of shard.moments.keys()) {
          const t = tensors[`${name}.${moment}`] ?? fail(`the state lacks ${name}.${moment}`);
          const { shape } = shard.params[i]!;
          if (String(t.shape) !== String(shape)) {
            throw new ShapeError(
              `${name}.${moment} has shape (${t.shape.join(', ')}), the parameter (${shape.join(', ')})`,
              {
                op: `${op}.loadStateDict`,
                shapes: [t.shape, shape],
              },
            );
          }
        }
      });
    }
  }
}
