import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ObjectPhase } from '../../infra/local/views/rollout-view.ts'
import { ServedHost } from './served-host.ts'

const slow = 'HelmRelease/ingress/ingress-nginx'
const quick = 'HelmRelease/monitoring/kube-prometheus-stack'

let served: ServedHost

beforeAll(async () => {
  served = await ServedHost.start()
})

afterAll(() => served.close())

function phaseOf(key: string): ObjectPhase | undefined {
  const objects = served.live.list()[0]?.layers.flatMap((layer) => layer.objects)
  return objects?.find((object) => object.key === key)?.phase
}

/** Waits until `look` holds, looking whenever something is told. */
function until(look: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const end = served.live.onChange(() => {
      if (!look()) return
      end()
      resolve()
    })
  })
}

it('shows what is ready while the step that waits has not written it down', async () => {
  served.faults.hang(slow)
  const { execution } = await served.push()
  await until(() => phaseOf(quick) === 'ready')
  expect(phaseOf(slow)).toBe('open')
  expect(phaseOf('Kustomization/flux-system/my-api')).toBe('held')

  const stored = await served.host.ledger.readRollout(`${execution}.staging`)
  expect(stored?.value.objects.find(({ key }) => key === quick)?.phase).toBe('open')
  served.faults.release(slow)
  await served.reaches('succeeded')
  expect(phaseOf('Kustomization/flux-system/my-api')).toBe('ready')
})

it('tells no notes that the rollout itself does not tell', async () => {
  const [shown] = served.live.list()
  const stored = await served.host.ledger.readRollout(shown?.id ?? '')
  expect(shown?.notes).toEqual(stored?.value.notes)
})

it('shows a rollout that has no plan yet', () => {
  const push = JSON.parse(served.host.interpreter.list({ machine: 'rollout' })[0]?.input ?? '{}').push
  const name = 'by-hand.staging'
  served.host.interpreter.start({ machine: 'rollout', name, input: { cluster: 'staging', push } })
  expect(served.live.get(name)).toMatchObject({
    cluster: 'staging',
    status: 'running',
    layers: [],
    pusher: push.pusher,
  })
})
