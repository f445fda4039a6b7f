import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { kubeconfigClusters } from '../../../infra/local/kubernetes/kubeconfig-clusters.ts'
import { kustomization, type StandInCluster, standInCluster, standInToken } from '../../fixtures/stand-in-cluster.ts'

let standIn: StandInCluster
let directory: string
let file: string

beforeEach(async () => {
  standIn = await standInCluster({ authenticate: (token) => (token === standInToken ? 'tests' : undefined) })
  standIn.store.create(resources.Kustomization, kustomization('app'), 'tests')
  directory = mkdtempSync(join(tmpdir(), 'kubeconfig-'))
  file = join(directory, 'config')
  write(`
apiVersion: v1
kind: Config
current-context: dead
clusters:
- {name: here, cluster: {server: "${standIn.server.url}", insecure-skip-tls-verify: true}}
- {name: dead, cluster: {server: "https://127.0.0.1:9"}}
users:
- {name: me, user: {token: ${standInToken}}}
contexts:
- {name: here, context: {cluster: here, user: me}}
- {name: dead, context: {cluster: dead, user: me}}
- {name: broken, context: {cluster: none, user: me}}
`)
})

afterEach(async () => {
  rmSync(directory, { recursive: true })
  await standIn.close()
})

function write(text: string): void {
  writeFileSync(file, text)
}

describe('kubeconfigClusters', () => {
  const open = (context?: string) =>
    kubeconfigClusters({ clock: standIn.clock, file, ...(context !== undefined && { context }) })

  it('reaches the cluster of a context, under any name', async () => {
    const cluster = await open('here').connect('staging')
    expect(cluster.name).toBe('staging')
    expect((await cluster.list('Kustomization')).items).toHaveLength(1)
  })

  it('takes the current context when none is named', async () => {
    const cluster = await open().connect('staging')
    await expect(cluster.list('Kustomization')).rejects.toMatchObject({ name: 'ClusterUnavailable' })
  })

  it('keeps its clusters', async () => {
    const clusters = open('here')
    expect(await clusters.connect('staging')).toBe(await clusters.connect('staging'))
  })

  it('names the contexts that there are', () => {
    expect(() => open('none')).toThrow(
      expect.objectContaining({
        name: 'KubeconfigContextMissing',
        message: expect.stringContaining('here, dead, broken'),
      }),
    )
  })

  it('says what is wrong with the file, and nothing of what is in it', () => {
    expect(() => open('broken')).toThrow(expect.objectContaining({ name: 'KubeconfigUnreadable' }))
    for (const text of [`token: "${standInToken}`, 'just text', '']) {
      write(text)
      expect(() => open()).toThrow(expect.objectContaining({ name: 'KubeconfigUnreadable' }))
      expect(() => open()).not.toThrow(standInToken)
    }
    file = join(directory, 'none')
    expect(() => open()).toThrow(expect.objectContaining({ message: expect.stringContaining('ENOENT') }))
  })
})
