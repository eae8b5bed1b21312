import { expect, test } from 'vitest';
import * as warploom from '../../src/index.js';

/** Codes are API: a change here breaks users. */
const codes: Record<string, string> = {
  ShapeError: 'ERR_SHAPE',
  DTypeError: 'ERR_DTYPE',
  DeviceError: 'ERR_DEVICE',
  IndexError: 'ERR_INDEX',
  DisposedError: 'ERR_DISPOSED',
  InPlaceError: 'ERR_IN_PLACE',
  AutogradError: 'ERR_AUTOGRAD',
  CaptureError: 'ERR_CAPTURE',
  OutOfMemoryError: 'ERR_OUT_OF_MEMORY',
  FormatError: 'ERR_FORMAT',
  AddonLoadError: 'ERR_ADDON_LOAD',
  CudaDriverError: 'ERR_CUDA_DRIVER',
  DeviceLostError: 'ERR_DEVICE_LOST',
  NotSupportedError: 'ERR_NOT_SUPPORTED',
};

type ErrorClass = new (message: string, fields?: object) => warploom.WarploomError;

test.each(Object.entries(codes))('%s has the code %s and extends WarploomError', (name, code) => {
  const type = (warploom as unknown as Record<string, ErrorClass>)[name]!;
  expect(type.prototype).toBeInstanceOf(warploom.WarploomError);
  const error =
    name === 'AddonLoadError'
      ? new (type as unknown as new (tried: string[]) => warploom.WarploomError)(['x'])
      : new type('m', {});
  expect(error).toBeInstanceOf(Error);
  expect(error.code).toBe(code);
  expect(error.name).toBe(name);
});

test('an error carries op, shapes and hint', () => {
  try {
    warploom.add(warploom.zeros([2, 3]), warploom.zeros([2, 4]));
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(warploom.ShapeError);
    expect(error).toMatchObject({
      op: 'add',
      code: 'ERR_SHAPE',
      shapes: [
        [2, 3],
        [2, 4],
      ],
    });
    expect((error as warploom.WarploomError).message).toMatch(/add.*\(2, 3\).*\(2, 4\)/);
    expect(error).toHaveProperty('hint');
  }
});
