// How much growing data the node holds. Reserved before a record is appended, because nothing may
// fail afterwards (R8, R19).

import { MilvusError } from '../../model/error.ts';

export class GrowingBudget {
  readonly bytesMax: number;
  used = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** @throws MilvusError MemoryLimitExceeded with need and have */
  reserve(bytes: number): void {
    if (this.used + bytes > this.bytesMax) {
      throw new MilvusError('MemoryLimitExceeded', {
        message: 'growing data is at its limit; retry when it has been written out',
        fields: { need: bytes, have: this.bytesMax - this.used, limit: this.bytesMax },
        isUnexecuted: true,
      });
    }
    this.used += bytes;
  }

  release(bytes: number): void {
    this.used -= bytes;
  }
}
