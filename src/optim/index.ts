export { Adam, AdamW, type AdamOptions } from './adam.js';
export { clipGradNorm_ } from './clip.js';
export { ParamGroup, type BaseOptions } from './group.js';
export {
  Optimizer,
  type GroupSpec,
  type OptimizerInput,
  type OptimizerMeta,
  type OptimizerState,
  type ParameterList,
  type StepOptions,
} from './optimizer.js';
export {
  CosineAnnealingLR,
  cosineAnnealing,
  LRScheduler,
  stepDecay,
  StepLR,
  type CosineOptions,
  type LRSchedulerState,
  type StepDecayOptions,
} from './schedules.js';
export { SGD, type SGDOptions } from './sgd.js';
