import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import * as z from 'zod'
import { Api } from '../cluster/api.ts'

const kubeconfigSchema = z.object({
  clusters: z.tuple([
    z.object({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.string() }) }),
  ]),
  users: z.tuple([z.object({ user: z.object({ token: z.string() }) })]),
})

/** The API server of a kubeconfig file with one cluster, and one user with a token. */
export async function apiOf(file: string, fieldManager: string): Promise<Api> {
  const { clusters, users } = kubeconfigSchema.parse(parse(await readFile(file, 'utf8')))
  const { server, 'certificate-authority-data': data } = clusters[0].cluster
  return new Api({ server, ca: Buffer.from(data, 'base64').toString(), token: users[0].user.token, fieldManager })
}
