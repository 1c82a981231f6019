// What logs say to owners that may not append any more: the same words whatever a log is made of.

import { MilvusError } from '../model/error.ts';

export function createClosedError(): MilvusError {
  return new MilvusError('ServiceUnavailable', {
    message: 'write-ahead log is closed',
    isUnexecuted: true,
  });
}

/** For an owner that comes later than its successor. */
export function createOldTermError(pchannel: string, term: number, highest: number): MilvusError {
  return new MilvusError('ChannelNotAvailable', {
    message: 'the write-ahead log has been opened with a later term',
    fields: { channel: pchannel, got: term, expected: `>= ${highest}` },
    isUnexecuted: true,
  });
}
