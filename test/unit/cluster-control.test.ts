import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LockstepError } from '../../functions/lib/errors.ts'
import { type ControlServer, runningClusters, sendOrder, startControlServer } from '../e2e/cluster/control.ts'
import type { Order } from '../e2e/cluster/order.ts'

describe('orders to a running cluster', () => {
  let directory: string
  const servers: ControlServer[] = []
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lockstep-test-'))
    vi.stubEnv('TMPDIR', directory)
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    for (const server of servers.splice(0)) await server.close()
    await rm(directory, { recursive: true })
  })

  const cluster = async (id: string, obey: (order: Order) => Promise<unknown>) => {
    const own = join(directory, `lockstep-cluster-${id}`)
    await mkdir(own)
    servers.push(await startControlServer(own, obey))
    return own
  }
  const echo = async (order: Order) => ({ order })
  const stop: Order = { name: 'stop', process: 'etcd' }

  it('reach the one that runs', async () => {
    await cluster('aa', echo)
    expect(await sendOrder(stop, undefined)).toEqual({ order: stop })
  })

  it('need a name where several run', async () => {
    const [first, second] = [await cluster('aa', echo), await cluster('bb', async () => 'the other one')]
    expect((await runningClusters()).sort()).toEqual([first, second])
    await expect(sendOrder(stop, undefined)).rejects.toThrow(
      expect.objectContaining({ name: 'NoSuchCluster', message: expect.stringContaining(first) }),
    )
    expect(await sendOrder(stop, 'bb')).toBe('the other one')
    expect(await sendOrder(stop, second)).toBe('the other one')
    await expect(sendOrder(stop, 'cc')).rejects.toThrow(/No cluster cc runs; there is .*Name another one/)
  })

  it('do not reach one that has ended, or something else in the temporary directory', async () => {
    await mkdir(join(directory, 'lockstep-cluster-dead'))
    await mkdir(join(directory, 'lockstep-cluster-11-other'))
    expect(await runningClusters()).toEqual([])
    await expect(sendOrder(stop, undefined)).rejects.toThrow('No cluster runs. Start one with: npm run cluster')
  })

  it('come back with what the cluster refuses', async () => {
    await cluster('aa', async () => {
      throw new LockstepError('NoSuchProcess', 'The cluster has no process x.', 'It has y.')
    })
    await expect(sendOrder(stop, undefined)).rejects.toThrow(
      expect.objectContaining({
        name: 'NoSuchProcess',
        message: 'The cluster has no process x. It has y.',
        next: 'It has y.',
      }),
    )
  })

  it('are refused where they make no sense', async () => {
    const obey = vi.fn(echo)
    await cluster('aa', obey)
    await expect(sendOrder({ name: 'explode' } as unknown as Order, undefined)).rejects.toThrow(
      expect.objectContaining({ name: 'OrderFailed' }),
    )
    expect(obey).not.toHaveBeenCalled()
  })
})
