// Reports a test run: one line per test file, each failure in full with what its file printed (the
// seeds of random tests are there), and the totals.
import { relative } from 'node:path';
import { inspect } from 'node:util';

const OUTPUT_CHARACTERS_MAX = 20_000;

function describeFailure({ name, file, line, details }) {
  const where = file === undefined ? '' : ` (${relative(process.cwd(), file)}:${line ?? 0})`;
  return `\n✖ ${name}${where}\n${inspect(details.error.cause ?? details.error)}\n`;
}

export default async function* report(source) {
  const files = new Map();
  const of = (file) => {
    let found = files.get(file);
    if (found === undefined) {
      found = { passed: 0, failed: 0, skipped: 0, output: '', milliseconds: 0 };
      files.set(file, found);
    }
    return found;
  };
  let current;
  const close = () => {
    if (current === undefined) return '';
    const { passed, failed, skipped, output, milliseconds } = of(current);
    const printed = failed > 0 && output !== '' ? `--- printed by the file\n${output}---\n` : '';
    const mark = failed > 0 ? '✖' : '✔';
    const rest = [failed > 0 ? `${failed} failed` : '', skipped > 0 ? `${skipped} skipped` : ''];
    const counts = [`${passed} passed`, ...rest.filter((text) => text !== '')].join(', ');
    const seconds = (milliseconds / 1000).toFixed(1);
    return `${printed}${mark} ${relative(process.cwd(), current)}: ${counts} (${seconds} s)\n`;
  };
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr' || type === 'test:diagnostic') {
      if (data.file === undefined) continue;
      const entry = of(data.file);
      const ending = type === 'test:diagnostic' ? '\n' : '';
      entry.output = (entry.output + data.message + ending).slice(-OUTPUT_CHARACTERS_MAX);
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details.type === 'suite') continue;
    const file = data.file ?? data.name;
    if (current !== undefined && file !== current) yield close();
    current = file;
    const entry = of(file);
    if (data.nesting === 0) entry.milliseconds += data.details.duration_ms;
    if (data.skip !== undefined) entry.skipped += 1;
    else if (type === 'test:pass') entry.passed += 1;
    else if (data.details.error.failureType !== 'subtestsFailed') {
      entry.failed += 1;
      yield describeFailure(data);
    }
  }
  yield close();
  const sum = (key) => [...files.values()].reduce((total, entry) => total + entry[key], 0);
  yield `${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped\n`;
}
