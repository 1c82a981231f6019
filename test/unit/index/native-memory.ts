// A process that gets no memory for a list of keys; native-reads.test.ts runs it. Without an
// argument it says how many KiB of addresses it has before it asks for any.

import { readFileSync } from 'node:fs';

import { native } from '../../../src/index/native.ts';
import { Random } from '../../support/codec/random.ts';
import { KEY, makeGrowing } from '../../support/native-segment.ts';

const segment = makeGrowing(20_000, new Random(1));
const request = { readTimestamp: 2n, limit: 0, outputFieldIds: [KEY], countOnly: true };
// Has the threads started.
const { count } = await native.query([segment], request);
const keysMiB = process.argv[2];
if (keysMiB === undefined) {
  const status = readFileSync('/proc/self/status', 'utf8');
  console.log(/VmSize:\s*(\d+)/.exec(status)![1]);
} else {
  const keys = new BigInt64Array(Number(keysMiB) << 17);
  let code: unknown;
  try {
    await native.query([segment], { ...request, keys });
  } catch (error) {
    code = (error as { code?: unknown }).code;
  }
  const after = await native.query([segment], request);
  console.log(JSON.stringify({ code, isSame: after.count === count }));
}
