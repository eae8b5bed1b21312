/** A small convolutional net: two 5 x 5 convolutions, each halved by pooling, then one linear layer. 28,938 parameters. */
import { nn } from '../../src/index.js';
import { CLASSES } from './data.js';

/** [B, 1, 28, 28] grey values to [B, 10] logits. Initial weights come from the default generator. */
export function digitsModel(): nn.Sequential {
  return new nn.Sequential(
    new nn.Conv2d(1, 16, 5, { padding: 2 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Conv2d(16, 32, 5, { padding: 2 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Dropout(0.3),
    new nn.Linear(32 * 7 * 7, CLASSES),
  );
}
