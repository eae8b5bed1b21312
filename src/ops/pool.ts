/** 2-D max pooling. */
import * as native from '../addon.ops.js';
import { apply } from '../apply.js';
import { defineOp, type OpDefinition } from '../autograd/define.js';
import { NotSupportedError } from '../errors.js';
import { formatShape, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { type Pair, pair } from './conv.js';
import { dense, requireFloat, shapeError, method } from './support.js';
import { squeeze, unsqueeze } from './view.js';

/** kernel, stride, padding, dilation, each as height and width */
type Geometry = readonly [number, number, number, number, number, number, number, number];

interface PoolParams {
  readonly geometry: Geometry;
  /** of the output */
  readonly shape: Shape;
}

const maxPool2dOp = defineOp<PoolParams & { readonly relu: boolean }>({
  name: 'maxPool2d',
  forward([x], { geometry, shape, relu }, ctx) {
    const { device, dtype } = x!;
    const [KH, KW] = geometry;
    // A byte says which element of its window a maximum is; where windows are too large for one, or on a card, its place.
    const dtypeOfIndices = device.type === 'cpu' && KH * KW <= 255 ? 'uint8' : 'int32';
    const recorded = ctx.needsGrad(0);
    const wanted = recorded ? ({ dtype: dtypeOfIndices, shape } as const) : null;
    const out = native.maxPool2d(device, dense(x!), { dtype, shape }, wanted, ...geometry, relu);
    if (recorded) ctx.save(Tensor.fresh(out.indices!, shape, dtypeOfIndices));
    return Tensor.fresh(out.y, shape, dtype);
  },
  grad: ([g], { saved: [indices], inputShapes, params: { geometry } }) => [
    g ? apply(scatterOp, [g, indices!], { geometry, shape: inputShapes[0]! }) : null,
  ],
});

/** Each element of g added where its maximum was. */
const scatterOp: OpDefinition<PoolParams> = defineOp<PoolParams>({
  name: 'maxPool2d backward',
  forward([g, indices], { geometry, shape }, ctx) {
    if (ctx.needsGrad(0)) ctx.save(indices!);
    return Tensor.fresh(
      native.maxPool2dBackward(g!.device, dense(g!), indices!, { dtype: g!.dtype, shape }, ...geometry),
      shape,
      g!.dtype,
    );
  },
  grad: ([gg], { saved: [indices], params: { geometry } }) => [
    gg ? apply(gatherOp, [gg, indices!], { geometry }) : null,
    null,
  ],
});

/** The elements at the places of the maxima. */
const gatherOp: OpDefinition<Pick<PoolParams, 'geometry'>> = defineOp<Pick<PoolParams, 'geometry'>>({
  name: 'maxPool2d gather',
  forward([x, indices], { geometry }, ctx) {
    const { shape } = indices!;
    if (ctx.needsGrad(0)) ctx.save(indices!);
    return Tensor.fresh(
      native.maxPool2dGather(x!.device, dense(x!), indices!, { dtype: x!.dtype, shape }, ...geometry),
      shape,
      x!.dtype,
    );
  },
  grad: ([gg], { saved: [indices], inputShapes, params: { geometry } }) => [
    gg ? apply(scatterOp, [gg, indices!], { geometry, shape: inputShapes[0]! }) : null,
    null,
  ],
});

export interface MaxPool2dOptions {
  /** step of the window; default the window's size */
  stride?: Pair | null;
  /** -Infinity on each side, at most half the window; default 0 */
  padding?: Pair;
  /** distance between the window's elements; default 1 */
  dilation?: Pair;
  /** 'relu': max(maximum, 0), as relu before or after the pooling gives it; default 'none' */
  activation?: 'none' | 'relu';
}

/**
 * The maximum of each window. The first of equal maxima gets the gradient; NaN wins over all.
 *
 * @param x [N, C, H, W] or [C, H, W], float32 or float64
 * @param kernelSize the window's height and width
 * @returns [N, C, OH, OW] with OH = floor((H + 2 padding - dilation (kernelSize - 1) - 1) / stride) + 1
 * @throws ShapeError where the window does not fit
 */
export function maxPool2d(x: Tensor, kernelSize: Pair, options: MaxPool2dOptions = {}): Tensor {
  requireFloat('maxPool2d', x);
  const kernel = pair('maxPool2d', 'kernelSize', kernelSize, 1);
  const stride = pair('maxPool2d', 'stride', options.stride ?? kernel, 1);
  const padding = pair('maxPool2d', 'padding', options.padding ?? 0, 0);
  const dilation = pair('maxPool2d', 'dilation', options.dilation ?? 1, 1);
  const { activation = 'none' } = options;
  if (activation !== 'none' && activation !== 'relu') {
    const hint = 'Known are none, relu.';
    throw new NotSupportedError(`unknown activation ${String(activation)}`, { op: 'maxPool2d', hint });
  }
  const rank = x.shape.length;
  if (rank !== 3 && rank !== 4)
    throw shapeError('maxPool2d', `x must be [N, C, H, W] or [C, H, W], got ${formatShape(x.shape)}`, [x.shape]);
  if (padding.some((p, i) => 2 * p > kernel[i]!)) {
    throw shapeError(
      'maxPool2d',
      `padding (${padding.join(', ')}) is more than half the window (${kernel.join(', ')})`,
      [x.shape],
    );
  }
  const sizes = [0, 1].map((i) => {
    const n = x.shape[rank - 2 + i]!;
    return Math.floor((n + 2 * padding[i]! - dilation[i]! * (kernel[i]! - 1) - 1) / stride[i]!) + 1;
  });
  if (sizes.some((n) => n < 1)) {
    throw shapeError('maxPool2d', `the window (${kernel.join(', ')}) does not fit into x ${formatShape(x.shape)}`, [
      x.shape,
    ]);
  }
  const batched = rank === 4 ? x : unsqueeze(x, 0);
  const geometry: Geometry = [...kernel, ...stride, ...padding, ...dilation];
  const y = apply(maxPool2dOp, [batched], {
    geometry,
    shape: [...batched.shape.slice(0, 2), ...sizes],
    relu: activation === 'relu',
  });
  return rank === 4 ? y : squeeze(y, 0);
}

declare module '../tensor.js' {
  interface Tensor {
    /** See {@link maxPool2d}. */
    maxPool2d(kernelSize: Pair, options?: MaxPool2dOptions): Tensor;
  }
}

Tensor.prototype.maxPool2d = method(maxPool2d);
