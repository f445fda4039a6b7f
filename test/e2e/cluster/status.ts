import * as z from 'zod'
import { printable } from '../../../infra/local/display/terminal-text.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { ApiRefused, keyOf, keyText } from './api.ts'
import type { RunningCluster } from './cluster.ts'
import { type Kind, kinds } from './kinds.ts'

/** A running cluster at a glance. */
export const statusSchema = z.object({
  directory: z.string(),
  /** `none` where there is none. */
  tofuController: z.enum(['real', 'simulated', 'none']),
  processes: z.array(z.object({ name: z.string(), pid: z.int().optional() })),
  objects: z.array(
    z.object({
      object: z.string(),
      /** Of its condition Ready; `-` while it has none. */
      ready: z.string(),
      suspended: z.boolean(),
      message: z.string(),
    }),
  ),
  pods: z.array(z.object({ pod: z.string(), phase: z.string() })),
})

export type Status = z.output<typeof statusSchema>

const objectKinds = [kinds.GitRepository, kinds.Kustomization, kinds.HelmRelease, kinds.Terraform]

/** Objects and pods are left out while the API server is down. */
export async function readStatus(cluster: RunningCluster): Promise<Status> {
  const { api, directory, tofu } = cluster
  const isUp = cluster.process('kube-apiserver').running
  const list = (kind: Kind) => (isUp ? api.list(kind).catch(whereServed) : [])
  const objects = (await Promise.all(objectKinds.map(list))).flat()
  return {
    directory,
    tofuController: tofu?.kind ?? 'none',
    processes: cluster.processes.map((name) => ({ name, pid: cluster.process(name).pid })),
    objects: objects.map(lineOf),
    pods: (await list(kinds.Pod)).map((pod) => ({ pod: keyText(keyOf(pod)), phase: pod.status?.phase ?? '-' })),
  }
}

/** A cluster need not have every kind. */
function whereServed(error: unknown): KubernetesObject[] {
  if (error instanceof ApiRefused && error.status === 404) return []
  throw error
}

const readySchema = z
  .object({ conditions: z.array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') })) })
  .catch({ conditions: [] })

/** The condition Ready; undefined while there is none. */
export function readyOf({ status }: KubernetesObject) {
  return readySchema.parse(status).conditions.find(({ type }) => type === 'Ready')
}

function lineOf(object: KubernetesObject): Status['objects'][number] {
  const { status = '-', message = '' } = readyOf(object) ?? {}
  return { object: keyText(keyOf(object)), ready: status, suspended: object.spec?.suspend === true, message }
}

/** For people. */
export function statusText({ directory, objects, pods, processes, tofuController }: Status): string {
  const rows = [
    ...processes.map(({ name, pid }) => [name, pid === undefined ? 'stopped' : 'runs', pid ? `pid ${pid}` : '']),
    ['tofu-controller', tofuController, ''],
    ...objects.map(({ object, ready, suspended, message }) => [
      ...[object, suspended ? 'suspended' : readyWord(ready), message],
    ]),
    ...pods.map(({ pod, phase }) => [pod, phase, '']),
  ]
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) => row.map((cell, column) => printable(cell).padEnd(widths[column] ?? 0)).join('  '))
  return `${directory}\n${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

function readyWord(ready: string): string {
  return { True: 'ready', False: 'not ready', Unknown: 'at work' }[ready] ?? ready
}
