import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type RunningCluster, startCluster } from '../../e2e/cluster/cluster.ts'
import { grantLockstep } from '../../e2e/cluster/grant-lockstep.ts'
import { kinds } from '../../e2e/cluster/kinds.ts'
import { LockstepProcess } from '../../e2e/rollout/lockstep-process.ts'
import { Timeline } from '../../e2e/rollout/timeline.ts'
import { StateStores } from '../../e2e/unlock/state-stores.ts'
import { tofuController } from '../../e2e/upstream/tofu-controller.ts'
import { upstream } from '../../e2e/upstream/upstream.ts'
import { median, milliseconds } from '../distribution.ts'
import type { Measurement } from '../measurement.ts'
import { tableOf } from '../table.ts'
import { countRequests, type RequestCounts } from './api-requests.ts'
import { type Chain, chainLayers, chainOf } from './chain.ts'
import { type ChainRun, chainReady, readChainRun } from './chain-run.ts'
import { type Ghost, type Recovery, recoverByHand, recoverByLockstep } from './ghost-recovery.ts'

const usage = 'npm run bench:real -- [--only Kustomization|Terraform|ghosts] [--rounds N] [--json FILE]'
const say = (line: string) => process.stderr.write(`${line}\n`)

/** An apply takes this long, besides what OpenTofu itself takes. */
const applySeconds = 3

type Contender = 'native' | 'lockstep'

/** One push of one chain. */
interface Round extends ChainRun {
  readonly contender: Contender
  readonly requests: RequestCounts
}

/**
 * The same five objects of one kind, each in its own layer and dependent on the one before, on the same controllers
 * in one run: first with nothing but native dependsOn, then with Lockstep.
 */
async function measureChain(cluster: RunningCluster, kind: Chain['kind'], rounds: number): Promise<Round[]> {
  const name = `b${randomBytes(4).toString('hex')}`
  const repository = `my-org/${name}`
  const { api, git, kubeconfigs } = cluster
  const url = await git.createRepository(repository)
  await api.create({ ...kinds.Namespace, metadata: { name } })
  const chain = chainOf({ kind, namespace: name, url, kubeconfig: kubeconfigs.admin })
  const lockstep = await LockstepProcess.start({
    ...{ name: `lockstep-${kind}`, guardian: cluster.guardian, directory: join(cluster.directory, name) },
    ...{ kubeconfig: kubeconfigs.lockstep, repository, url, layers: chainLayers },
  })
  const timeline = new Timeline(api, name)
  try {
    let before = await git.commit(repository, 'main', { files: chain.files(0, 0) })
    for (const object of chain.objects) await api.apply(object)
    await chainReady(timeline, chain, name, before)
    const measured: Round[] = []
    // Native waits are the same every time, and long: one round tells them.
    for (const [index, contender] of (['native', ...Array(rounds).fill('lockstep')] as Contender[]).entries()) {
      // tofu-controller works on an object for another five seconds after it is ready.
      await pause(8_000)
      say(`${kind}, push ${index + 1} of ${rounds + 1}: ${contender} …`)
      const { version } = timeline
      const from = Date.now()
      const commit = await git.commit(repository, 'main', { files: chain.files(index + 1, applySeconds) })
      if (contender === 'native') await announce(cluster, name)
      else await lockstep.ended(await lockstep.push({ before, after: commit }), 300_000)
      await chainReady(timeline, chain, name, commit)
      const requests = countRequests(cluster.auditLog, from, Date.now())
      measured.push({ contender, requests, ...readChainRun(timeline, chain, name, { commit, version }) })
      before = commit
    }
    return measured
  } finally {
    await lockstep.stop()
    timeline.stop()
  }
}

/** What Flux's own webhook receiver does for a push: it annotates the source. */
async function announce({ api }: RunningCluster, namespace: string): Promise<void> {
  const annotations = { 'reconcile.fluxcd.io/requestedAt': new Date().toISOString() }
  await api.patch({ ...kinds.GitRepository, namespace, name: 'fleet' }, { metadata: { annotations } })
}

function measurementsOf(kind: Chain['kind'], rounds: readonly Round[]): Measurement[] {
  const of = (contender: Contender) => rounds.filter((round) => round.contender === contender)
  const idle = (contender: Contender) => of(contender).flatMap((round) => round.idleMs)
  const open = of('lockstep').flatMap((round) => round.openMs)
  const overhead = (contender: Contender) => median(of(contender).map(({ wallMs, workMs }) => wallMs / workMs))
  const native = median(idle('native'))
  const [ours, ratio] = [median(open), overhead('lockstep')]
  const wall = (contender: Contender) => median(of(contender).map(({ wallMs }) => wallMs))
  const patches = median(of('lockstep').map(({ requests }) => requests.lockstep.patch ?? 0))
  const all = median(of('lockstep').map(({ requests }) => sum(Object.values(requests.lockstep))))
  const controllers = (contender: Contender) => median(of(contender).map(({ requests }) => requests.controllers))
  return [
    {
      what: `${kind}: ready at the revision -> next layer's first request`,
      target: 'median 50 ms, and a 50th of native',
      measured: `median ${milliseconds(ours)}, max ${milliseconds(Math.max(...open))} (${open.length} times); native ${milliseconds(native)}, ${Math.round(native / ours)} times`,
      ok: ours <= 50 && native / ours >= 50,
      values: { medianMs: ours, maxMs: Math.max(...open), samples: open.length, nativeMedianMs: native },
    },
    {
      what: `${kind}: idle before a layer, until its controller works`,
      target: '',
      measured: `Lockstep ${milliseconds(median(idle('lockstep')))}, native ${milliseconds(native)}`,
      ok: undefined,
      values: { medianMs: median(idle('lockstep')), nativeMedianMs: native },
    },
    {
      what: `${kind}: five layers, wall time over the sum of the reconciles`,
      target: '1.05',
      measured: `${ratio.toFixed(3)} (${milliseconds(wall('lockstep'))}); native ${overhead('native').toFixed(2)} (${milliseconds(wall('native'))})`,
      ok: ratio <= 1.05,
      values: { ratio, wallMs: wall('lockstep'), nativeRatio: overhead('native'), nativeWallMs: wall('native') },
    },
    {
      what: `${kind}: requests to the API server`,
      target: '',
      measured: `Lockstep ${all}, of which PATCH ${patches}; controllers ${controllers('lockstep')} with Lockstep, ${controllers('native')} native`,
      ok: undefined,
      values: {
        lockstep: all,
        patches,
        controllers: controllers('lockstep'),
        nativeControllers: controllers('native'),
      },
    },
  ]
}

/** Each kind of ghost by Lockstep and by hand, on the same controller. */
async function measureGhosts(cluster: RunningCluster, stores: StateStores): Promise<Measurement[]> {
  const measured: Measurement[] = []
  for (const ghost of ['silent', 'loud'] as const) {
    say(`a ${ghost} ghost: by Lockstep …`)
    const lockstep = await recoverByLockstep(cluster, stores, ghost)
    say(`a ${ghost} ghost: by hand …`)
    measured.push(...recoveryOf(ghost, lockstep, await recoverByHand(cluster, stores, ghost)))
  }
  return measured
}

function recoveryOf(ghost: Ghost, lockstep: Recovery, byHand: Recovery): Measurement[] {
  const line = (what: string, field: 'deletedMs' | 'askedMs', most: number): Measurement => {
    const { theirsMs } = lockstep
    const oursMs = lockstep[field] - theirsMs
    return {
      what: `a ${ghost} ghost: stale -> ${what}`,
      target: `${most} s of our own time`,
      measured: `ours ${seconds(oursMs)}, waiting ${seconds(theirsMs)}; by hand ${seconds(byHand[field])}, of which waiting ${seconds(byHand.theirsMs)}`,
      ok: oursMs <= most * 1_000,
      values: { oursMs, theirsMs, byHandMs: byHand[field], byHandTheirsMs: byHand.theirsMs },
    }
  }
  const afterwards = ({ readyMs, askedMs }: Recovery) => readyMs - askedMs
  return [
    line('lock deleted', 'deletedMs', 5),
    line('fresh plan asked for', 'askedMs', 8),
    {
      what: `a ${ghost} ghost: stale -> Ready at the revision`,
      target: '',
      measured: `${seconds(lockstep.readyMs)}, of which plan and apply ${seconds(afterwards(lockstep))}; by hand ${seconds(byHand.readyMs)}, of which ${seconds(afterwards(byHand))}`,
      ok: undefined,
      values: {
        ...{ readyMs: lockstep.readyMs, planAndApplyMs: afterwards(lockstep) },
        ...{ byHandReadyMs: byHand.readyMs, byHandPlanAndApplyMs: afterwards(byHand) },
      },
    },
  ]
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      json: { type: 'string', default: 'bench-real.json' },
    },
  })
  const tofu = await tofuController()
  const programs = await upstream({ say })
  const stores = await StateStores.start()
  // Lockstep finds S3 and DynamoDB as the SDKs do.
  Object.assign(process.env, stores.env)
  let cluster: RunningCluster | undefined
  try {
    cluster = await startCluster({ upstream: programs, tofu, runnerEnv: stores.env, audit: true, say })
    await grantLockstep(cluster.api)
    const measurements: Measurement[] = []
    for (const kind of ['Kustomization', 'Terraform'] as const) {
      if (values.only !== undefined && values.only !== kind) continue
      measurements.push(...measurementsOf(kind, await measureChain(cluster, kind, Number(values.rounds))))
    }
    if (values.only === undefined || values.only === 'ghosts') {
      measurements.push(...(await measureGhosts(cluster, stores)))
    }
    process.stdout.write(`${tableOf(measurements)}\n\ntofu-controller: ${tofu.kind}\n`)
    const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, ...programs.versions }
    writeFileSync(values.json, `${JSON.stringify({ machine, tofuController: tofu.kind, measurements }, null, 2)}\n`)
  } finally {
    await cluster?.stop()
    await stores.close()
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof LockstepError)) throw error
  process.stderr.write(`${error.message}\n${usage}\n`)
  process.exitCode = 1
}
