// Lowers a LIKE pattern to the cheapest match that means the same: equal, prefix, postfix, inner,
// or the pattern itself. `%` is any run, `_` one character, a backslash makes the next character
// ordinary.

import { LikeKind } from './plan.ts';

/** A pattern split at its wildcards: literal text, or one of `%` and `_`. */
type Piece = { readonly text: string } | '%' | '_';

export interface LoweredLike {
  readonly like: LikeKind;
  readonly pattern: string;
}

/**
 * Returns the match for a LIKE pattern. The pattern of kind Pattern has `\` only before `%`, `_`
 * and `\`, and no two `%` in a row; those of the other kinds are plain text.
 */
export function lowerLike(pattern: string): LoweredLike {
  const pieces = splitPattern(pattern);
  const opens = pieces[0] === '%';
  const closes = pieces.length > 1 && pieces.at(-1) === '%';
  const inner = pieces.slice(opens ? 1 : 0, closes ? -1 : pieces.length);
  const [first] = inner;
  if (inner.length > 1 || first === '_' || first === '%') {
    return { like: LikeKind.Pattern, pattern: pieces.map(formatPiece).join('') };
  }
  const text = first?.text ?? '';
  if (opens && closes) return { like: LikeKind.Inner, pattern: text };
  // A lone `%` is a prefix match with nothing: every string.
  if (opens) return { like: text === '' ? LikeKind.Prefix : LikeKind.Postfix, pattern: text };
  return { like: closes ? LikeKind.Prefix : LikeKind.Equal, pattern: text };
}

function splitPattern(pattern: string): Piece[] {
  const pieces: Piece[] = [];
  let text = '';
  const flush = (): void => {
    if (text !== '') pieces.push({ text });
    text = '';
  };
  for (let i = 0; i < pattern.length; i += 1) {
    const character = pattern.charAt(i);
    if (character === '%' || character === '_') {
      flush();
      if (character === '_' || pieces.at(-1) !== '%') pieces.push(character);
    } else if (character === '\\' && i + 1 < pattern.length) {
      i += 1;
      text += pattern.charAt(i);
    } else {
      // A backslash with nothing after it stands for itself.
      text += character;
    }
  }
  flush();
  return pieces;
}

function formatPiece(piece: Piece): string {
  return typeof piece === 'string' ? piece : piece.text.replace(/[\\%_]/g, '\\$&');
}
