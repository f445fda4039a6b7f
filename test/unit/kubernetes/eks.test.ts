import { EKSClient } from '@aws-sdk/client-eks'
import { STSClient } from '@aws-sdk/client-sts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { eksClusters } from '../../../functions/lib/kubernetes/eks.ts'
import { type AwsCredentials, EksToken, stsHost } from '../../../functions/lib/kubernetes/eks-token.ts'
import { type EksServer, startEksServer, verifyToken } from '../../../infra/local/kubernetes/eks-server.ts'
import { startStsServer } from '../../../infra/local/kubernetes/sts-server.ts'
import { kustomization, type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'

const region = 'us-east-1'
const eks = 'staging-eks-01'
const credentials: AwsCredentials = {
  accessKeyId: 'AKIAEXAMPLE',
  secretAccessKey: 'wJalr+secret/of=the/tests',
  sessionToken: 'session+token/with=signs',
}
const secretOf = (id: string) => (id === credentials.accessKeyId ? credentials.secretAccessKey : undefined)
const fleet = {
  clusters: [
    { name: 'staging', eks, region },
    { name: 'production', eks: 'prod-eks-01', region },
  ],
}

function fixedClock(start = Date.UTC(2026, 0, 5, 9, 0, 0)) {
  let time = start
  return {
    now: () => time,
    after: () => () => {},
    pass: (ms: number) => {
      time += ms
    },
  }
}

function decoded(token: string): URL {
  return new URL(Buffer.from(token.replace('k8s-aws-v1.', ''), 'base64url').toString())
}

describe('EksToken', () => {
  const clock = fixedClock()
  const make = (overrides: { eks?: string; region?: string } = {}) =>
    new EksToken({ clock, eks, region, credentials: async () => credentials, ...overrides }).current()

  it('is a presigned GetCallerIdentity that STS would take for this cluster', async () => {
    const token = await make()
    expect(verifyToken(token, { clock, eks, region, secretOf })).toBe('aws:AKIAEXAMPLE')
    const url = decoded(token)
    expect(url.host).toBe('sts.us-east-1.amazonaws.com')
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      Action: 'GetCallerIdentity',
      Version: '2011-06-15',
      'X-Amz-Date': '20260105T090000Z',
      'X-Amz-SignedHeaders': 'host;x-k8s-aws-id',
      'X-Amz-Security-Token': credentials.sessionToken,
    })
    expect(token).not.toMatch(/[=+/]/)
    expect(token).not.toContain(credentials.secretAccessKey)
  })

  it('is not taken for another cluster, region, secret, time or in another shape', async () => {
    const token = await make()
    const check = { clock, eks, region, secretOf }
    expect(verifyToken(token, { ...check, eks: 'other' })).toBeUndefined()
    expect(verifyToken(token, { ...check, region: 'us-east-2' })).toBeUndefined()
    expect(verifyToken(token, { ...check, secretOf: () => 'another' })).toBeUndefined()
    expect(verifyToken(token, { ...check, clock: fixedClock(clock.now() + 14 * 60_000) })).toBeDefined()
    expect(verifyToken(token, { ...check, clock: fixedClock(clock.now() + 15 * 60_000) })).toBeUndefined()
    expect(verifyToken(token, { ...check, clock: fixedClock(clock.now() - 6 * 60_000) })).toBeUndefined()
    expect(verifyToken(token.replace('k8s-aws-v1.', ''), check)).toBeUndefined()
    expect(verifyToken(`${token}=`, check)).toBeUndefined()
    const reshape = (change: (url: URL) => void) => {
      const url = decoded(token)
      change(url)
      return `k8s-aws-v1.${Buffer.from(url.href).toString('base64url')}`
    }
    const { secretOf: _, ...unsigned } = check
    const set = (name: string, value: string) => reshape((url) => url.searchParams.set(name, value))
    expect(verifyToken(set('X-Amz-Expires', '900'), unsigned)).toBeDefined()
    expect(verifyToken(set('X-Amz-Expires', '900'), check)).toBeUndefined()
    expect(verifyToken(set('Action', 'AssumeRole'), unsigned)).toBeUndefined()
    expect(verifyToken(set('X-Amz-SignedHeaders', 'host'), unsigned)).toBeUndefined()
    const elsewhere = reshape((url) => {
      url.host = 'sts.us-east-1.amazonaws.com.evil.example'
    })
    expect(verifyToken(elsewhere, unsigned)).toBeUndefined()
  })

  it.each([
    ['us-gov-west-1', 'sts.us-gov-west-1.amazonaws.com'],
    ['cn-north-1', 'sts.cn-north-1.amazonaws.com.cn'],
    ['us-iso-east-1', 'sts.us-iso-east-1.c2s.ic.gov'],
    ['us-isob-east-1', 'sts.us-isob-east-1.sc2s.sgov.gov'],
    ['eusc-de-east-1', 'sts.eusc-de-east-1.amazonaws.eu'],
  ])('in %s is for %s', async (elsewhere, host) => {
    expect(stsHost(elsewhere)).toBe(host)
    const token = await make({ region: elsewhere })
    expect(decoded(token).host).toBe(host)
    expect(verifyToken(token, { clock, eks, region: elsewhere, secretOf })).toBeDefined()
  })

  it('is kept for ten minutes and then made anew', async () => {
    const clock = fixedClock()
    let asked = 0
    const provider = async () => {
      asked++
      return credentials
    }
    const tokens = new EksToken({ clock, eks, region, credentials: provider })
    const [first, same] = await Promise.all([tokens.current(), tokens.current()])
    expect(same).toBe(first)
    clock.pass(9 * 60_000)
    expect(await tokens.current()).toBe(first)
    clock.pass(60_000)
    expect(await tokens.current()).not.toBe(first)
    expect(asked).toBe(2)
  })

  it('does not outlive its credentials', async () => {
    const clock = fixedClock()
    const expiration = new Date(clock.now() + 5 * 60_000)
    const tokens = new EksToken({ clock, eks, region, credentials: async () => ({ ...credentials, expiration }) })
    const first = await tokens.current()
    clock.pass(4 * 60_000)
    expect(await tokens.current()).not.toBe(first)
  })

  it('is tried again after credentials could not be had', async () => {
    let fails = true
    const provider = async () => {
      if (fails) throw new Error('no credentials')
      return credentials
    }
    const tokens = new EksToken({ clock, eks, region, credentials: provider })
    await expect(tokens.current()).rejects.toThrow('no credentials')
    fails = false
    await expect(tokens.current()).resolves.toContain('k8s-aws-v1.')
  })
})

describe('eksClusters', () => {
  let standIn: StandInCluster
  let server: EksServer
  let described: number
  let authenticate: (token: string) => string | undefined

  beforeEach(async () => {
    // Only once the stand-in is there is there a clock to check the tokens with.
    authenticate = (token) => verifyToken(token, { clock: standIn.clock, eks, region, secretOf })
    standIn = await standInCluster({ authenticate: (token) => authenticate(token) })
    standIn.store.create(resources.Kustomization, kustomization('app'), 'tests')
    described = 0
    server = await startEksServer([{ name: eks, endpoint: standIn.server.url }])
  })

  afterEach(async () => {
    await server.close()
    await standIn.close()
  })

  const access = (endpoint = server.url) =>
    eksClusters({
      clock: standIn.clock,
      fleet,
      eksClient: () => {
        const client = new EKSClient({ region, endpoint, credentials, maxAttempts: 1 })
        client.middlewareStack.add(
          (next) => (args) => {
            described++
            return next(args)
          },
          { step: 'initialize' },
        )
        return client
      },
    })

  it('reaches a cluster with a token that it takes', async () => {
    const cluster = await access().connect('staging')
    expect(cluster.name).toBe('staging')
    expect((await cluster.list('Kustomization')).items).toHaveLength(1)
  })

  it('keeps a cluster, and describes it again after ten minutes', async () => {
    const clusters = access()
    const [first, second] = await Promise.all([clusters.connect('staging'), clusters.connect('staging')])
    expect(second).toBe(first)
    expect(described).toBe(1)
    await new Promise<void>((resolve) => {
      standIn.clock.after(10 * 60_000, resolve)
    })
    await clusters.connect('staging')
    expect(described).toBe(2)
  })

  it('sends a new token before the old one runs out', async () => {
    const cluster = await access().connect('staging')
    for (let minutes = 0; minutes < 60; minutes += 7) {
      await cluster.list('Kustomization')
      await new Promise<void>((resolve) => {
        standIn.clock.after(7 * 60_000, resolve)
      })
    }
    await expect(cluster.list('Kustomization')).resolves.toBeDefined()
  })

  it('names what is missing', async () => {
    await expect(access().connect('none')).rejects.toMatchObject({
      name: 'ClusterNotInFleet',
      message: expect.stringContaining('staging, production'),
    })
    await expect(access().connect('production')).rejects.toMatchObject({
      name: 'EksClusterNotFound',
      message: expect.stringContaining('prod-eks-01 in us-east-1'),
    })
  })

  it.each(['CREATING', 'DELETING', 'FAILED', 'PENDING'])('does not reach a cluster that is %s', async (status) => {
    server.clusters.splice(0, 1, { name: eks, endpoint: standIn.server.url, status })
    await expect(access().connect('staging')).rejects.toMatchObject({ name: 'EksClusterNotActive' })
  })

  it('reaches a cluster that is being updated', async () => {
    server.clusters.splice(0, 1, { name: eks, endpoint: standIn.server.url, status: 'UPDATING' })
    await expect(access().connect('staging')).resolves.toBeDefined()
  })

  it('sends no token in the clear, nor to a cluster without a certificate authority', async () => {
    for (const endpoint of ['http://eks.example.com', 'ftp://127.0.0.1', 'x', 'https://eks.example.com']) {
      server.clusters.splice(0, 1, { name: eks, endpoint })
      await expect(access().connect('staging')).rejects.toMatchObject({ name: 'EksAnswerUnreadable' })
    }
  })

  it('tries anew after a failure, and takes an AWS that cannot be reached for one that passes', async () => {
    const clusters = access()
    const known = server.clusters.splice(0, 1)
    await expect(clusters.connect('staging')).rejects.toMatchObject({ name: 'EksClusterNotFound' })
    server.clusters.push(...known)
    await expect(clusters.connect('staging')).resolves.toBeDefined()
    await expect(access('http://127.0.0.1:9').connect('staging')).rejects.toMatchObject({ name: 'ClusterUnavailable' })
  })

  it('says so when there are no AWS credentials', async () => {
    const none = () => new EKSClient({ region, endpoint: server.url, credentials: () => Promise.reject(missing) })
    const missing = Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' })
    const clusters = eksClusters({ clock: standIn.clock, fleet, eksClient: none })
    await expect(clusters.connect('staging')).rejects.toMatchObject({ name: 'EksAccessDenied' })
  })

  it('comes in by the role of its account, as the function that it is', async () => {
    const arn = 'arn:aws:iam::111111111111:role/Lockstep-orders'
    const there = { ...{ name: 'there', eks: 'there', region }, account: '222222222222', externalId: 'ours' }
    const sts = await startStsServer([{ arn }, { arn: arn.replaceAll('1', '2'), externalId: 'ours' }], standIn)
    server.clusters.push({ name: 'there', endpoint: standIn.server.url })
    const clusters = eksClusters({
      ...{ clock: standIn.clock, fleet: { clusters: [...fleet.clusters, there] }, role: { arn, sessionName: 'plan' } },
      eksClient: (region, own) => new EKSClient({ region, endpoint: server.url, maxAttempts: 1, ...own }),
      stsClient: () => new STSClient({ region, endpoint: sts.url, credentials, maxAttempts: 1 }),
    })
    const keyOf = (token: string) => decoded(token).searchParams.get('X-Amz-Credential')?.split('/')[0]
    const seen: unknown[] = []
    authenticate = (token) => {
      seen.push(keyOf(token))
      return 'somebody'
    }
    for (const name of ['staging', 'there', 'staging']) await (await clusters.connect(name)).list('Kustomization')
    expect(sts.sessions).toMatchObject([{ arn, sessionName: 'plan' }, { arn: arn.replaceAll('1', '2') }])
    const [own, theirs] = sts.sessions.map(({ accessKeyId }) => accessKeyId)
    expect(seen).toEqual([own, theirs, own])
    sts.roles.length = 0
    const refused = eksClusters({
      ...{ clock: standIn.clock, fleet, role: { arn, sessionName: 'plan' } },
      stsClient: () => new STSClient({ region, endpoint: sts.url, credentials, maxAttempts: 1 }),
    })
    await expect(refused.connect('staging')).rejects.toMatchObject({ name: 'ClusterRoleRefused' })
    await sts.close()
  })
})
