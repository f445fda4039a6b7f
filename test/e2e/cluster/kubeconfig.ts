import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'

export interface KubeconfigOptions {
  /** Base URL of the API server. */
  readonly server: string
  /** PEM. */
  readonly ca: string
  readonly user: string
  readonly token: string
}

const name = 'lockstep-cluster'

/** Writes a kubeconfig that nobody else may read: it holds the token. Its one context is `lockstep-cluster`. */
export async function writeKubeconfig(file: string, { server, ca, user, token }: KubeconfigOptions): Promise<string> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name, context: { cluster: name, user, namespace: 'flux-system' } }],
    'current-context': name,
  }
  await writeFile(file, stringify(config), { mode: 0o600 })
  return file
}
