// Holds docs/compatibility.md together with the tables that it is rendered from.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { COMPATIBILITY_PAGE, renderCompatibility } from '../../scripts/compatibility.ts';

test('the committed page of compatibility says what the tables say', () => {
  assert.equal(
    readFileSync(COMPATIBILITY_PAGE, 'utf8'),
    renderCompatibility(),
    'run `node dist/scripts/compatibility.js` and commit the page',
  );
});
