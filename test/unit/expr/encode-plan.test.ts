// The plan's bytes: against the byte table of docs/formats/plan.md by hand, and round trips.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHILDREN_MAX, encodePlan, encodePlanInTurns } from '../../../src/expr/encode-plan.ts';
import { ArithOp, CompareOp, ContainsMode, LikeKind } from '../../../src/expr/plan.ts';
import type { Literal, Operand, PlanNode, ValueList } from '../../../src/expr/plan.ts';
import { toValueList } from '../../../src/expr/value-list.ts';
import { decodePlan } from '../../support/decode-plan.ts';

const FIELD: Operand = { fieldId: 100n, dataType: 5, elementType: 0, kind: 'field' };
const ELEMENT: Operand = {
  fieldId: 101n, dataType: 22, elementType: 21, kind: 'element', index: 7,
};
const PATH: Operand = { fieldId: -1n, dataType: 23, elementType: 0, kind: 'path', path: ['é', 3] };

const INT: Literal = { kind: 'int64', value: -2n };
const TEXT: Literal = { kind: 'string', value: 'a中' };
const LIST: Literal = {
  kind: 'array', value: [{ kind: 'bool', value: true }, { kind: 'double', value: 0.5 }, INT],
};

const MAGIC = '45 4c 50 31';
const FIELD_HEX = '64 00 00 00 00 00 00 00 05 00 00';
const ELEMENT_HEX = '65 00 00 00 00 00 00 00 16 15 01 07 00 00 00';
const PATH_HEX = 'ff ff ff ff ff ff ff ff 17 00 02 02 00 00 02 00 00 00 c3 a9 01 03 00 00 00';
const INT_HEX = '02 fe ff ff ff ff ff ff ff';
const TEXT_HEX = '04 04 00 00 00 61 e4 b8 ad';
const LIST_HEX = `05 03 00 00 00 01 01 03 00 00 00 00 00 00 e0 3f ${INT_HEX}`;

const CASES: readonly (readonly [PlanNode, string])[] = [
  [{ node: 'const', value: false }, '01 00'],
  [{ node: 'const', value: true }, '01 01'],
  [{ node: 'const', value: null }, '01 02'],
  [
    { node: 'and', children: [{ node: 'const', value: true }, { node: 'exists', operand: PATH }] },
    `02 02 00 01 01 17 ${PATH_HEX}`,
  ],
  [{ node: 'or', children: [{ node: 'isNull', operand: FIELD }] }, `03 01 00 16 ${FIELD_HEX}`],
  [{ node: 'not', child: { node: 'const', value: null } }, '04 01 02'],
  [
    { node: 'compare', operand: FIELD, op: CompareOp.Ge, value: INT },
    `10 ${FIELD_HEX} 05 ${INT_HEX}`,
  ],
  [
    { node: 'compareOperands', left: FIELD, op: CompareOp.Ne, right: ELEMENT },
    `11 ${FIELD_HEX} 01 ${ELEMENT_HEX}`,
  ],
  [
    {
      node: 'range', operand: ELEMENT, lower: INT, lowerInclusive: true, upper: TEXT,
      upperInclusive: false,
    },
    `12 ${ELEMENT_HEX} 01 ${INT_HEX} ${TEXT_HEX}`,
  ],
  [
    { node: 'in', operand: FIELD, list: toValueList([INT, TEXT]) },
    `13 ${FIELD_HEX} 02 00 00 00 ${INT_HEX} ${TEXT_HEX}`,
  ],
  [
    {
      node: 'arith', operand: PATH, arith: ArithOp.BitXor, right: INT, op: CompareOp.Lt, value: INT,
    },
    `14 ${PATH_HEX} 07 ${INT_HEX} 02 ${INT_HEX}`,
  ],
  [
    { node: 'like', operand: FIELD, like: LikeKind.Pattern, pattern: '%a' },
    `15 ${FIELD_HEX} 04 02 00 00 00 25 61`,
  ],
  [
    {
      node: 'regex', operand: FIELD, negated: true, pattern: 'b',
      program: {
        start: 1,
        instructions: [
          { op: 3, low: 0, high: 0, next: 0, other: 0 },
          { op: 0, low: 0x62, high: 0x63, next: 0, other: 0x102 },
        ],
      },
    },
    `1a ${FIELD_HEX} 01 01 00 00 00 62 02 00 00 00 01 00 00 00 ` +
      '03 00 00 00 00 00 00 00 00 00 00 00 62 63 00 00 00 00 02 01 00 00',
  ],
  [
    { node: 'contains', operand: PATH, mode: ContainsMode.Any, list: toValueList([LIST]) },
    `18 ${PATH_HEX} 02 01 00 00 00 ${LIST_HEX}`,
  ],
  [
    { node: 'arrayLength', operand: PATH, op: CompareOp.Eq, value: INT },
    `19 ${PATH_HEX} 00 ${INT_HEX}`,
  ],
];

test('each node has the bytes of the table, and reads back', () => {
  for (const [plan, hex] of CASES) {
    const bytes = encodePlan(plan);
    assert.equal(Buffer.from(bytes).toString('hex'), `${MAGIC} ${hex}`.replaceAll(' ', ''));
    assert.deepEqual(decodePlan(bytes), plan);
  }
});

test('more children than a u16 counts are nested', () => {
  const child: PlanNode = { node: 'const', value: false };
  const children: PlanNode[] = Array.from({ length: CHILDREN_MAX + 2 }, () => child);
  const decoded = decodePlan(encodePlan({ node: 'or', children }));
  assert.ok(decoded.node === 'or');
  assert.deepEqual(
    decoded.children.map((group) => (group.node === 'or' ? group.children.length : 0)),
    [CHILDREN_MAX, 2],
  );
});

test('the buffer grows under strings and lists of any size', () => {
  for (let length = 0; length < 600; length += 1) {
    const list = toValueList([{ kind: 'string', value: 'x'.repeat(length) }, INT]);
    const plan: PlanNode = { node: 'in', operand: FIELD, list };
    assert.deepEqual(decodePlan(encodePlan(plan)), plan);
  }
});

test('a list longer than one turn of the event loop takes is encoded whole', async () => {
  const strings = Array.from({ length: 20_000 }, (_, i) => `key ${i}`);
  const integers = BigInt64Array.from(strings, (_, i) => 2n ** 62n + BigInt(i));
  const lists: ValueList[] = [
    { kind: 'string', values: strings },
    { kind: 'int64', values: integers },
  ];
  for (const list of lists) {
    const plan: PlanNode = { node: 'not', child: { node: 'in', operand: FIELD, list } };
    assert.deepEqual(await encodePlanInTurns(plan), encodePlan(plan));
    assert.deepEqual(decodePlan(encodePlan(plan)), plan);
  }
});
