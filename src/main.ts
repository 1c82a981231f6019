// `elanus [run standalone]`: configuration → server → banner; SIGINT and SIGTERM stop it
// gracefully.

import { ConfigError, loadConfig } from './config.ts';
import { startServer } from './server.ts';

const USAGE = 'usage: npm start [-- run standalone]';

async function main(argv: readonly string[]): Promise<void> {
  const [verb = 'run', role = 'standalone', ...rest] = argv;
  if (verb !== 'run' || role !== 'standalone' || rest.length > 0) {
    console.error(`elanus: unknown arguments: ${argv.join(' ')}\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const { config, warnings } = loadConfig();
  const server = await startServer(config);
  for (const warning of warnings) server.logger.warn({}, warning);
  let isStopping = false;
  const stop = (signal: string): void => {
    if (isStopping) return;
    isStopping = true;
    server.logger.info({ signal }, 'stopping');
    server.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        server.logger.error({ error }, 'stop failed; nothing acknowledged is lost');
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', () => stop('SIGINT'));
  process.on('SIGTERM', () => stop('SIGTERM'));
  // Last: who has read it may stop the server.
  console.log(server.banner);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const isExpected =
    error instanceof ConfigError || (error as { code?: unknown }).code !== undefined;
  console.error(
    `elanus: ${isExpected ? (error as Error).message : ((error as Error).stack ?? error)}`,
  );
  process.exit(1);
});
