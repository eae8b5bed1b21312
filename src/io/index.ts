/** Reading and writing files of tensors. */
export { writeAtomic } from './atomic.js';
export {
  loadSafetensors,
  safetensorsMetadata,
  saveSafetensors,
  serializeSafetensors,
  SAFETENSORS_FORMAT_VERSION,
  type LoadSafetensorsOptions,
  type SafetensorsOptions,
  type SafetensorsSource,
} from './safetensors.js';
