import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { tofuController } from '../upstream/tofu-controller.ts'
import { upstream } from '../upstream/upstream.ts'
import { keyText } from './api.ts'
import { type RunningCluster, startCluster } from './cluster.ts'
import { runningClusters, startControlServer } from './control.ts'
import { type DemoChange, demoChange, demoLayers, demoObjects, demoRepository, loadDemo } from './demo.ts'
import { injectFault } from './fault-command.ts'
import type { GitPush } from './git-http.ts'
import { grantLockstep } from './grant-lockstep.ts'
import { type Delivery, type LockstepWebhook, startLockstepWebhook } from './lockstep-webhook.ts'
import type { Order } from './order.ts'
import type { Report } from './report.ts'
import { readStatus, readyOf } from './status.ts'

export interface SessionOptions {
  /** Whether the demo fleet is loaded. */
  readonly demo: boolean
  /** URL of the Lockstep that is told of pushes. */
  readonly webhook: string
  readonly report: Report
  /** Ends the session. */
  readonly signal: AbortSignal
}

/**
 * Starts a cluster and keeps it up until `signal`; takes orders meanwhile. Throws LockstepError where it cannot be
 * started. Nothing is left of it in either case.
 */
export async function runSession({ demo, webhook, report, signal }: SessionOptions): Promise<void> {
  for (const directory of await runningClusters()) {
    report.step(`another cluster runs in ${directory}: orders to either need --cluster`)
  }
  const say = (line: string) => report.step(line)
  const start = async () => {
    const controller = await tofuController()
    return startCluster({ upstream: await upstream({ say }), tofu: controller, say })
  }
  // What is half started then ends with this process.
  const cluster = await unlessAborted(signal, start())
  if (!cluster) return
  try {
    await unlessAborted(signal, keepUp(cluster, { demo, webhook, report, signal }))
  } finally {
    report.step('stopping')
    await cluster.stop()
    report.step('nothing is left')
  }
}

async function keepUp(cluster: RunningCluster, { demo, webhook, report, signal }: SessionOptions): Promise<void> {
  const { api, directory, git } = cluster
  await grantLockstep(api)
  report.step('Lockstep may do what infra/cluster and infra/cluster/unlock grant')
  const told = await startLockstepWebhook({
    ...{ git, directory, url: webhook },
    waiting: demo ? await startDemo(cluster, report) : undefined,
    onDelivery: (delivery) => report.event(deliveryText(delivery), { delivery }),
  })
  const control = await startControlServer(directory, (order) => obey(order, cluster, told, demo))
  try {
    await tellHow(cluster, { demo, report, told })
    await aborted(signal)
  } finally {
    await control.close()
  }
}

/** Loads the fleet, waits until it is ready, and leaves a commit for Lockstep to roll out. Answers that. */
async function startDemo(cluster: RunningCluster, report: Report): Promise<GitPush> {
  const { api, git } = cluster
  await loadDemo(cluster)
  report.step(`the demo fleet is pushed to ${git.url}/${demoRepository}.git`)
  await Promise.all(
    demoObjects.map(async (key) => {
      await api.until(key, 'ready', (object) => readyOf(object)?.status === 'True', { withinMs: fleetWithinMs })
      report.step(`${keyText(key)} is ready`)
    }),
  )
  const branch = 'main'
  const before = await git.head(demoRepository, branch)
  return { repository: demoRepository, branch, before, after: await pushChange(cluster, { seconds: 2 }) }
}

function pushChange({ git }: RunningCluster, change: DemoChange): Promise<string> {
  return git.commit(demoRepository, 'main', { files: demoChange(change), message: 'A change in every layer' })
}

const fleetWithinMs = 600_000

/** What one needs to use the cluster. */
async function tellHow(
  cluster: RunningCluster,
  { demo, report, told }: { readonly demo: boolean; readonly report: Report; readonly told: LockstepWebhook },
): Promise<void> {
  const { directory, git, kubeconfigs } = cluster
  const fleet = join(directory, 'fleet.json')
  await writeFile(fleet, `${JSON.stringify({ context: { lockstep: fleetOf(git.url) } }, undefined, 2)}\n`)
  const start = [
    `LOCKSTEP_WEBHOOK_SECRET=$(cat ${told.secretFile})`,
    `npm start -- --kubeconfig ${kubeconfigs.lockstep} --fleet ${fleet}`,
    ...(demo ? [`--push ${told.payloadFile}`] : []),
  ].join(' ')
  const repository = demo ? `${git.url}/${demoRepository}.git` : undefined
  const text = readyText(cluster, { repository, start })
  report.ready(text, { directory, kubeconfigs, fleet, gitUrl: git.url, repository, start })
}

function fleetOf(gitUrl: string) {
  return {
    repositories: [{ name: demoRepository, host: new URL(gitUrl).hostname, branches: ['main'] }],
    layers: demoLayers,
    clusters: [{ name: 'demo', eks: 'demo', region: 'us-east-1', environment: 'demo' }],
  }
}

function readyText(
  { directory, kubeconfigs }: RunningCluster,
  { repository, start }: { readonly repository: string | undefined; readonly start: string },
): string {
  const demo = `
A commit waits there for Lockstep. Roll it out, in another terminal:
  ${start}

Then push another one; Lockstep is told of each:
  npm run cluster -- push
  git clone ${repository}

Break something meanwhile:
  npm run cluster -- push --seconds 30
  npm run cluster -- fault kill-runner Terraform/flux-system/vpc
  npm run cluster -- stop kube-apiserver
  npm run cluster -- --help
`
  const empty = `
Lockstep works on it with:
  ${start}
`
  return `
The cluster is up.
  kubectl     --kubeconfig ${kubeconfigs.admin}
  ${repository === undefined ? 'files ' : 'fleet '}      ${repository ?? directory}
  logs        ${directory}/*.log
${repository === undefined ? empty : demo}
Ctrl-C ends it, and leaves nothing behind.

`
}

async function obey(order: Order, cluster: RunningCluster, told: LockstepWebhook, demo: boolean): Promise<unknown> {
  switch (order.name) {
    case 'status':
      return readStatus(cluster)
    case 'push':
      return push(order, cluster, told, demo)
    case 'stop':
      await cluster.stopProcess(order.process)
      return { done: `${order.process} is stopped` }
    case 'start':
      await cluster.startProcess(order.process)
      return { done: `${order.process} is ready` }
    case 'fault':
      return { done: await injectFault(faultsOf(cluster), order.fault, order.target) }
  }
}

async function push(
  order: Extract<Order, { name: 'push' }>,
  cluster: RunningCluster,
  told: LockstepWebhook,
  demo: boolean,
): Promise<{ readonly done: string; readonly delivery: Delivery | undefined }> {
  if (!demo) throw new LockstepError('NothingToPush', 'The cluster has no demo fleet.', 'Start it without --empty.')
  const commit = await pushChange(cluster, order)
  const delivery = await told.delivered(commit)
  return { done: delivery ? deliveryText(delivery) : `pushed ${commit}`, delivery }
}

function deliveryText({ push: { after, branch, repository }, execution, reason }: Delivery): string {
  const commit = `${after.slice(0, 7)} on ${repository} ${branch}`
  return execution === undefined
    ? `pushed ${commit}; nothing rolls it out: ${reason}`
    : `pushed ${commit}; Lockstep rolls it out as ${execution}`
}

function faultsOf({ tofu }: RunningCluster) {
  if (tofu) return tofu.faults
  throw new LockstepError('NoTofuController', 'The cluster has no tofu-controller.', 'Start one that has.')
}

/** What `work` answers; undefined as soon as `signal` aborts, and then nobody hears of its failure. */
function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  work.catch(() => {})
  return Promise.race([work, aborted(signal)])
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((done) => {
    if (signal.aborted) done(undefined)
    signal.addEventListener('abort', () => done(undefined), { once: true })
  })
}
