// A process that ends while its native threads work; native-reads.test.ts runs it.

import { native } from '../../../src/index/native.ts';
import { Random } from '../../support/codec/random.ts';
import { DIM, makeGrowing, VECTOR } from '../../support/native-segment.ts';

const segment = makeGrowing(20_000, new Random(1));
const request = {
  fieldId: VECTOR,
  metric: 'L2',
  nq: 500,
  k: 100,
  queries: new Uint8Array(new Float32Array(500 * DIM).buffer),
  readTimestamp: 2n,
  indexParams: {},
  outputFieldIds: [],
};
for (let i = 0; i < 50; i += 1) void native.search([segment], request);
void native.createWriter([segment], 0n);
process.exit(0);
