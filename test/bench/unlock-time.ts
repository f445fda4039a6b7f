import { performance } from 'node:perf_hooks'
import { tofuDeployment } from '../../infra/local/simulation/tofu/tofu-deployment.ts'
import { statesEntered } from '../../infra/local/states/history.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World } from '../integration/world.ts'
import { median } from './distribution.ts'
import type { Measurement } from './measurement.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')
const key = 'Terraform/flux-system/vpc'
const runs = 5
const mostTransitions = 30

/** What one unlock took, in milliseconds, and how many states it has entered. */
interface Unlocked {
  readonly toDelete: number
  readonly toPlan: number
  readonly transitions: number
}

/**
 * Unlocks silent ghosts on a simulated cluster whose controller stops within a second. Our own time is what passes in
 * reality, as the clock jumps over all waits, and what our own pauses and that second take in simulated time.
 */
export async function measureUnlockTime(): Promise<readonly Measurement[]> {
  const unlocked: Unlocked[] = []
  for (let run = 0; run < runs; run++) unlocked.push(await unlockGhost())
  const transitions = Math.max(...unlocked.map((each) => each.transitions))
  return [
    time(
      'from the verdict to the delete of a lock',
      5_000,
      unlocked.map(({ toDelete }) => toDelete),
    ),
    time(
      'from the verdict to the request of a fresh plan',
      8_000,
      unlocked.map(({ toPlan }) => toPlan),
    ),
    {
      what: 'state transitions per unlock (quiesce, no approvals)',
      target: `${mostTransitions}`,
      measured: `${transitions}`,
      ok: transitions <= mostTransitions,
      values: { transitions, most: mostTransitions },
    },
  ]
}

function time(what: string, mostMs: number, samples: readonly number[]): Measurement {
  const [middle, max] = [median(samples), Math.max(...samples)]
  return {
    what: `${what} (our own time, ${samples.length} quiesces)`,
    target: `${mostMs / 1_000} s`,
    measured: `median ${(middle / 1_000).toFixed(1)} s, max ${(max / 1_000).toFixed(1)} s`,
    ok: max <= mostMs,
    values: { medianMs: middle, maxMs: max, mostMs },
  }
}

async function unlockGhost(): Promise<Unlocked> {
  const policy = { staging: { apply: 'auto', plan: 'auto' } }
  const locks = { dynamodb: ['locks'], s3: ['states'], every: '2m', policy }
  const world = await World.start(
    [gitRepository('https://github.com/my-org/fleet-infra'), stopsAtOnce(), vpc()],
    {},
    { locks },
  )
  try {
    const ended = watch(world)
    await leaveGhost(world)
    return await ended
  } finally {
    await world.close()
  }
}

function stopsAtOnce(): object {
  const deployment = structuredClone(tofuDeployment())
  const [container] = deployment.spec?.template.spec.containers ?? []
  container.args = [...container.args, '--graceful-shutdown-timeout=1s']
  return deployment
}

function vpc(): object {
  const backend = 'bucket = "states"\n key = "vpc/terraform.tfstate"\n region = "us-east-1"\n dynamodb_table = "locks"'
  return terraform('vpc', { backendConfig: { customConfiguration: `backend "s3" { ${backend} }` } })
}

/** The runner is killed in the middle of an apply, and its object says "Applying" for ever. */
async function leaveGhost(world: World): Promise<void> {
  world.simulation.faults.hang(key)
  world.change()
  world.simulation.overwriteToken('GitRepository/flux-system/fleet', 'go')
  await world.until('the apply', () => {
    const { conditions = [] } = world.object(key).status ?? {}
    return conditions.some(({ message }: { message?: string }) => message === 'Applying')
  })
  world.simulation.killRunner(key, 'fail')
  world.simulation.faults.release(key)
}

function watch({ host: { interpreter }, clock }: World): Promise<Unlocked> {
  const now = () => performance.now() + clock.now()
  const times = new Map<string, number>()
  interpreter.onEvent((arn, event) => {
    const state = event.stateEnteredEventDetails?.name
    if (arn.includes(':guarded-unlock:') && state !== undefined) times.set(state, now())
  })
  return new Promise((resolve, reject) => {
    interpreter.onStatus(({ detail }) => {
      if (!detail.executionArn.includes(':guarded-unlock:') || detail.status === 'RUNNING') return
      const at = (state: string) => times.get(state) ?? Number.NaN
      const transitions = statesEntered(interpreter.history(detail.executionArn)).length
      if (detail.status !== 'SUCCEEDED') reject(new Error(`the unlock ended as ${detail.status}`))
      // What follows the delete is PutBack, and what follows the request is HowItWent.
      resolve({ toDelete: at('PutBack') - at('Assess'), toPlan: at('HowItWent') - at('Assess'), transitions })
    })
  })
}
