// Wrong requests against a running server: each is refused with Milvus' code and words, flagged as
// clients expect it, and changes nothing. The tables are in bad-input/.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { MilvusClient, MilvusReplyError, type ReplyStatus } from '../support/milvus-client.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';
import type { BadRequest, Plain } from './bad-input/bad-request.ts';
import { CATALOG } from './bad-input/catalog.ts';
import { INDEXES_AND_LOADING } from './bad-input/indexes.ts';
import { NAMES } from './bad-input/names.ts';
import { QUERIES } from './bad-input/queries.ts';
import { ALTERATIONS } from './bad-input/alterations.ts';
import { SCHEMAS } from './bad-input/schemas.ts';
import { SEARCH_REQUESTS } from './bad-input/searches.ts';
import { buildWorld, takePicture } from './bad-input/world.ts';
import { WRITES } from './bad-input/writes.ts';

const GROUPS: Readonly<Record<string, readonly BadRequest[]>> = {
  names: NAMES,
  schemas: SCHEMAS,
  alterations: ALTERATIONS,
  writes: WRITES,
  searches: SEARCH_REQUESTS,
  queries: QUERIES,
  'indexes and loads': INDEXES_AND_LOADING,
  'catalog changes': CATALOG,
};
const ROWS_MIN = 120;

/** Code → deprecated error code; all others are 1. Source: Milvus 2.6. */
const LEGACY_CODES: Readonly<Record<number, number>> = {
  100: 4,
  109: 62,
  200: 15,
  700: 25,
  1100: 5,
  1102: 5,
};
/** The server cannot do what was asked, which is not the client's mistake. */
const SYSTEM_CODES = new Set([10, 101, 201, 65535]);

let client: MilvusClient;
let server: ServerProcess;
let directory: Awaited<ReturnType<typeof makeTempDirectory>>;

before(async () => {
  directory = await makeTempDirectory('bad-input');
  const started = await ServerProcess.start({ dataPath: directory.path });
  server = started.server;
  client = new MilvusClient(started.address.grpc);
  await buildWorld(client);
});

after(async () => {
  client?.close();
  await server?.stop();
  await directory?.remove();
});

test('the tables hold enough rows, each with its own title', () => {
  const rows = Object.values(GROUPS).flat();
  assert.ok(rows.length >= ROWS_MIN, `${rows.length} rows`);
  for (const [name, group] of Object.entries(GROUPS)) {
    const titles = group.map(({ method, title }) => `${method}: ${title}`);
    assert.equal(new Set(titles).size, titles.length, `a title of ${name} is there twice`);
  }
});

for (const [name, rows] of Object.entries(GROUPS)) {
  describe(`wrong ${name} are refused and change nothing`, () => {
    let picture: Plain;

    before(async () => {
      picture = await takePicture(client);
    });

    for (const row of rows) {
      test(`${row.method}: ${row.title}`, async () => {
        checkStatus(await callWrongly(row), row);
      });
    }

    test(`after all wrong ${name} everything is as it was`, async () => {
      assert.deepEqual(await takePicture(client), picture);
    });
  });
}

async function callWrongly({ method, request }: BadRequest): Promise<ReplyStatus> {
  try {
    await client.call(method, request);
  } catch (error) {
    if (error instanceof MilvusReplyError) return error.status;
    throw error;
  }
  assert.fail('the request was taken');
}

function checkStatus(status: ReplyStatus, { code, says }: BadRequest): void {
  for (const fragment of says) {
    assert.ok(status.reason.includes(fragment), `"${fragment}" is not in "${status.reason}"`);
  }
  const isInputError = !SYSTEM_CODES.has(code);
  assert.deepEqual(
    {
      code: status.code,
      error_code: status.error_code,
      detail: status.detail,
      retriable: status.retriable,
      extra_info: status.extra_info,
    },
    {
      code,
      error_code: LEGACY_CODES[code] ?? 1,
      detail: status.reason,
      retriable: false,
      extra_info: isInputError ? { is_input_error: 'true' } : {},
    },
  );
}
