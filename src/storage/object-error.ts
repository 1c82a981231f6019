// What a client is told of an object that is not there, or shorter than was thought.

import { MilvusError } from '../model/error.ts';

export function absentError(key: string): MilvusError {
  return new MilvusError('IoFailed', { message: 'object not found', fields: { key } });
}

export function rangeError(key: string, offset: number, length: number): MilvusError {
  return new MilvusError('IoFailed', {
    message: 'range past the end of the object',
    fields: { key, offset, length },
  });
}
