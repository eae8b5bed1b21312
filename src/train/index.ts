/** Training: the loop, what watches it, and what it leaves behind. */
export {
  latestCheckpoint,
  loadCheckpoint,
  saveCheckpoint,
  type Checkpoint,
  type SaveCheckpointOptions,
} from './checkpoint.js';
export type { EarlyStoppingOptions } from './earlyStopping.js';
export {
  accuracy,
  evaluate,
  predict,
  type BatchParts,
  type EvaluateOptions,
  type LossFunction,
  type Metric,
  type MetricLike,
  type Predictions,
  type RunOptions,
  type SelectParts,
} from './evaluate.js';
export { fit, type CheckpointOptions, type FitOptimizer, type FitOptions } from './fit.js';
export type { Callback, EpochEvent, EpochRecord, FitEvent, History, StepEvent, StopReason } from './history.js';
export { ConfusionMatrix, type ClassFigures } from './metrics.js';
export { renderReport, type ReportChart, type ReportContent, type ReportCurve, type ReportMistake } from './report.js';
export type { FitRun } from './run.js';
