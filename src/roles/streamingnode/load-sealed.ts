// Has the query node open sealed segments of a shard, with every delete that they lack as of this
// turn (R3): those in delete files and those that only the log has.

import type { CollectionInfo } from '../../model/collection-info.ts';
import type { IndexFile, SegmentInfo } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';
import type { DeleteBuffer } from './delete-buffer.ts';

/** What loading needs of a shard. */
interface Loading {
  readonly deps: { readonly peers: Peers };
  readonly info: CollectionInfo;
  readonly deletes: DeleteBuffer;
}

export async function loadSealed(
  { deps, info, deletes }: Loading,
  segments: readonly SegmentInfo[],
  indexFiles: readonly IndexFile[],
): Promise<void> {
  const { collectionId, schema } = info;
  const known = { deleteFiles: deletes.files, deletes: deletes.encodePending() };
  const request = { collectionId, schema, segments, ...known, indexFiles };
  await deps.peers.querynode.loadSegments(request, {});
}

/** The same; when it fails, nothing of them is held: readers will not see them. */
export async function loadOrRelease(
  shard: Loading,
  segments: readonly SegmentInfo[],
  indexFiles: readonly IndexFile[],
): Promise<void> {
  try {
    await loadSealed(shard, segments, indexFiles);
  } catch (error) {
    const segmentIds = segments.map(({ segmentId }) => segmentId);
    const { querynode } = shard.deps.peers;
    await querynode.releaseSegments({ segmentIds }, {}).catch(() => undefined);
    throw error;
  }
}
