// JSON for the oracle: integers that fit int64 are bigint, other numbers are number, objects are
// Maps. Of a key that occurs twice the last value counts, as in native's JSON.

export type JsonValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | JsonValue[]
  | Map<string, JsonValue>;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** A mark, a string, an integer, another number, or a word. */
const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d+(?![\d.eE]))|(-?\d[\d.eE+-]*)|(\w+))/y;

/** Returns the value of a JSON text. Throws SyntaxError for a text that is not JSON. */
export function parseJson(text: string): JsonValue {
  JSON.parse(text);
  // The text is valid from here on, so tokens need no checks.
  return new JsonReader(text).read();
}

class JsonReader {
  private readonly text: string;
  private position = 0;

  constructor(text: string) {
    this.text = text;
  }

  read(): JsonValue {
    const [mark, string, integer, float, word] = this.token();
    if (mark === '{') return this.readObject();
    if (mark === '[') return this.readArray();
    if (string !== undefined) return JSON.parse(string) as string;
    if (integer !== undefined) {
      const value = BigInt(integer);
      return value < INT64_MIN || value > INT64_MAX ? Number(integer) : value;
    }
    if (float !== undefined) return Number(float);
    return word === 'null' ? null : word === 'true';
  }

  private readObject(): Map<string, JsonValue> {
    const result = new Map<string, JsonValue>();
    while (!this.skipMark('}')) {
      const [, key = '""'] = this.token();
      this.skipMark(':');
      const name = JSON.parse(key) as string;
      result.set(name, this.read());
      this.skipMark(',');
    }
    return result;
  }

  private readArray(): JsonValue[] {
    const result: JsonValue[] = [];
    while (!this.skipMark(']')) {
      result.push(this.read());
      this.skipMark(',');
    }
    return result;
  }

  private skipMark(mark: string): boolean {
    const before = this.position;
    if (this.token()[0] === mark) return true;
    this.position = before;
    return false;
  }

  private token(): (string | undefined)[] {
    TOKEN.lastIndex = this.position;
    const match = TOKEN.exec(this.text);
    if (match === null) throw new SyntaxError(`no JSON token at ${this.position}`);
    this.position = TOKEN.lastIndex;
    return match.slice(1);
  }
}

/**
 * Returns the JSON text that parseJson turns back into the value: doubles have a point or exponent.
 */
export function formatJson(value: JsonValue): string {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') {
    const text = Object.is(value, -0) ? '-0.0' : String(value);
    return /[.e]/.test(text) ? text : `${text}.0`;
  }
  if (Array.isArray(value)) return `[${value.map(formatJson).join(',')}]`;
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) => `${JSON.stringify(key)}:${formatJson(item)}`);
    return `{${entries.join(',')}}`;
  }
  return JSON.stringify(value);
}
