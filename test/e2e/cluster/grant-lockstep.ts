import { readFile } from 'node:fs/promises'
import { parse, parseAllDocuments } from 'yaml'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { Api } from './api.ts'

const base = new URL('../../../infra/cluster/', import.meta.url)

/** Applies what `kubectl apply -k infra/cluster` applies: what the group lockstep may do. */
export async function grantLockstep(api: Api): Promise<void> {
  const { resources } = parse(await readFile(new URL('kustomization.yaml', base), 'utf8')) as { resources: string[] }
  for (const file of resources) {
    const documents = parseAllDocuments(await readFile(new URL(file, base), 'utf8'))
    for (const document of documents) await api.apply(document.toJS() as KubernetesObject)
  }
}
