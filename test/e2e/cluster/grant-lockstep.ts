import { readFile } from 'node:fs/promises'
import { parse, parseAllDocuments } from 'yaml'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { Api } from './api.ts'

const orders = new URL('../../../infra/cluster/', import.meta.url)
const unlocks = new URL('unlock/', orders)

/** Applies what `kubectl apply -k infra/cluster` applies, and infra/cluster/unlock: what Lockstep's groups may do. */
export async function grantLockstep(api: Api): Promise<void> {
  for (const base of [orders, unlocks]) await applyBase(api, base)
}

async function applyBase(api: Api, base: URL): Promise<void> {
  const { resources } = parse(await readFile(new URL('kustomization.yaml', base), 'utf8')) as { resources: string[] }
  for (const file of resources) {
    const documents = parseAllDocuments(await readFile(new URL(file, base), 'utf8'))
    for (const document of documents) await api.apply(document.toJS() as KubernetesObject)
  }
}
