import * as wl from '../../src/index.js';
import type { Sample } from '../harness/sample.js';
import { opCase } from '../opCase.js';
import { ref, type Ref } from '../reference/array.js';
import * as reference from '../reference/conv.js';
import * as bounds from '../tolerance.js';
import { describeDevices } from './convDevices.js';

type Shapes = readonly (readonly number[])[];
interface ConvParams extends reference.ConvOptions {
  activation?: 'none' | 'relu';
}
const conv = (params: ConvParams, ...inputs: Shapes): Sample<ConvParams> => ({ inputs, params });
const rectified = (x: Ref): Ref =>
  ref(
    x.shape,
    x.data.map((v) => (v <= 0 ? 0 : v)),
  );

/** [C, H, W] is one image. */
function batched(x: Ref, f: (x: Ref) => Ref): Ref {
  if (x.shape.length === 4) return f(x);
  const y = f(ref([1, ...x.shape], x.data));
  return ref(y.shape.slice(1), y.data);
}

const plain = (inputs: readonly Ref[], params: ConvParams): Ref =>
  batched(inputs[0]!, (x) => reference.conv2d(x, inputs[1]!, inputs[2], params));

opCase<ConvParams>({
  name: 'conv2d',
  run: ([x, w, bias], params) => wl.conv2d(x!, w!, { ...params, bias }),
  reference: (inputs, params) => (params.activation === 'relu' ? rectified : (y: Ref) => y)(plain(inputs, params)),
  bound: bounds.termwise(plain),
  samples: [
    conv({}, [2, 2, 5, 4], [3, 2, 3, 3], [3]),
    conv({ padding: 1 }, [1, 2, 4, 4], [2, 2, 3, 3]),
    conv({ stride: 2, padding: [1, 0] }, [1, 2, 5, 6], [2, 2, 3, 2], [2]),
    conv({ dilation: 2 }, [1, 1, 6, 5], [2, 1, 2, 3]),
    conv({ groups: 2, padding: 1 }, [1, 4, 3, 3], [4, 2, 3, 3], [4]),
    conv({}, [2, 4, 4], [3, 2, 2, 2], [3]),
    conv({ activation: 'relu', padding: 1 }, [2, 2, 5, 4], [3, 2, 3, 3], [3]),
    conv({ activation: 'relu', stride: 2 }, [1, 3, 5, 5], [2, 3, 2, 2]),
  ],
  edges: [
    conv({}, [0, 1, 4, 4], [2, 1, 3, 3], [2]),
    conv({}, [1, 1, 1, 1], [1, 1, 1, 1], [1]),
    conv({ padding: 2 }, [1, 1, 31, 33], [2, 1, 5, 5], [2]),
    conv({ groups: 3 }, [2, 3, 5, 5], [3, 1, 3, 3]),
    conv({ padding: 3, dilation: [2, 3], stride: [3, 2] }, [1, 2, 9, 11], [3, 2, 3, 3], [3]),
    conv({}, [1, 1, 2, 4097], [1, 1, 2, 2]),
    conv({}, [3, 17, 6, 6], [33, 17, 3, 3], [33]),
    conv({}, [2, 0, 4, 4], [3, 0, 3, 3], [3]),
    conv({ activation: 'relu', padding: 1 }, [2, 3, 7, 31], [4, 3, 3, 3], [4]),
  ],
  bad: [
    {
      title: 'channels that differ',
      call: (device) => wl.conv2d(wl.zeros([1, 3, 5, 5], { device }), wl.zeros([2, 4, 3, 3], { device })),
      error: 'ShapeError',
      says: [/\(1, 3, 5, 5\)/, /\(2, 4, 3, 3\)/],
    },
    {
      title: 'groups that do not divide',
      call: (device) =>
        wl.conv2d(wl.zeros([1, 4, 5, 5], { device }), wl.zeros([3, 2, 3, 3], { device }), { groups: 2 }),
      error: 'ShapeError',
      says: [/groups/],
    },
    {
      title: 'a window larger than the image',
      call: (device) => wl.conv2d(wl.zeros([1, 1, 2, 2], { device }), wl.zeros([1, 1, 3, 3], { device })),
      error: 'ShapeError',
      says: [/3, 3/, /2, 2/],
    },
    {
      title: 'a bias of another size',
      call: (device) =>
        wl.conv2d(wl.zeros([1, 1, 4, 4], { device }), wl.zeros([2, 1, 3, 3], { device }), {
          bias: wl.zeros([3], { device }),
        }),
      error: 'ShapeError',
      says: [/bias/],
    },
    {
      title: 'an activation that it does not have',
      call: (device) =>
        wl.conv2d(wl.zeros([1, 1, 4, 4], { device }), wl.zeros([2, 1, 3, 3], { device }), {
          activation: 'gelu' as 'relu',
        }),
      error: 'NotSupportedError',
      says: [/gelu/, /relu/],
    },
  ],
  sweep: (random) => {
    const groups = random.pick([1, 1, 2, 3]);
    const c = groups * random.integer(1, 4);
    const o = groups * random.integer(1, 4);
    const [kh, kw] = [random.integer(1, 4), random.integer(1, 4)];
    const dilation = random.integer(1, 2);
    const h = (kh - 1) * dilation + random.integer(1, 9);
    const w = (kw - 1) * dilation + random.integer(1, 9);
    const activation = random.pick(['none', 'relu'] as const);
    const params = { groups, dilation, stride: random.integer(1, 3), padding: random.integer(0, 2), activation };
    return conv(params, [random.integer(1, 3), c, h, w], [o, c / groups, kh, kw], [o]);
  },
});

interface PoolParams extends reference.PoolOptions {
  kernel: reference.Pair;
  activation?: 'none' | 'relu';
}
const pool = (params: PoolParams, shape: readonly number[]): Sample<PoolParams> => ({ inputs: [shape], params });

opCase<PoolParams>({
  name: 'maxPool2d',
  run: ([x], { kernel, ...options }) => wl.maxPool2d(x!, kernel, options),
  reference: ([x], { kernel, activation, ...options }) =>
    batched(activation === 'relu' ? rectified(x!) : x!, (y) => reference.maxPool2d(y, kernel, options).y),
  bound: bounds.exact,
  domain: 'distinct',
  samples: [
    pool({ kernel: 2 }, [2, 2, 4, 6]),
    pool({ kernel: 3, stride: 1, padding: 1 }, [1, 2, 4, 5]),
    pool({ kernel: [2, 3], stride: [1, 2], dilation: [2, 1] }, [1, 1, 6, 7]),
    pool({ kernel: 2 }, [2, 5, 5]),
    pool({ kernel: 2, activation: 'relu' }, [2, 2, 4, 6]),
    pool({ kernel: 3, stride: 2, padding: 1, activation: 'relu' }, [1, 2, 5, 7]),
  ],
  edges: [
    pool({ kernel: 2 }, [0, 1, 4, 4]),
    pool({ kernel: 1 }, [1, 1, 1, 1]),
    pool({ kernel: 3, stride: 2 }, [1, 1, 31, 33]),
    pool({ kernel: [1, 2] }, [1, 1, 2, 4097]),
    pool({ kernel: 2, padding: 1 }, [1, 3, 5, 5]),
    pool({ kernel: 16, padding: 8, stride: 3 }, [1, 1, 17, 18]),
    pool({ kernel: 2, activation: 'relu' }, [3, 2, 7, 33]),
  ],
  bad: [
    {
      title: 'padding of more than half the window',
      call: (device) => wl.maxPool2d(wl.zeros([1, 1, 4, 4], { device }), 2, { padding: 2 }),
      error: 'ShapeError',
      says: [/padding/],
    },
    {
      title: 'a window larger than the image',
      call: (device) => wl.maxPool2d(wl.zeros([1, 1, 2, 2], { device }), 3),
      error: 'ShapeError',
      says: [/\(1, 1, 2, 2\)/],
    },
    {
      title: 'a matrix',
      call: (device) => wl.maxPool2d(wl.zeros([4, 4], { device }), 2),
      error: 'ShapeError',
      says: [/\(4, 4\)/],
    },
    {
      title: 'an activation that it does not have',
      call: (device) => wl.maxPool2d(wl.zeros([1, 1, 4, 4], { device }), 2, { activation: 'tanh' as 'relu' }),
      error: 'NotSupportedError',
      says: [/tanh/, /relu/],
    },
  ],
  frozen: ([x], { kernelSize, ...options }) => wl.maxPool2d(x!, kernelSize as [number, number], options),
  sweep: (random) => {
    const kernel = random.integer(1, 4);
    const activation = random.pick(['none', 'relu'] as const);
    return pool(
      { kernel, activation, stride: random.integer(1, 3), padding: random.integer(0, Math.floor(kernel / 2)) },
      [random.integer(1, 2), random.integer(1, 3), random.integer(4, 12), random.integer(4, 12)],
    );
  },
});

describeDevices();
