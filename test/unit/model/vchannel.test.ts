// Names of shards.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeVchannel, parseVchannel } from '../../../src/model/vchannel.ts';
import { hasName } from '../../support/has-name.ts';

test('a name says its pchannel, collection and shard', () => {
  const name = makeVchannel(13, 470617257980002348n, 2);
  assert.equal(name, 'by-dev-rootcoord-dml_13_470617257980002348v2');
  assert.deepEqual(parseVchannel(name), {
    pchannel: 'by-dev-rootcoord-dml_13',
    pchannelIndex: 13,
    collectionId: 470617257980002348n,
    shardIndex: 2,
  });
});

test('what is not a name of a shard is refused', () => {
  for (const name of ['', 'dml_0', 'by-dev-rootcoord-dml_0_v1', 'by-dev-rootcoord-dml_0_7vx']) {
    assert.throws(() => parseVchannel(name), hasName('ChannelNotFound'));
  }
});
