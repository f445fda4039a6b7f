import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePorts } from './cluster/free-port.ts'
import { type RunnerNetwork, startRunnerNetwork } from './cluster/runner-network.ts'

/** A runner that sends back what it gets, and is known at the address `ip`. */
let network: RunnerNetwork
let runner: Server
let ip: string
/** The runner's ends of connections, in the order in which they came. */
let accepted: Socket[]

beforeEach(async () => {
  network = await startRunnerNetwork()
  accepted = []
  runner = createServer((socket) => {
    accepted.push(socket)
    socket.on('error', () => {}).pipe(socket)
  })
  runner.listen(0, '127.0.0.1')
  await once(runner, 'listening')
  ip = network.newAddress()
  network.attach(ip, (runner.address() as AddressInfo).port)
})
afterEach(async () => {
  for (const socket of accepted) socket.destroy()
  runner.close()
  await network.close()
})

const nameOf = (address: string) => `${address.replaceAll('.', '-')}.flux-system.pod.cluster.local:30000`

/** What the proxy answers, and the connection. */
async function ask(authority: string): Promise<{ status: number | undefined; socket: Socket }> {
  const { hostname, port } = new URL(network.url)
  const asked = request({ hostname, port, method: 'CONNECT', path: authority, agent: false }).end()
  const [response, socket] = (await once(asked, 'connect')) as [IncomingMessage, Socket]
  socket.on('error', () => {})
  return { status: response.statusCode, socket }
}

async function dial(address = ip): Promise<Socket> {
  const { status, socket } = await ask(nameOf(address))
  expect(status).toBe(200)
  return socket
}

/** Everything that comes from now on, as text that grows. */
function heard(socket: Socket): { text: string } {
  const all = { text: '' }
  socket.on('data', (chunk) => {
    all.text += chunk
  })
  return all
}

async function seen(what: string, condition: () => boolean): Promise<void> {
  for (const giveUpAt = Date.now() + 240_000; !condition(); await pause(5)) {
    if (Date.now() > giveUpAt) throw new Error(`${what}: not seen within 10 s`)
  }
}

/** Long enough for bytes to cross loopback many times. */
const whileNothingComes = () => pause(150)

async function isSilent(socket: Socket): Promise<boolean> {
  const answer = heard(socket)
  socket.write('anybody there?')
  await whileNothingComes()
  return answer.text === '' && !socket.destroyed && !socket.readableEnded
}

describe("the runners' network", () => {
  it('reaches the runner that the name stands for', async () => {
    const socket = await dial()
    const answer = heard(socket)
    socket.write('hello')
    await seen('the echo', () => answer.text === 'hello')
    expect(network.connections(ip)).toBe(1)
  })

  it('carries any amount, in order, however slowly it is read', async () => {
    const socket = await dial()
    const sent = Buffer.alloc(8 << 20, 'abcdefghijklmnopqrstuvwxyz')
    const got: Buffer[] = []
    socket.on('data', async (chunk) => {
      got.push(chunk)
      socket.pause()
      await pause(1)
      socket.resume()
    })
    socket.write(sent)
    await seen('all of it', () => got.reduce((sum, { length }) => sum + length, 0) >= sent.length)
    expect(Buffer.concat(got).equals(sent)).toBe(true)
  })

  it('refuses what it does not know', async () => {
    const [nobody = 0] = await freePorts(1)
    const dead = network.newAddress()
    network.attach(dead, nobody)
    expect(dead).not.toBe(ip)
    expect(await ask(nameOf(network.newAddress()))).toMatchObject({ status: 502 })
    expect(await ask(nameOf(dead))).toMatchObject({ status: 502 })
    expect(await ask('127.0.0.1:6443')).toMatchObject({ status: 403 })
    expect(await ask('example.org:443')).toMatchObject({ status: 403 })
  })

  it('forgets a runner that has ended, and leaves its connections to their ends', async () => {
    const socket = await dial()
    network.detach(ip)
    expect(await ask(nameOf(ip))).toMatchObject({ status: 502 })
    const answer = heard(socket)
    socket.write('still here')
    await seen('the echo', () => answer.text === 'still here')
  })

  it('tells each end of the end of the other', async () => {
    const [one, other] = [await dial(), await dial()]
    one.destroy()
    await seen('the runner hears of it', () => accepted[0]?.destroyed === true)
    other.resume()
    accepted[1]?.destroy()
    await seen('the manager hears of it', () => other.destroyed)
    await seen('both are forgotten', () => network.connections(ip) === 0)
  })

  it('cuts connections at both ends', async () => {
    const socket = (await dial()).resume()
    network.cut(ip)
    await seen('both ends are closed', () => socket.destroyed && accepted[0]?.destroyed === true)
    expect(await isSilent(await dial())).toBe(false)
  })
})

describe('a partition', () => {
  it('loses nothing and closes nothing: healed, what was sent arrives', async () => {
    const socket = await dial()
    network.partition(ip)
    const answer = heard(socket)
    socket.write('one ')
    socket.write('two')
    await whileNothingComes()
    expect(answer.text).toBe('')
    expect(socket.destroyed || accepted[0]?.destroyed).toBe(false)
    network.heal(ip)
    await seen('the echo', () => answer.text === 'one two')
  })

  it('hides the death of the runner until it is healed', async () => {
    const socket = await dial()
    network.partition(ip)
    accepted[0]?.destroy()
    expect(await isSilent(socket)).toBe(true)
    network.heal(ip)
    await seen('the manager hears of it', () => socket.destroyed || socket.readableEnded)
  })

  it('hides the death of the manager until it is healed', async () => {
    const socket = await dial()
    network.partition(ip)
    socket.resetAndDestroy()
    await whileNothingComes()
    expect(accepted[0]?.destroyed).toBe(false)
    network.heal(ip)
    await seen('the runner hears of it', () => accepted[0]?.destroyed === true)
  })

  it('lets new connections wait', async () => {
    network.partition(ip)
    const asked = ask(nameOf(ip))
    await whileNothingComes()
    expect(accepted).toEqual([])
    network.heal(ip)
    expect(await asked).toMatchObject({ status: 200 })
  })

  it('concerns one address', async () => {
    network.partition(network.newAddress())
    expect(await isSilent(await dial())).toBe(false)
  })
})

describe('a black hole', () => {
  it('takes the connections of now for good, and none that are made later', async () => {
    const before = await dial()
    network.blackHole()
    expect(await isSilent(before)).toBe(true)
    network.partition(ip)
    network.heal(ip)
    expect(await isSilent(before)).toBe(true)
    before.destroy()
    expect(await isSilent(await dial())).toBe(false)
    expect(accepted[0]?.destroyed).toBe(false)
  })
})
