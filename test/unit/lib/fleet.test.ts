import { describe, expect, it } from 'vitest'
import { FleetInvalid, layerDeadline, lockPolicyOf, parseFleet, planPolicyOf } from '../../../functions/lib/fleet.ts'
import type { LockLimits } from '../../../functions/lib/locks/verdict/lock-limits.ts'

const staging = { name: 'staging', eks: 'staging-eks-01', region: 'us-east-1', environment: 'staging' }
const production = { name: 'production', eks: 'prod-eks-01', region: 'us-east-1', environment: 'production' }
const written = {
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  layers: ['network', 'apps'],
  clusters: [staging, { ...production, after: ['staging'] }],
}

function problemsOf(raw: unknown): Record<string, string> {
  try {
    parseFleet(raw)
  } catch (error) {
    if (!(error instanceof FleetInvalid)) throw error
    return Object.fromEntries(error.problems.map(({ path, message }) => [path, message]))
  }
  return {}
}

describe('parseFleet', () => {
  it('fills in every default', () => {
    expect(parseFleet(written)).toEqual({
      repositories: [{ name: 'my-org/fleet-infra', branches: ['main'], host: 'github.com' }],
      layers: ['network', 'apps'],
      failureTolerance: 0,
      clusters: [
        { ...staging, after: [], repositories: ['my-org/fleet-infra'], ordering: 'strict' },
        { ...production, after: ['staging'], repositories: ['my-org/fleet-infra'], ordering: 'strict' },
      ],
      deadlines: { layer: 3_600_000, layers: {}, fetch: 300_000 },
      holdFor: 86_400_000,
      ...{ tags: {}, encryption: 'aws' },
      locks: {
        ...{ dynamodb: [], s3: [], minimumAge: { plan: 900_000, apply: 3_600_000 } },
        ...{ quietWindow: 300_000, every: 120_000, policy: {} },
        ...{ approvers: [], approvalFor: 86_400_000 },
      },
      plans: { policy: {}, approvers: [], approvalFor: 86_400_000 },
      waves: { approvers: [], approvalFor: 86_400_000 },
      sweep: { every: 900_000, largestState: 10 * 1024 * 1024 },
      notifications: { emails: [] },
    })
  })

  it('lists every mistake in one error, with its path and what would be right', () => {
    const raw = {
      repositories: [
        { name: 'fleet-infra', branches: ['feature/*'], brnches: [] },
        { name: 'my-org/a', branches: [] },
        { name: 'My-Org/A', branches: ['main'] },
      ],
      layers: ['network', 'network', 'Apps'],
      clusters: [
        { ...staging, name: 'x'.repeat(41), region: 'Virginia', ordering: 'loose' },
        { ...staging, after: ['prodution'] },
        { ...production, repositories: ['my-org/b'], environment: undefined },
        { ...production, name: 'copy' },
        7,
      ],
      deadlines: { layer: 'soon', layers: { netwrok: '5m', network: '0s' }, fetch: '1h' },
      holdfor: '1h',
    }
    expect(problemsOf(raw)).toEqual({
      'repositories[0].name': 'is "fleet-infra"; give a repository as "owner/name"',
      'repositories[0].branches[0]': 'is "feature/*"; give a branch name, without wildcards',
      'repositories[0].brnches': 'is not a known key; did you mean "branches"?',
      'repositories[1].branches': 'is empty; give the branches to roll out, such as ["main"]',
      'repositories[2].name': 'is "my-org/a" again, as in repositories[1].name; give each one once',
      'layers[1]': 'is "network" again, as in layers[0]; give each one once',
      'layers[2]': expect.stringContaining('is "Apps"; give a layer name of at most 40 lower-case letters'),
      'clusters[0].name': expect.stringContaining('give a cluster name of at most 40'),
      'clusters[0].region': 'is "Virginia"; give an AWS region such as "us-east-1"',
      'clusters[0].ordering': 'is "loose"; give "strict" or "advisory"',
      'clusters[1].after[0]': 'names "prodution", which is no cluster of this fleet; did you mean "production"?',
      'clusters[2].environment': expect.stringContaining('is missing; give an environment'),
      'clusters[2].repositories[0]': expect.stringContaining('did you mean "my-org/a"?'),
      'clusters[3].eks': 'is "prod-eks-01 in us-east-1" again, as in clusters[2].eks; give each one once',
      'clusters[4]': expect.stringContaining('is 7; give a cluster'),
      'deadlines.layer': expect.stringContaining('is "soon"; give a duration from "1s" to "7d"'),
      'deadlines.fetch': expect.stringContaining('is "1h"; give a duration from "1s" to "10m"'),
      'deadlines.layers.network': expect.stringContaining('is "0s"; give a duration'),
      'deadlines.layers.netwrok': 'names "netwrok", which is no layer of this fleet; did you mean "network"?',
      holdfor: 'is not a known key; did you mean "holdFor"?',
    })
  })

  it('says so in the error that a person reads', () => {
    expect(() => parseFleet({ ...written, clusters: [{ ...staging, after: ['stagin'] }] })).toThrow(
      [
        'The fleet has 1 problem:',
        '  clusters[0].after[0]: names "stagin", which is no cluster of this fleet; did you mean "staging"?',
        ' Correct them where the fleet is written: context "lockstep" of cdk.json, or the file that was given.',
      ].join('\n'),
    )
  })

  it('names the path of a cycle, once', () => {
    const one = { ...staging, name: 'one', eks: 'one', after: ['three'] }
    const two = { ...staging, name: 'two', eks: 'two', after: ['one'] }
    const three = { ...staging, name: 'three', eks: 'three', after: ['two'] }
    const four = { ...staging, name: 'four', eks: 'four', after: ['one', 'four'] }
    expect(problemsOf({ ...written, clusters: [one, two, three, four] })).toEqual({
      'clusters[1].after': 'closes a cycle: one after three after two after one; remove one of these',
      'clusters[3].after': 'closes a cycle: four after four; remove one of these',
    })
  })

  it.each([
    ['every', '90s', 'give whole minutes'],
    ['largestState', 10, 'give a size such as "10MiB"'],
    ['largestState', '10MB', 'give a size such as "512KiB" or "10MiB"'],
    ['largestState', '0MiB', 'give a size'],
  ])('refuses a sweep with %s of %j', (key, value, why) => {
    expect(problemsOf({ ...written, sweep: { [key]: value } })).toEqual({
      [`sweep.${key}`]: expect.stringContaining(why),
    })
  })

  it('takes the size of a state in bytes', () => {
    expect(parseFleet({ ...written, sweep: { every: '5m', largestState: '512KiB' } }).sweep).toEqual({
      ...{ every: 300_000, largestState: 524_288 },
    })
  })

  it.each([[undefined], [null], ['fleet'], [[]], [7]])('refuses %j as a whole', (raw) => {
    expect(Object.keys(problemsOf(raw))).toEqual([''])
  })

  it('needs repositories and clusters', () => {
    expect(problemsOf({ repositories: [], clusters: [] })).toEqual({
      repositories: 'is empty; give at least one repository',
      clusters: 'is empty; give at least one cluster',
    })
    expect(Object.keys(problemsOf({}))).toEqual(['repositories', 'clusters'])
  })

  it('shows at most a line of a wrong value', () => {
    const problems = problemsOf({ ...written, holdFor: 'x'.repeat(10_000) })
    expect(problems.holdFor?.length).toBeLessThan(200)
  })

  it.each(['feature/new-vpc', 'release-1.2', 'ümlaut'])('takes the branch %s', (branch) => {
    const repositories = [{ name: 'my-org/fleet-infra', branches: [branch] }]
    expect(problemsOf({ ...written, repositories })).toEqual({})
  })

  it.each(['', '-main', 'a..b', 'a//b', 'a b', 'a\n', 'v[1]', 'main/', 'main.'])('refuses the branch %j', (branch) => {
    const repositories = [{ name: 'my-org/fleet-infra', branches: [branch] }]
    expect(Object.keys(problemsOf({ ...written, repositories }))).toEqual(['repositories[0].branches[0]'])
  })
})

describe('where locks are', () => {
  const clusters = [{ ...production, region: 'eu-west-1' }, staging]

  it('is a name in the first cluster’s region, or in one of its own', () => {
    const dynamodb = ['locks', { table: 'locks', region: 'us-east-1' }, { table: 'others' }]
    const s3 = ['states', { bucket: 'other-states', region: 'us-east-1', prefixes: ['env:/'] }]
    const { locks } = parseFleet({ ...written, clusters, locks: { dynamodb, s3 } })
    expect(locks.dynamodb).toEqual([
      { table: 'locks', region: 'eu-west-1' },
      { table: 'locks', region: 'us-east-1' },
      { table: 'others', region: 'eu-west-1' },
    ])
    expect(locks.s3).toEqual([
      { bucket: 'states', region: 'eu-west-1' },
      { bucket: 'other-states', region: 'us-east-1', prefixes: ['env:/'] },
    ])
  })

  it('comes with the limits of a lock', () => {
    const locks = { minimumAge: { apply: '2h' }, quietWindow: '10m', every: '5m' }
    const limits: LockLimits = parseFleet({ ...written, locks }).locks
    expect(limits).toMatchObject({ minimumAge: { plan: 900_000, apply: 7_200_000 }, quietWindow: 600_000 })
  })

  it('lists every mistake', () => {
    const locks = {
      dynamodb: [
        'locks',
        { table: 'locks', region: 'eu-west-1' },
        'a/b',
        7,
        { tble: 'x' },
        { table: 'x1x', region: 'x' },
      ],
      s3: ['states', { bucket: 'states', region: 'us-east-1', prefixes: [] }, 'Upper', null],
      minimumAge: { plan: 'soon', aply: '1h' },
      quietWindow: '0s',
      every: '90s',
      policy: { prodution: {}, staging: { plan: 'yes', aply: 'auto' }, production: 'auto' },
      polcy: {},
    }
    expect(problemsOf({ ...written, clusters, locks })).toEqual({
      'locks.dynamodb[1]': 'is "locks in eu-west-1" again, as in locks.dynamodb[0]; give each one once',
      'locks.dynamodb[2].table': 'is "a/b"; give the name of a DynamoDB table',
      'locks.dynamodb[3]': expect.stringContaining('is 7; give the name of a table, or'),
      'locks.dynamodb[4].table': 'is missing; give the name of a DynamoDB table',
      'locks.dynamodb[4].tble': 'is not a known key; did you mean "table"?',
      'locks.dynamodb[5].region': 'is "x"; give an AWS region such as "us-east-1"',
      'locks.s3[1]': 'is "states" again, as in locks.s3[0]; give each one once',
      'locks.s3[1].prefixes': expect.stringContaining('is empty'),
      'locks.s3[2].bucket': 'is "Upper"; give the name of an S3 bucket',
      'locks.s3[3]': expect.stringContaining('is null; give the name of a bucket, or'),
      'locks.minimumAge.plan': expect.stringContaining('is "soon"; give a duration'),
      'locks.minimumAge.aply': 'is not a known key; did you mean "apply"?',
      'locks.quietWindow': expect.stringContaining('is "0s"; give a duration'),
      'locks.every': 'is "90s"; give whole minutes from "1m" to "1d", such as "2m"',
      'locks.polcy': 'is not a known key; did you mean "policy"?',
      'locks.policy.prodution': 'names "prodution", which is no environment of this fleet; did you mean "production"?',
      'locks.policy.staging.plan': 'is "yes"; give "auto", "one-approval", "two-approvals" or "never"',
      'locks.policy.staging.aply': 'is not a known key; did you mean "apply"?',
      'locks.policy.production': expect.stringContaining('is "auto"; give a policy: {'),
    })
    expect(Object.keys(problemsOf({ ...written, locks: 'x' }))).toEqual(['locks'])
    expect(Object.keys(problemsOf({ ...written, locks: { dynamodb: {}, s3: 'x', every: 7 } })).toSorted()).toEqual([
      'locks.dynamodb',
      'locks.every',
      'locks.s3',
    ])
  })
})

describe('approvers', () => {
  it('are names, some with an address', () => {
    const approvers = ['ana', { name: "Bob O'Neill", email: 'bob@example.com' }]
    expect(parseFleet({ ...written, locks: { approvers, approvalFor: '4h' } }).locks).toMatchObject({
      approvers: [{ name: 'ana' }, { name: "Bob O'Neill", email: 'bob@example.com' }],
      approvalFor: 14_400_000,
    })
  })

  it('are enough for every policy that is written down', () => {
    const policy = { staging: { plan: 'auto', apply: 'one-approval' }, production: { apply: 'two-approvals' } }
    const problemsWith = (approvers: readonly string[]) => problemsOf({ ...written, locks: { policy, approvers } })
    expect(problemsWith([])).toEqual({
      'locks.policy.staging.apply': 'is "one-approval", and locks.approvers names nobody; name who may approve there',
      'locks.policy.production.apply':
        'is "two-approvals", and locks.approvers names nobody; name who may approve there',
    })
    expect(problemsWith(['ana'])).toEqual({
      'locks.policy.production.apply':
        'is "two-approvals", and locks.approvers names 1 only; name who may approve there',
    })
    expect(problemsWith(['ana', 'bob'])).toEqual({})
  })

  it('are not one person by name and by address, but one may be named by an address', () => {
    const bob = { name: 'bob', email: 'bob@example.com' }
    const problemsWith = (...approvers: readonly unknown[]) => problemsOf({ ...written, locks: { approvers } })
    expect(problemsWith(bob, 'Bob@example.com')).toEqual({
      'locks.approvers[1].name': 'is "bob@example.com" again, as in locks.approvers[0].email; name each person once',
    })
    expect(problemsWith({ name: 'bob@example.com', email: 'bob@example.com' })).toEqual({})
    expect(problemsWith({ name: 'bob', github: 'b-smith' }, 'B-Smith')).toEqual({
      'locks.approvers[1].name': 'is "b-smith" again, as in locks.approvers[0].github; name each person once',
    })
    expect(problemsWith({ name: 'bob', github: 'b smith' })).toEqual({
      'locks.approvers[0].github': 'is "b smith"; give a user name at GitHub',
    })
  })

  it('are people who are told apart', () => {
    const approvers = [
      'ana',
      'Ana',
      { name: 'bob', email: 'ops@example.com' },
      { name: 'carol', email: 'OPS@example.com' },
    ]
    expect(
      problemsOf({ ...written, locks: { approvers: [...approvers, '\u202Eeve', { name: 'x', email: 'x' }, 7] } }),
    ).toEqual({
      'locks.approvers[1].name': 'is "ana" again, as in locks.approvers[0].name; name each person once',
      'locks.approvers[3].email': 'is "ops@example.com" again, as in locks.approvers[2].email; name each person once',
      'locks.approvers[4].name': expect.stringContaining('give a name of at most 64 letters'),
      'locks.approvers[5].email': 'is "x"; give an e-mail address',
      'locks.approvers[6]': expect.stringContaining('is 7; give a name, or'),
    })
  })
})

describe('lockPolicyOf', () => {
  const { locks } = parseFleet({
    ...written,
    locks: {
      policy: { staging: { plan: 'auto' }, production: { plan: 'two-approvals', apply: 'never' } },
      approvers: ['ana', 'bob'],
    },
  })

  it.each([
    ['staging', 'plan', 'auto'],
    ['staging', 'apply', 'one-approval'],
    ['production', 'plan', 'two-approvals'],
    ['production', 'apply', 'never'],
    ['test', 'plan', 'one-approval'],
    ['constructor', 'apply', 'one-approval'],
  ] as const)('in %s, for a lock of kind %s, is %s', (environment, operation, policy) => {
    expect(lockPolicyOf(locks, environment, operation)).toBe(policy)
  })
})

describe('notifications', () => {
  it('are mails, Slack and GitHub, of which each has its secret by name or by ARN', () => {
    const arn = 'arn:aws:secretsmanager:us-east-1:111122223333:secret:lockstep/github-AbCdEf'
    const notifications = { slack: { secret: 'lockstep/slack', channel: 'C0123456789' }, github: { secret: arn } }
    expect(parseFleet({ ...written, notifications }).notifications).toEqual({
      ...{ emails: [], slack: notifications.slack, github: { secret: arn, layers: true } },
    })
  })

  it('that are mistaken are told each at its path', () => {
    const notifications = {
      emails: ['ana@example.com', 'Ana@example.com', 'bob'],
      slack: { secret: 'https://hooks.slack.com/services/a', chanel: 'C1' },
      github: { layers: 'no' },
    }
    expect(problemsOf({ ...written, notifications })).toEqual({
      'notifications.emails[1]': expect.stringContaining('again, as in notifications.emails[0]'),
      'notifications.emails[2]': 'is "bob"; give an e-mail address',
      'notifications.slack.secret': expect.stringContaining('give the name, or the ARN, of a secret in AWS'),
      'notifications.slack.chanel': 'is not a known key; did you mean "channel"?',
      'notifications.github.secret': expect.stringContaining('is missing; give the name, or the ARN, of a secret'),
      'notifications.github.layers': 'is "no"; give true or false',
    })
  })
})

describe('layerDeadline', () => {
  const fleet = parseFleet({ ...written, deadlines: { layers: { network: '90m' } } })

  it('is the layer’s own, or the one for all', () => {
    expect(layerDeadline(fleet, 'network')).toBe(90 * 60_000)
    expect(layerDeadline(fleet, 'apps')).toBe(60 * 60_000)
    expect(layerDeadline(fleet)).toBe(60 * 60_000)
    expect(layerDeadline(fleet, 'constructor')).toBe(60 * 60_000)
  })
})

describe('clusters in other accounts', () => {
  const elsewhere = { ...production, account: '222222222222', externalId: 'a-shared-text' }
  const inAccounts = (clusters: readonly object[], account?: unknown) =>
    problemsOf({ ...written, clusters, ...(account !== undefined && { account }) })

  it('are told with the account that Lockstep is in, and an external id', () => {
    const { account, clusters } = parseFleet({ ...written, account: '111111111111', clusters: [staging, elsewhere] })
    expect(account).toBe('111111111111')
    expect(clusters.map((each) => [each.account, each.externalId])).toEqual([
      [undefined, undefined],
      ['222222222222', 'a-shared-text'],
    ])
  })

  it('need both', () => {
    const { externalId: _, ...without } = elsewhere
    expect(inAccounts([staging, without])).toEqual({
      account: 'is missing, and clusters[1] is in another one; give the account that Lockstep is deployed to',
      'clusters[1].externalId':
        'is missing; give what the roles in account 222222222222 ask for, such as a random text',
    })
  })

  it('are not in Lockstep’s own, and an external id is for no others', () => {
    expect(inAccounts([{ ...staging, externalId: 'x1' }, elsewhere], '222222222222')).toEqual({
      'clusters[0].externalId': 'is for a cluster in another account; give "account" too, or leave it out',
      'clusters[1].account': 'is "222222222222", which is Lockstep\'s own; leave it out',
    })
  })

  it('have one external id in each account', () => {
    const second = { ...elsewhere, name: 'second', eks: 'second', externalId: 'another' }
    expect(inAccounts([elsewhere, second], '111111111111')).toEqual({
      'clusters[1].externalId':
        'is not that of clusters[0], which is in the same account; give one id for each account',
    })
  })

  it('may have the names of clusters in other accounts, and not of the same one', () => {
    const other = { ...elsewhere, name: 'other', account: '333333333333' }
    const same = { ...elsewhere, name: 'same' }
    expect(
      inAccounts(
        [production, elsewhere, other].map((each, at) => ({ ...each, name: `c${at}` })),
        '111111111111',
      ),
    ).toEqual({})
    expect(inAccounts([elsewhere, same], '111111111111')).toEqual({
      'clusters[1].eks':
        'is "prod-eks-01 in us-east-1 of 222222222222" again, as in clusters[0].eks; give each one once',
    })
  })

  it.each([['12345'], [123456789012], ['aws']])('are in accounts of twelve digits, not %j', (account) => {
    const problems = inAccounts([{ ...elsewhere, account }], '111111111111')
    expect(problems['clusters[0].account']).toContain('give the 12 digits of an AWS account, in quotes')
  })
})

describe('a network', () => {
  const network = { vpc: 'vpc-0a1b2c3d', subnets: ['subnet-0a1b2c3d'] }

  it('is a VPC and its subnets, and route tables where Lockstep makes the endpoints', () => {
    expect(problemsOf({ ...written, network })).toEqual({})
    expect(problemsOf({ ...written, network: { ...network, endpoints: { routeTables: ['rtb-0a1b2c3d'] } } })).toEqual(
      {},
    )
    expect(parseFleet({ ...written, network }).network).toEqual(network)
  })

  it('is told by ids, each once', () => {
    const subnets = ['subnet-0a1b2c3d', 'subnet-0a1b2c3d', 'private']
    const endpoints = { routeTables: [] }
    expect(problemsOf({ ...written, network: { vpc: 'main', subnets, endpoints } })).toEqual({
      'network.vpc': 'is "main"; give the id of a VPC, such as "vpc-0a1b2c3d4e5f60718"',
      'network.subnets[1]': 'is "subnet-0a1b2c3d" again, as in network.subnets[0]; give each one once',
      'network.subnets[2]': 'is "private"; give the id of a subnet, such as "subnet-0a1b2c3d4e5f60718"',
      'network.endpoints.routeTables': 'is empty; give the route tables of the subnets',
    })
    expect(problemsOf({ ...written, network: { ...network, subnets: [] } })).toEqual({
      'network.subnets': 'is empty; give the subnets that functions run in, best in two zones or more',
    })
  })
})

describe('approvers of plans and waves', () => {
  it('are those of locks if none are given', () => {
    const { plans, waves } = parseFleet({ ...written, locks: { approvers: ['ana'] }, waves: { approvers: ['bob'] } })
    expect([plans.approvers, waves.approvers]).toEqual([[{ name: 'ana' }], [{ name: 'bob' }]])
  })

  it('have to be enough for what the fleet asks for', () => {
    const plans = {
      policy: { staging: 'two-approvals', production: 'by-hand', stagin: 'one-approval' },
      approvers: ['ana'],
    }
    const clusters = [{ ...staging, approval: 'before' }, production]
    expect(problemsOf({ ...written, clusters, plans })).toEqual({
      'plans.policy.stagin': 'names "stagin", which is no environment of this fleet; did you mean "staging"?',
      'plans.policy.staging': 'is "two-approvals", and plans.approvers names 1 only; name who may approve there',
      'clusters[0].approval': 'is "before", and waves.approvers names nobody; name who may approve',
    })
  })

  it('have one mailbox each, wherever they are named', () => {
    const named = { locks: { approvers: [{ name: 'ana', email: 'a@example.com' }] } }
    expect(
      problemsOf({ ...written, ...named, plans: { approvers: [{ name: 'Ana', email: 'b@example.com' }] } }),
    ).toEqual({
      'plans.approvers[0]': 'gives "Ana" another address than locks.approvers[0]; give one person one address',
    })
    expect(() => parseFleet({ ...written, ...named, plans: { approvers: ['Ana'] } })).not.toThrow()
  })

  it('decide by environment about plans', () => {
    const { plans } = parseFleet({ ...written, plans: { policy: { production: 'by-hand' } } })
    expect([planPolicyOf(plans, 'production'), planPolicyOf(plans, 'staging')]).toEqual(['by-hand', 'one-approval'])
  })
})
