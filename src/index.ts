/** The public surface, nothing else. */
export {
  AddonLoadError,
  AutogradError,
  CaptureError,
  CudaDriverError,
  DeviceError,
  DeviceLostError,
  DisposedError,
  DTypeError,
  FormatError,
  IndexError,
  InPlaceError,
  NotSupportedError,
  OutOfMemoryError,
  ShapeError,
  WarploomError,
} from './errors.js';
export type { ErrorCode, ErrorDetails } from './errors.js';
export { dtypes, isDType, itemSize, promoteTypes, promotionTable, resultType } from './dtype.js';
export type { DType, TypedArray, TypedArrays } from './dtype.js';
export { configureCpu, defaultDevice, Device, device, devices, loadBackend, setDefaultDevice } from './device.js';
export type { DeviceLike } from './device.js';
export type { Shape } from './shape.js';
export { Tensor } from './tensor.js';
export type { Nested } from './tensor.js';
export { apply, applyInPlace, applyMany } from './apply.js';
export { defineOp } from './autograd/define.js';
export type { BackwardContext, ForwardContext, OpDefinition } from './autograd/define.js';
export { grad } from './autograd/backward.js';
export type { BackwardOptions, GradOptions } from './autograd/backward.js';
export { GradBucket } from './autograd/bucket.js';
export { enableGrad, isGradEnabled, noGrad } from './autograd/gradMode.js';
export type { PostAccumulateHook, TensorHook } from './autograd/tape.js';
export { dispose, keep, tidy } from './scope.js';
export { capture } from './capture.js';
export type { CapturedFunction, CaptureOptions } from './capture.js';
export { gradcheck } from './autograd/gradcheck.js';
export type { GradcheckOptions } from './autograd/gradcheck.js';
export { emptyCache, memory, resetPeakMemory, setMemoryLimit } from './memory.js';
export type { MemoryReport } from './memory.js';
export { defaultGenerator, Generator, manualSeed, permutation, philox } from './random.js';
export * from './ops/index.js';
export * as nn from './nn/index.js';
export * as optim from './optim/index.js';
export * from './data/index.js';
export * from './io/index.js';
export * from './train/index.js';
