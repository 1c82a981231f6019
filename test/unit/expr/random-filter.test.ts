// Random filters: each compiles, survives its binary form, and obeys the laws of three-valued logic
// on random rows. The same generator feeds the comparison of native with the oracle.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compileFilter } from '../../../src/expr/compile.ts';
import { encodePlan } from '../../../src/expr/encode-plan.ts';
import { Random } from '../../support/codec/random.ts';
import { decodePlan } from '../../support/decode-plan.ts';
import { DYNAMIC_SCHEMA, STRICT_SCHEMA } from '../../support/filter-fixture.ts';
import { makeRandomRow } from '../../support/filter-pool.ts';
import { evaluateRow } from '../../support/oracle/evaluate.ts';
import { makeRandomFilter } from '../../support/random-filter.ts';

const SEED = 20251;
const FILTERS = 3000;
const ROWS = 4;

function invert(value: boolean | null): boolean | null {
  return value === null ? null : !value;
}

test('random filters compile and keep the laws of logic', () => {
  const random = new Random(SEED);
  const seen = new Set<boolean | null>();
  const nodes = new Set<string>();
  for (let i = 0; i < FILTERS; i += 1) {
    const schema = random.chance(0.5) ? DYNAMIC_SCHEMA : STRICT_SCHEMA;
    const { text, templates } = makeRandomFilter(random, { schema, depthMax: random.below(4) });
    const context = `seed ${SEED}, filter ${i}: ${text}`;
    const plan = compileFilter(text, schema, templates);
    const inverse = compileFilter(`not (${text})`, schema, templates);
    const excluded = compileFilter(`(${text}) and not (${text})`, schema, templates);
    assert.deepEqual(decodePlan(encodePlan(plan)), plan, context);
    nodes.add(plan.node);
    for (let row = 0; row < ROWS; row += 1) {
      const values = makeRandomRow(random, schema);
      const result = evaluateRow(plan, values);
      seen.add(result);
      assert.equal(evaluateRow(inverse, values), invert(result), context);
      assert.equal(evaluateRow(excluded, values), result === null ? null : false, context);
    }
  }
  assert.deepEqual(seen, new Set([true, false, null]));
  assert.equal(nodes.size, 15, `kinds of root nodes seen: ${[...nodes].join(' ')}`);
});
