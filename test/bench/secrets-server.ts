import { createServer } from 'node:http'
import { listenOnLoopback } from '../../infra/local/loopback.ts'

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
  return listenOnLoopback(server)
}
