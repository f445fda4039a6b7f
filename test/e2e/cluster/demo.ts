import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { RunningCluster } from './cluster.ts'
import { kinds } from './kinds.ts'

/** The fleet's repository, as on GitHub. */
export const demoRepository = 'my-org/fleet-infra'
/** Names of the Terraform objects in it. */
export const demoTerraforms = ['vpc', 'database'] as const

/** As in the demo's README. */
export const demoLayers = ['network', 'database', 'addons', 'apps']

const directory = fileURLToPath(new URL('demo', import.meta.url))
const namespace = 'flux-system'

/** Objects of the demo, in the order in which they become ready. */
export const demoObjects = [
  { ...kinds.GitRepository, namespace, name: 'fleet-infra' },
  { ...kinds.Kustomization, namespace, name: 'flux-system' },
  { ...kinds.Kustomization, namespace, name: 'infrastructure' },
  { ...kinds.Kustomization, namespace, name: 'my-api' },
  { ...kinds.HelmRelease, namespace: 'ingress', name: 'ingress-nginx' },
  { ...kinds.Terraform, namespace, name: 'vpc' },
  { ...kinds.Terraform, namespace, name: 'database' },
]

/** Pushes the fleet to the cluster's Git server and applies its source and its root, from which all the rest follows. */
export async function loadDemo({ api, git, kubeconfigs }: RunningCluster): Promise<{ readonly url: string }> {
  const url = await git.createRepository(demoRepository)
  const files = await demoFiles()
  await git.commit(demoRepository, 'main', { files, message: 'The demo fleet' })
  const settings = { git_url: url, kubeconfig: kubeconfigs.admin }
  await api.apply({ ...kinds.ConfigMap, metadata: { name: 'cluster-settings', namespace }, data: settings })
  for (const root of objectsIn(files['clusters/demo/flux-system.yaml'] ?? '', settings)) await api.apply(root)
  return { url }
}

async function demoFiles(): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map(({ name, parentPath }) => join(parentPath, name))
  const files = paths.map(async (path) => [relative(directory, path), await readFile(path, 'utf8')])
  return Object.fromEntries(await Promise.all(files))
}

/** With `${name}` filled in, as Flux does it for what follows. */
function objectsIn(yaml: string, settings: Readonly<Record<string, string>>): KubernetesObject[] {
  const filled = yaml.replace(/\$\{(\w+)\}/g, (_, name: string) => settings[name] ?? '')
  return parseAllDocuments(filled).map((document) => document.toJS() as KubernetesObject)
}

export interface DemoChange {
  /** How long each apply of OpenTofu takes. */
  readonly seconds: number
  /** The Terraform object whose apply fails. */
  readonly fail?: (typeof demoTerraforms)[number] | undefined
}

/** Files that change something in every layer. */
export function demoChange({ seconds, fail }: DemoChange): Record<string, string> {
  const id = randomBytes(4).toString('hex')
  const applies = demoTerraforms.map((name) => [
    `terraform/${name}/change.json`,
    `${JSON.stringify({ id, seconds, exit: name === fail ? 1 : 0 })}\n`,
  ])
  return {
    ...Object.fromEntries(applies),
    'charts/ingress-nginx/values.yaml': `change: "${id}"\n`,
    'apps/change.txt': `${id}\n`,
  }
}
