import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import type { ApiEvent } from './cluster/api.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { kinds } from './cluster/kinds.ts'
import { markedProcesses } from './marked-processes.ts'

const upstream = inject('upstream')
const namespace = 'flux-system'
/** How long things may take on a busy machine. */
const patience = { timeout: 240_000 }

describe('a cluster', () => {
  let cluster: RunningCluster
  beforeAll(async () => {
    cluster = await startCluster({ upstream })
  })
  afterAll(() => cluster?.stop())

  const configMap = (name: string, data = {}): KubernetesObject => ({
    ...kinds.ConfigMap,
    metadata: { name, namespace },
    data,
  })

  it('serves the kinds of Flux', async () => {
    for (const kind of [kinds.GitRepository, kinds.Kustomization, kinds.HelmRelease]) {
      expect(await cluster.api.list(kind)).toEqual([])
    }
    await expect(cluster.api.list(kinds.Terraform)).rejects.toMatchObject({ name: 'ApiRefused', status: 404 })
  })

  it('gives a Deployment its pods, and takes them with it', async () => {
    const key = { ...kinds.Deployment, namespace, name: 'web' }
    const labels = { app: 'web' }
    await cluster.api.create({
      ...kinds.Deployment,
      metadata: { name: 'web', namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'example.com/web' }] } },
      },
    })
    await cluster.api.until(key, 'has two pods', ({ status }) => status?.replicas === 2)
    const pods = await cluster.api.list(kinds.Pod, { namespace, labelSelector: 'app=web' })
    expect(pods).toHaveLength(2)
    await cluster.api.delete(key)
    for (const { metadata } of pods) await cluster.api.untilGone({ ...kinds.Pod, namespace, name: metadata.name })
  })

  it('lets the group lockstep do nothing until somebody grants it', async () => {
    const answer = await cluster.lockstep.request('GET', '/apis/source.toolkit.fluxcd.io/v1/gitrepositories')
    expect(answer).toMatchObject({ status: 403, body: { reason: 'Forbidden' } })
    expect(await cluster.api.as(undefined).request('GET', '/api/v1/pods')).toMatchObject({ status: 401 })
  })

  it('fetches, builds and applies what is pushed to its Git server', async () => {
    const url = await cluster.git.createRepository('my-org/pushed')
    const first = await cluster.git.commit('my-org/pushed', 'main', { files: { 'app/a.yaml': manifest('a'), old: '' } })
    await cluster.api.apply({
      ...kinds.GitRepository,
      metadata: { name: 'pushed', namespace },
      spec: { interval: '1h', url, ref: { branch: 'main' } },
    })
    await cluster.api.apply({
      ...kinds.Kustomization,
      metadata: { name: 'pushed', namespace },
      spec: { interval: '1h', path: './app', prune: true, sourceRef: { kind: 'GitRepository', name: 'pushed' } },
    })
    const key = { ...kinds.Kustomization, namespace, name: 'pushed' }
    const isAt = (sha: string) => (object: KubernetesObject) =>
      object.status?.lastAppliedRevision === `main@sha1:${sha}`
    await cluster.api.until(key, 'at the first commit', isAt(first))

    const second = await pushAsPerson(url, { 'app/b.yaml': manifest('b') })
    expect(await cluster.git.head('my-org/pushed', 'main')).toBe(second)
    const third = await cluster.git.commit('my-org/pushed', 'main', {
      files: { 'app/a "quoted" ä.yaml': manifest('c') },
      remove: ['old', 'app/a.yaml'],
    })
    await cluster.api.patch(
      { ...kinds.GitRepository, namespace, name: 'pushed' },
      { metadata: { annotations: { 'reconcile.fluxcd.io/requestedAt': 'now' } } },
    )
    await cluster.api.until(key, 'at the third commit', isAt(third))
    const maps = await cluster.api.list(kinds.ConfigMap, { namespace, labelSelector: 'test=pushed' })
    expect(maps.map(({ metadata }) => metadata.name)).toEqual(['b', 'c'])
  })

  it('keeps its data and its port when the API server is away, and watches find back to it', async () => {
    await cluster.api.create(configMap('kept', { answer: '42' }))
    const seen: string[] = []
    const watching = new AbortController()
    const watch = collect(cluster.api.follow(kinds.ConfigMap, { namespace, signal: watching.signal }), seen)
    await vi.waitFor(() => expect(seen).toContain('ADDED kept'), patience)
    await cluster.stopProcess('kube-apiserver', 'SIGKILL')
    await expect(cluster.api.list(kinds.ConfigMap)).rejects.toMatchObject({ name: 'ApiUnreachable' })
    await cluster.startProcess('kube-apiserver')
    for (const kind of [kinds.GitRepository, kinds.Kustomization, kinds.HelmRelease]) await cluster.api.list(kind)
    expect(await cluster.api.get({ ...kinds.ConfigMap, namespace, name: 'kept' })).toMatchObject({
      data: { answer: '42' },
    })
    await cluster.api.delete({ ...kinds.ConfigMap, namespace, name: 'kept' })
    await vi.waitFor(() => expect(seen).toContain('DELETED kept'), patience)
    watching.abort()
    await watch
  })

  it('keeps its data when all of the control plane is started again', async () => {
    await cluster.api.create(configMap('stored'))
    for (const name of ['kube-controller-manager', 'kube-apiserver', 'etcd']) await cluster.stopProcess(name)
    for (const name of ['etcd', 'kube-apiserver', 'kube-controller-manager']) await cluster.startProcess(name)
    expect(await cluster.api.find({ ...kinds.ConfigMap, namespace, name: 'stored' })).toBeDefined()
  })

  it('names its processes where it is asked for one that it does not have', async () => {
    await expect(async () => cluster.stopProcess('kubelet')).rejects.toThrow(
      'The cluster has no process kubelet. It has etcd, kube-apiserver,',
    )
  })

  it('tells what it saw where something does not come about', async () => {
    await cluster.api.create(configMap('waiting', { here: 'I am' }))
    const waiting = cluster.api.until({ ...kinds.ConfigMap, namespace, name: 'waiting' }, 'gone', () => false, {
      withinMs: 2_000,
    })
    await expect(waiting).rejects.toThrow(/ConfigMap\/flux-system\/waiting, gone: not seen within 2 s.*I am/s)
  })

  it('is one of many: another one runs beside it, and ends without a trace', async () => {
    const other = await startCluster({ upstream, flux: false })
    await other.api.create(configMap('theirs'))
    expect(await cluster.api.find({ ...kinds.ConfigMap, namespace, name: 'theirs' })).toBeUndefined()
    expect(markedProcesses(other.guardian.env)).toHaveLength(3)
    await other.stop()
    expect(markedProcesses(other.guardian.env)).toEqual([])
    expect(existsSync(other.directory)).toBe(false)
    expect(cluster.process('kube-apiserver').running).toBe(true)
  })
})

describe('what goes wrong', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lockstep-test-'))
    vi.stubEnv('TMPDIR', directory)
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await rm(directory, { recursive: true })
  })

  const withBinary = (name: keyof typeof upstream.binaries, file: string) => ({
    upstream: { ...upstream, binaries: { ...upstream.binaries, [name]: file } },
  })

  const clusterDirectories = async () =>
    (await readdir(directory)).filter((name) => name.startsWith('lockstep-cluster'))

  it('a binary that is missing is named, and nothing is left', async () => {
    await expect(startCluster(withBinary('kube-apiserver', '/nowhere/kube-apiserver'))).rejects.toThrow(
      'kube-apiserver cannot be started: /nowhere/kube-apiserver is not there.',
    )
    expect(await clusterDirectories()).toEqual([])
  })

  it('a controller that dies at its start is shown with its last words, and nothing is left', async () => {
    const program = join(directory, 'dying')
    await writeFile(program, '#!/bin/sh\necho no such flag >&2\nexit 2\n')
    await chmod(program, 0o755)
    await expect(startCluster(withBinary('kustomize-controller', program))).rejects.toThrow(
      /kustomize-controller ended at its start \(exit code 2\).*no such flag/s,
    )
    expect(await clusterDirectories()).toEqual([])
  })

  it('its parent is killed: nothing is left', async () => {
    const program = `
      const { startCluster } = await import('${new URL('cluster/cluster.ts', import.meta.url)}')
      const cluster = await startCluster({ upstream: ${JSON.stringify(upstream)} })
      console.log(JSON.stringify({ directory: cluster.directory, env: cluster.guardian.env }))`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(parent.stdout, 'data')
    const { directory, env } = JSON.parse(String(line))
    expect(markedProcesses(env)).toHaveLength(6)
    parent.kill('SIGKILL')
    await vi.waitFor(() => expect(existsSync(directory)).toBe(false), patience)
    expect(markedProcesses(env)).toEqual([])
  })
})

const manifest = (name: string) =>
  JSON.stringify({ ...kinds.ConfigMap, metadata: { name, namespace, labels: { test: 'pushed' } } })

/** With nothing but git. Answers the commit. */
async function pushAsPerson(url: string, files: Record<string, string>): Promise<string> {
  const clone = await mkdtemp(join(tmpdir(), 'lockstep-test-'))
  const git = async (...args: string[]) => (await promisify(execFile)('git', args, { cwd: clone })).stdout.trim()
  try {
    await git('clone', '--quiet', url, '.')
    for (const [path, content] of Object.entries(files)) await writeFile(join(clone, path), content)
    await git('add', '.')
    await git('-c', 'user.name=Ana', '-c', 'user.email=ana@example.com', 'commit', '--quiet', '--message=by hand')
    await git('push', '--quiet')
    return await git('rev-parse', 'HEAD')
  } finally {
    await rm(clone, { recursive: true })
  }
}

async function collect(events: AsyncIterable<ApiEvent>, seen: string[]): Promise<void> {
  for await (const { type, object } of events) seen.push(`${type} ${object.metadata.name}`)
}
