export { type Batch, type FieldDTypes } from './collate.js';
export { SampleContext } from './context.js';
export {
  ArrayDataset,
  arrayDataset,
  Dataset,
  Subset,
  type ArrayField,
  type ColumnSample,
  type FieldArray,
  type FieldValue,
  type Sample,
} from './dataset.js';
export { DataLoader, type DataLoaderOptions, type DataLoaderState } from './loader.js';
export { splitDataset, type Split, type SplitOptions } from './split.js';
