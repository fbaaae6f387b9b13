import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';

export interface TestServer extends AsyncDisposable {
  readonly port: number;
}

/** Serves `handler` on a free port of 127.0.0.1 until the end of the scope; https with a certificate and key by path. */
export async function serve(
  handler: (request: http.IncomingMessage, response: http.ServerResponse) => void,
  tls?: { certificate: string; key: string },
): Promise<TestServer> {
  const server =
    tls === undefined
      ? http.createServer(handler)
      : https.createServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, handler);
  // As Go's servers: who asks first is told to go on when the handler begins to read, not before.
  server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
    let told = false;
    const goOn = (): void => {
      if (!told && !response.headersSent) response.writeContinue();
      told = true;
    };
    request.once('resume', goOn);
    request.on('newListener', (event) => event === 'readable' && goOn());
    handler(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
