// The command: runs the bundled server. Node 22.1 and later keep its compiled code between starts;
// that must be asked for before the code is loaded. A read-only folder does no harm.
const module_ = require('node:module');
const { join } = require('node:path');

module_.enableCompileCache?.(join(__dirname, '../dist/.compile-cache'));
require('../dist/elanus.cjs');
