// What `=~` takes for a pattern, and what it matches: RE2's syntax, found anywhere in the text.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LikeKind } from '../../../src/expr/plan.ts';
import {
  CODE_POINT_MAX, foldCase, readUnicodeClass, unite,
} from '../../../src/expr/regex-class.ts';
import type { CodeSet } from '../../../src/expr/regex-class.ts';
import { compileRegex } from '../../../src/expr/regex-program.ts';
import { Random } from '../../support/codec/random.ts';
import { runRegex } from '../../support/run-regex.ts';

/** Pattern, texts that it matches, texts that it does not. */
const MATCHES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['', ['', 'a'], []],
  ['a.c', ['abc', 'xxa中cxx', 'a\rc'], ['ac', 'a\nc']],
  ['(?s)a.c', ['a\nc'], ['ac']],
  ['^a', ['abc'], ['ba', 'b\na']],
  ['(?m)^a', ['abc', 'b\na'], ['ba']],
  ['a$', ['ba'], ['ab', 'a\n']],
  ['(?m)a$', ['ba', 'a\nb'], ['ab']],
  ['\\Aa\\z', ['a'], ['aa', 'a\n', '']],
  ['\\bfoo\\b', ['foo', 'a foo.', 'éfooé'], ['food', '_foo']],
  ['a\\Bb', ['ab'], ['a b']],
  ['colou?r', ['color', 'colour'], ['colouur']],
  ['^a{2}$', ['aa'], ['a', 'aaa']],
  ['^a{2,}$', ['aa', 'aaaaa'], ['a']],
  ['^a{1,3}$', ['a', 'aa', 'aaa'], ['', 'aaaa']],
  ['^a{0}$', [''], ['a']],
  ['a{,2}', ['a{,2}'], ['aa']],
  ['a{x', ['a{x'], ['ax']],
  ['^(?:ab|cd)+?$', ['ab', 'cdab'], ['abc', '']],
  ['^(a|b|)c$', ['ac', 'bc', 'c'], ['abc']],
  ['^(?P<year>\\d{4})-(?<month>\\d\\d)$', ['2026-11'], ['2026-1']],
  ['(?i)straße', ['STRAßE', 'STRAẞE'], ['STRASSE']],
  ['(?i)k', ['k', 'K', '\u212a'], ['x']],
  ['a(?i)b|c', ['aB', 'C'], ['Ab']],
  ['a(?i:b)c', ['aBc'], ['aBC']],
  ['(?i)a(?-i)b', ['Ab'], ['AB']],
  ['(?i)[^k]', ['x'], ['k', 'K', '\u212a']],
  ['(?U)a+', ['a'], ['b']],
  ['^[a-c\\d_-]+$', ['a2-_c'], ['d']],
  ['^[]a]$', [']', 'a'], ['b']],
  ['^[^]a]$', ['b', '中'], [']', 'a']],
  ['^[a\\-z]$', ['-'], ['b']],
  ['^[[:alpha:][:^ascii:]]+$', ['aZé中'], ['1']],
  ['^[\\W\\s]$', [' ', 'é', '\t'], ['a']],
  ['^\\s$', [' ', '\f'], ['\v', '\u00a0']],
  ['^[[:space:]]$', ['\v'], ['\u00a0']],
  ['^\\D\\S\\W$', ['aa-'], ['1a-']],
  ['^\\pL\\p{Lu}\\PN\\P{^Nd}$', ['éÉx7'], ['éÉ77', '1Éx7']],
  ['^\\p{Greek}+$', ['λόγος'], ['logos']],
  ['^\\p{Han}\\p{^Han}$', ['中a'], ['中文']],
  ['^[\\p{Nd}\\pP]+$', ['1.٣'], ['a']],
  ['^\\p{Any}$', ['\u{1f600}', '\n'], ['ab']],
  ['(?i)^\\p{Lu}$', ['a', 'É'], ['1']],
  ['^.$', ['\u{1f600}', '中', 'é', 'a', '\u{10ffff}'], ['ab', '\n']],
  ['^[^é]$', ['中', 'e'], ['é']],
  ['^[\u{1f600}-\u{1f64f}]$', ['\u{1f601}'], ['\u{1f650}']],
  ['^\\x41\\x{4e2d}\\101\\0$', ['A中A\0'], ['A中A']],
  ['\\a\\f\\t\\n\\r\\v', ['\x07\f\t\n\r\v'], ['aftnrv']],
  ['\\Qa.b*\\E+c', ['a.b**c'], ['a.bc', 'axb*c']],
  ['\\Q(', ['a('], ['a']],
  ['\\.\\*\\$\\é\\_', ['.*$é_'], ['a']],
  ['(?i)\\Qab\\E', ['AB'], ['a']],
  ['[^\\x00-\\x{10ffff}]', [], ['', 'a']],
  ['(a*)*(b|^)*$', ['', 'aab'], []],
  ['^*a', ['ba'], ['b']],
];

test('a pattern matches what RE2 matches', () => {
  for (const [pattern, matching, others] of MATCHES) {
    const { program } = compileRegex(pattern);
    for (const text of matching) assert.ok(runRegex(program, text), `${pattern} on ${text}`);
    for (const text of others) assert.ok(!runRegex(program, text), `${pattern} not on ${text}`);
  }
});

const REFUSED: readonly (readonly [string, string])[] = [
  ['(a', 'missing ): (a'],
  ['a)', 'unexpected ): a)'],
  ['[a', 'missing ]: [a'],
  ['[', 'missing ]: ['],
  ['*a', 'missing argument to repetition operator: *'],
  ['a|+', 'missing argument to repetition operator: +'],
  ['a**', 'bad repetition operator: **'],
  ['a+?{2}', 'bad repetition operator: +?{2}'],
  ['a{1001}', 'invalid repetition size: {1001}'],
  ['a{3,2}', 'invalid repetition size: {3,2}'],
  ['(a{50}){50}', 'invalid repetition size: repetitions of repetitions, 2500 times'],
  ['[z-a]', 'invalid character class range: z-a'],
  ['[[:word1:]]', 'invalid character class range: [:word1:]'],
  ['\\p{Klingon}', 'invalid character class range: \\p{Klingon}'],
  ['\\p', 'invalid character class range: \\p'],
  ['\\y', 'invalid escape sequence: \\y'],
  ['\\1', 'invalid escape sequence: \\1'],
  ['\\C', 'invalid escape sequence: \\C'],
  ['\\x{110000}', 'invalid escape sequence: \\x{110000}'],
  ['\\x{d800}', 'invalid escape sequence: \\x{d800}'],
  ['[a-\\d]', 'invalid escape sequence: \\d'],
  ['a\\', 'trailing \\ at end of expression: \\'],
  ['(?=a)', 'invalid perl operator: (?=a'],
  ['(?<=a)', 'invalid perl operator: (?<='],
  ['(?P<1>a)', 'invalid perl operator: (?P<'],
  ['(?:\\pL{100}){10}', 'pattern too large: more than 20000 instructions'],
];

test('a pattern that RE2 does not take is refused, and says why', () => {
  for (const [pattern, message] of REFUSED) {
    assert.throws(() => compileRegex(pattern), { message: `invalid regex pattern: ${message}` });
  }
  const deep = `${'('.repeat(600)}a${')'.repeat(600)}`;
  assert.throws(() => compileRegex(deep), /invalid regex pattern: expression nests too deeply/);
});

test('plain text between anchors is a match of LIKE', () => {
  const lowered = (pattern: string): unknown => compileRegex(pattern).like;
  assert.deepEqual(lowered('a\\.b'), { like: LikeKind.Inner, pattern: 'a.b' });
  assert.deepEqual(lowered('^中%'), { like: LikeKind.Prefix, pattern: '中%' });
  assert.deepEqual(lowered('ab$'), { like: LikeKind.Postfix, pattern: 'ab' });
  assert.deepEqual(lowered('^(a)(?:b)\\z'), { like: LikeKind.Equal, pattern: 'ab' });
  assert.deepEqual(lowered(''), { like: LikeKind.Inner, pattern: '' });
  assert.equal(lowered('(?i)ab'), undefined);
  assert.equal(lowered('a^b'), undefined);
  assert.equal(lowered('(?m)^a'), undefined);
});

test('case is folded as Unicode says', () => {
  // JavaScript's own `iu` folds the same way: each letter finds its orbit among all of them.
  const letters: string[] = [];
  for (let code = 0; code <= CODE_POINT_MAX; code += 1) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const letter = String.fromCodePoint(code);
    if (/[\p{Changes_When_Casefolded}\p{Changes_When_Casemapped}]/u.test(letter)) {
      letters.push(letter);
    }
  }
  assert.ok(letters.length > 2800);
  const text = letters.join('');
  for (const letter of letters) {
    const code = letter.codePointAt(0)!;
    const pattern = new RegExp(`\\u{${code.toString(16)}}`, 'giu');
    const orbit = Array.from(text.matchAll(pattern), ([other]) => other.codePointAt(0)!);
    assert.deepEqual(listCodes(foldCase([[code, code]])), orbit.sort((a, b) => a - b));
  }
  assert.deepEqual(foldCase([[0x6b, 0x6b]]), [[0x4b, 0x4b], [0x6b, 0x6b], [0x212a, 0x212a]]);
  assert.deepEqual(foldCase([[0x3c3, 0x3c3]]), [[0x3a3, 0x3a3], [0x3c2, 0x3c3]]);
  assert.deepEqual(foldCase([[0x131, 0x131]]), [[0x131, 0x131]]);
  assert.deepEqual(foldCase([[0xfb05, 0xfb05]]), [[0xfb05, 0xfb06]]);
});

test('a range folds as each of its letters does', () => {
  const random = new Random(57);
  const starts = [0x30, 0xb0, 0x100, 0x170, 0x240, 0x370, 0x480, 0x1c80, 0x1e00, 0x1fb0, 0x2c00,
    0xa640, 0xab30, 0x10400, 0x1e900];
  for (let round = 0; round < 400; round += 1) {
    const ranges: [number, number][] = [];
    for (let i = 0; i < 3; i += 1) {
      const first = random.pick(starts) + random.below(64);
      ranges.push([first, first + random.below(100)]);
    }
    const set = unite(ranges);
    const letters = listCodes(set).flatMap((code) => [...foldCase([[code, code]])]);
    assert.deepEqual(foldCase(set), unite(letters), JSON.stringify(set));
  }
  assert.deepEqual(foldCase([[0, CODE_POINT_MAX]]), [[0, CODE_POINT_MAX]]);
});

test('a class holds the code points that JavaScript says', () => {
  const rest = Array.from({ length: 0xa0000 }, (_unused, i) => String.fromCodePoint(0x40000 + i));
  assert.doesNotMatch(rest.join(''), /\P{Cn}/u, 'planes 4 to 13 hold no character');
  const names = ['Lu', 'Zs', 'C', 'Cs', 'Greek', 'Han'];
  for (const name of names) {
    const isScript = name.length > 2;
    const property = name === 'C' ? '\\p{Cc}\\p{Cf}\\p{Co}' :
      isScript ? `\\p{Script=${name}}` : `\\p{${name}}`;
    const pattern = new RegExp(`^[${property}]$`, 'u');
    const expected: number[] = [];
    for (let code = 0; code <= CODE_POINT_MAX; code += 1) {
      const isSurrogate = code >= 0xd800 && code <= 0xdfff;
      if (!isSurrogate && pattern.test(String.fromCodePoint(code))) expected.push(code);
    }
    assert.deepEqual(listCodes(readUnicodeClass(name)), expected, name);
  }
});

function listCodes(set: CodeSet): number[] {
  return set.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_unused, i) => first + i),
  );
}

/** Of the processor: far above what they take, far below the minutes without a bound. */
const LARGE_PATTERN_MS = 2000;

test('P9: a pattern of any length is compiled or refused at once', () => {
  const patterns: readonly [string, RegExp | undefined][] = [
    [`(?i)${'k'.repeat(1_000_000)}`, /pattern too large: 1000004 characters, at most 65536/],
    [`(?i)${'k'.repeat(65_532)}`, /pattern too large: more than 20000 instructions/],
    [`(?i)${'[a-z\u{1ffff}]'.repeat(8000)}`, /pattern too large/],
    [`(?i)${'[\0-\u{1ffff}]'.repeat(8000)}`, /pattern too large/],
    [`(?i)[${'\\pL'.repeat(20_000)}]`, /pattern too large/],
    [`(?i)${'\\pL'.repeat(20_000)}`, /pattern too large/],
    [`(?i)(?:${'[\0-\u{1ffff}]'.repeat(8000)}){0}`, undefined],
    [`(?i)${'s'.repeat(3000)}`, undefined],
    [`${'('.repeat(400)}${'a'.repeat(19_000)}${')'.repeat(400)}`, undefined],
  ];
  for (const [pattern, message] of patterns) {
    const began = process.cpuUsage();
    if (message === undefined) assert.ok(compileRegex(pattern));
    else assert.throws(() => compileRegex(pattern), message);
    const { user, system } = process.cpuUsage(began);
    const tookMs = (user + system) / 1000;
    assert.ok(tookMs < LARGE_PATTERN_MS, `${pattern.slice(0, 30)}… took ${tookMs} ms`);
  }
});

test('random patterns match what JavaScript matches', () => {
  const random = new Random(31);
  const atoms = [
    'a', 'b', 'é', '中', '\u{1f600}', '.', '[a-c]', '[^ab]', '[é-中]', '[^\\w]', '(a|bc)', '(?:b|)',
    '(a*)', '\\d', '\\b', '^', '$',
  ];
  const letters = ['a', 'b', 'c', 'é', '中', '\u{1f600}', '1', '\n', ' '];
  const write = (count: number): string =>
    Array.from({ length: count }, () => {
      const atom = random.pick(atoms);
      const isAssert = ['\\b', '^', '$'].includes(atom);
      return atom + (isAssert ? '' : random.pick(['', '', '*', '+', '?', '{2}', '{0,2}', '+?']));
    }).join('');
  for (let round = 0; round < 3000; round += 1) {
    const pattern = random.chance(0.2)
      ? `(?:${write(2)}|${write(2)})${random.pick(['', '+', '{2,}'])}`
      : write(1 + random.below(5));
    const { program } = compileRegex(pattern);
    const expected = new RegExp(pattern, 'u');
    for (let i = 0; i < 5; i += 1) {
      const text = Array.from({ length: random.below(8) }, () => random.pick(letters)).join('');
      assert.equal(runRegex(program, text), expected.test(text), `${pattern} on ${text}`);
    }
  }
});
