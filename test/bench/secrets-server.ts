import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface SecretsServer {
  /** Endpoint for @aws-sdk/client-secrets-manager. */
  readonly url: string
  close(): Promise<void>
}

/** Secrets Manager as far as the webhook asks it: every request is answered with the one secret, as JSON text. */
export async function startSecretsServer(secret: object): Promise<SecretsServer> {
  const server = createServer((request, response) => {
    request.resume()
    response.setHeader('content-type', 'application/x-amz-json-1.1')
    response.end(JSON.stringify({ SecretString: JSON.stringify(secret) }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
