// Options and properties as clients set them: texts by name.

import { invalidParameter } from '../../model/error.ts';

export type Options = Readonly<Record<string, string>>;

export function isTrue(value: string | undefined): boolean {
  return value !== undefined && value.toLowerCase() === 'true';
}

/**
 * Returns undefined for an option that is not given, or empty.
 * @throws MilvusError ParameterInvalid naming key and value
 */
export function readInteger(options: Options, key: string): number | undefined {
  const text = options[key]?.trim();
  if (options[key] === undefined || options[key] === '') return undefined;
  const value = text === '' ? Number.NaN : Number(text);
  if (!Number.isInteger(value)) throw invalidParameter(`${key} [${text}] is invalid`);
  return value;
}
