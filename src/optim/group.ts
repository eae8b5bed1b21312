/**
 * Parameter groups. The parameters of a group that share dtype and device form a shard: one flat bucket of gradients
 * and one flat buffer per moment, all laid out alike, so that a step is a few passes whatever the number of parameters.
 */
import * as native from '../addon.ops.js';
import type { SegmentSpec, View } from '../addon.js';
import { GradBucket } from '../autograd/bucket.js';
import type { Device } from '../device.js';
import { AutogradError, CaptureError, DeviceError, DTypeError, ShapeError, WarploomError } from '../errors.js';
import { zeros } from '../ops/create.js';
import { isRecording } from '../pressure.js';
import { keep } from '../scope.js';
import { Tensor } from '../tensor.js';

/** Parameters one native update takes at most (kMaxSegments of native/engine/view.h). */
const MAX_SEGMENTS = 128;

/** Options every optimizer has, per group. */
export interface BaseOptions {
  /** learning rate */
  lr: number;
  /** default 0, AdamW 0.01 */
  weightDecay: number;
  /** ascends instead of descending; default false */
  maximize: boolean;
}

/** Throws unless `value` is a finite number of at least 0. */
export function checkRate(op: string, name: string, value: number): void {
  if (!Number.isFinite(value) || value < 0)
    throw new WarploomError(`${name} must be a number of at least 0, got ${value}`, { op });
}

/**
 * Parameters that have taken every step together. What differs from step to step stands on the device, in `state`
 * (float64[4]: learning rate, step count, beta1^step, beta2^step), where a replayed step reads and advances it without
 * JavaScript.
 */
export class Cohort {
  /** places in the shard, ascending */
  members: number[];
  /** null until the first step of parameters that had no gradient when others of their group did */
  state: Tensor | null;
  /** whether a step has been taken; before the first one the moments are zeros */
  started: boolean;
  segments: SegmentSpec[] = [];

  constructor(shard: Shard, members: number[], state: Tensor | null, started: boolean) {
    this.members = members;
    this.state = state && keep(state);
    this.started = started;
    this.setMembers(shard, members);
  }

  setMembers(shard: Shard, members: number[]): void {
    this.members = members;
    this.segments = [];
    for (let i = 0; i < members.length; i += MAX_SEGMENTS) {
      const items = members
        .slice(i, i + MAX_SEGMENTS)
        .map((k) => ({ param: shard.params[k]!, offset: shard.bucket.offsets[k]! }));
      this.segments.push({ dtype: shard.bucket.flat.dtype, items });
    }
  }
}

/** A cohort with its state on the device. */
export type ActiveCohort = Cohort & { state: Tensor };

/** One value of a cohort's state, as a view to write. */
function scalar(state: Tensor, index: number): View {
  return { storage: state.storage, dtype: state.dtype, offset: state.offset + index, shape: [], strides: [] };
}

/** float64 on every device, on cards that compute none too. */
const stateOf = (values: readonly number[], device: Device): Tensor =>
  Tensor.fromBytes(Float64Array.from(values), [values.length], 'float64', device);

/** State values of a cohort before its first step. */
function freshState(like: Tensor, lr: number): Tensor {
  return stateOf([lr, 0, 1, 1], like.device);
}

/** The parameters of one group on one device in one dtype. */
export class Shard {
  readonly params: readonly Tensor[];
  readonly names: readonly string[];
  readonly bucket: GradBucket;
  /** flat moments by their name in the state dict */
  readonly moments: ReadonlyMap<string, Tensor>;
  cohorts: Cohort[];
  readonly #op: string;

  constructor(
    op: string,
    params: readonly Tensor[],
    names: readonly string[],
    momentNames: readonly string[],
    lr: number,
  ) {
    this.#op = op;
    this.params = params;
    this.names = names;
    this.bucket = new GradBucket(params);
    const { flat } = this.bucket;
    const { dtype, device } = flat;
    this.moments = new Map(momentNames.map((name) => [name, keep(zeros([flat.numel], { dtype, device }))]));
    const all = params.map((_, i) => i);
    this.cohorts = [new Cohort(this, all, freshState(flat, lr), false)];
  }

  /** The part of a flat moment that belongs to parameter `i`, in the parameter's shape. */
  momentView(moment: Tensor, i: number): View {
    const { shape } = this.params[i]!;
    const strides = shape.map((_, d) => shape.slice(d + 1).reduce((product, n) => product * n, 1));
    return {
      storage: moment.storage,
      dtype: moment.dtype,
      offset: moment.offset + this.bucket.offsets[i]!,
      shape,
      strides,
    };
  }

  /** Writes the learning rate to the device, in queue order. */
  writeLr(lr: number): void {
    for (const { state } of this.cohorts) if (state) native.fill(state.device, scalar(state, 0), lr);
  }

  /**
   * The cohorts that step now: those whose parameters have a gradient. Where only some of a cohort have one, the others
   * part from it, with the step count they stand at, because a parameter without a gradient must not age.
   */
  active(lr: number): ActiveCohort[] {
    const { flat } = this.bucket;
    for (const [i, p] of this.params.entries()) {
      if (p.device !== flat.device || p.dtype !== flat.dtype) {
        throw new DeviceError(
          `parameter '${this.names[i]!}' was ${flat.dtype} on ${flat.device.name} and is now ${p.dtype} on ${p.device.name}`,
          { op: this.#op, hint: 'Move the module first and build the optimizer afterwards.' },
        );
      }
      // Its gradients would arrive elsewhere, and this step would pass it over in silence.
      if (p.gradMeta().bucket !== this.bucket) {
        throw new AutogradError(
          `the gradients of parameter '${this.names[i]!}' belong to another optimizer, built later`,
          {
            op: this.#op,
            hint: 'Step the latest optimizer of a parameter, or build this one anew.',
          },
        );
      }
    }
    const stepping: ActiveCohort[] = [];
    for (const cohort of [...this.cohorts]) {
      const present = cohort.members.filter((i) => this.bucket.present(i));
      if (present.length === 0) continue;
      if (present.length < cohort.members.length) this.#part(cohort, present);
      if (cohort.state === null) {
        this.#refuseRecording();
        cohort.state = keep(freshState(flat, lr));
      }
      stepping.push(cohort as ActiveCohort);
    }
    return stepping;
  }

  #part(cohort: Cohort, present: number[]): void {
    const absent = cohort.members.filter((i) => !present.includes(i));
    let state: Tensor | null = null;
    if (cohort.started) {
      this.#refuseRecording();
      state = copyOf(cohort.state!);
    }
    this.cohorts.push(new Cohort(this, absent, state, cohort.started));
    cohort.setMembers(this, present);
  }

  /** State that a recording made would be made again by every replay. */
  #refuseRecording(): void {
    if (!isRecording()) return;
    throw new CaptureError('which parameters have a gradient has changed since the last step', {
      op: this.#op,
      hint: 'Run one such step before recording it, or leave unused parameters out of the optimizer.',
    });
  }

  /** Regroups the parameters as a state dict has them; each part's state is [step, beta1^step, beta2^step]. */
  restore(parts: readonly { members: number[]; state: readonly number[] | null }[], lr: number): void {
    const old = this.cohorts;
    this.cohorts = parts.map(({ members, state }, k) => {
      const cohort = old[k] ?? new Cohort(this, members, null, false);
      cohort.setMembers(this, members);
      cohort.started = state !== null;
      const values = stateOf([lr, ...(state ?? [0, 1, 1])], this.bucket.flat.device);
      // In place where there is a state, so that recordings that read it stay right.
      if (cohort.state === null) cohort.state = keep(values);
      else {
        native.copy(values.device, values, cohort.state);
        values.dispose();
      }
      return cohort;
    });
    for (const { state } of old.slice(parts.length)) state?.dispose();
  }
}

function copyOf(t: Tensor): Tensor {
  const { shape, dtype } = t;
  return Tensor.fresh(native.copy(t.device, t, { dtype, shape }), [...shape], dtype);
}

/** Throws unless a tensor can be stepped: a contiguous floating-point leaf. */
export function checkParameter(op: string, name: string, p: Tensor): void {
  if (!p.isLeaf) {
    throw new AutogradError(`parameter '${name}' is the result of an op`, {
      op,
      hint: 'Only leaves can be optimized: pass what it was made from.',
    });
  }
  if (p.dtype !== 'float32' && p.dtype !== 'float64') {
    throw new DTypeError(`parameter '${name}' is ${p.dtype}; float32 and float64 can be optimized`, { op });
  }
  if (!p.isContiguous()) {
    throw new ShapeError(`parameter '${name}' of shape (${p.shape.join(', ')}) is not contiguous`, {
      op,
      shapes: [p.shape],
      hint: 'Make it from contiguous(t).detach().',
    });
  }
}

/**
 * Parameters that share their options. Options may be changed between steps; a recorded step keeps those it was
 * recorded with, except lr.
 */
export class ParamGroup<O extends BaseOptions> {
  readonly params: readonly Tensor[];
  /** the keys of the state: names of named parameters, else positions over all groups */
  readonly names: readonly string[];
  /** all but the learning rate */
  readonly options: Omit<O, 'lr'>;
  /** the rate the group began with, which schedules scale */
  initialLr: number;
  /** @internal */
  readonly shards: readonly Shard[];
  readonly #op: string;
  #lr: number;

  /** @internal */
  constructor(
    op: string,
    params: readonly Tensor[],
    names: readonly string[],
    options: O,
    momentNames: readonly string[],
  ) {
    const { lr, ...rest } = options;
    checkRate(op, 'lr', lr);
    this.#op = op;
    this.params = params;
    this.names = names;
    this.options = rest;
    this.initialLr = lr;
    this.#lr = lr;
    const places = new Map<string, number[]>();
    for (const [i, p] of params.entries()) {
      const key = `${p.device.name} ${p.dtype}`;
      const list = places.get(key);
      if (list) list.push(i);
      else places.set(key, [i]);
    }
    this.shards = [...places.values()].map(
      (list) =>
        new Shard(
          op,
          list.map((i) => params[i]!),
          list.map((i) => names[i]!),
          momentNames,
          lr,
        ),
    );
  }

  get lr(): number {
    return this.#lr;
  }

  /** Takes effect with the next step, eager or replayed. */
  set lr(lr: number) {
    checkRate(this.#op, 'lr', lr);
    if (lr === this.#lr) return;
    if (isRecording()) {
      throw new CaptureError('the learning rate cannot change inside a recording, which would repeat the change', {
        op: this.#op,
        hint: 'Set lr, or step the schedule, between calls of the captured function.',
      });
    }
    this.#lr = lr;
    for (const shard of this.shards) shard.writeLr(lr);
  }
}
