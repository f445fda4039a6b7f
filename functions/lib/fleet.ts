import * as z from 'zod'
import { formatDuration, parseDuration } from './duration.ts'
import { LockstepError } from './errors.ts'
import { nearest } from './nearest.ts'
import type { FailureTolerance } from './waves/failure-tolerance.ts'

/** One mistake in a fleet. */
export interface FleetProblem {
  /** Where: `clusters[1].after[0]`; empty for the fleet as a whole. */
  readonly path: string
  /** What is wrong and what would be right, in one sentence without a full stop. */
  readonly message: string
}

/** Every mistake of a fleet at once. */
export class FleetInvalid extends LockstepError {
  readonly problems: readonly FleetProblem[]

  constructor(problems: readonly FleetProblem[]) {
    const lines = problems.map(({ path, message }) => `  ${path || 'lockstep'}: ${message}`)
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
    super(
      'FleetInvalid',
      `The fleet has ${count}:\n${lines.join('\n')}\n`,
      'Correct them where the fleet is written: context "lockstep" of cdk.json, or the file that was given.',
    )
    this.problems = problems
  }
}

/** Limits a leaf's message to what fits on a line, whatever was written there. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

/** The message for any mistake in one value: every leaf of the schema says what would be right there. */
const give = (right: string) => ({
  error: ({ input }: { readonly input?: unknown }) =>
    input === undefined ? `is missing; give ${right}` : `is ${shown(input)}; give ${right}`,
})

const text = (pattern: RegExp, right: string) => z.string(give(right)).regex(pattern, give(right))

// At most 40 characters: execution names are `<delivery id>-<cluster>`, and Step Functions allows 80.
const label = (what: string) =>
  text(
    /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/,
    `${what} of at most 40 lower-case letters, digits and hyphens, with a letter or digit at both ends`,
  )

const list = <T extends z.ZodType>(item: T, right: string) => z.array(item, give(right))

const durationUpTo = (longest: string) => {
  const most = parseDuration(longest) ?? 0
  return z.string(give('a duration such as "90s", "15m" or "1h30m"')).transform((value, context) => {
    const ms = parseDuration(value)
    if (ms !== undefined && ms >= 1_000 && ms <= most) return ms
    context.addIssue({
      code: 'custom',
      message: `is ${shown(value)}; give a duration from "1s" to "${longest}", such as "90s", "5m" or "1h30m"`,
    })
    return z.NEVER
  })
}

const wholeMinutesText = 'whole minutes from "1m" to "1d", such as "2m"'

// Far below what a timer of Node can hold (24 days) and what an execution may last (one year).
const duration = durationUpTo('7d')

// EventBridge Scheduler counts in minutes.
const wholeMinutes = z.string(give(wholeMinutesText)).transform((value, context) => {
  const ms = parseDuration(value)
  if (ms !== undefined && ms >= 60_000 && ms <= 86_400_000 && ms % 60_000 === 0) return ms
  context.addIssue({ code: 'custom', message: `is ${shown(value)}; give ${wholeMinutesText}` })
  return z.NEVER
})

// One function waits for the fetch, and Lambda ends it after 15 minutes.
const fetchDuration = durationUpTo('10m')

/** An object that takes no other keys. An unknown one is a mistake at its own path, with the key that was meant. */
function section<Shape extends z.core.$ZodLooseShape>(shape: Shape, right: string) {
  const known = Object.keys(shape)
  const refused = z.custom(() => false, {
    error: ({ path }) => {
      const meant = nearest(String(path?.at(-1)), known)
      return `is not a known key; ${meant ? `did you mean "${meant}"?` : `known here are ${known.join(', ')}`}`
    },
  })
  // For the type it is a strict object; as a catch-all, `refused` gives one problem for each key.
  return z.object(shape, give(right)).catchall(refused) as unknown as z.ZodObject<Shape, z.core.$strict>
}

const region = text(/^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/, 'an AWS region such as "us-east-1"')

const account = text(/^\d{12}$/, 'the 12 digits of an AWS account, in quotes')

const repository = section(
  {
    /** `owner/name`, as GitHub shows it. Compared without regard to case, as GitHub does. */
    name: text(/^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/[A-Za-z0-9._-]{1,100}$/, 'a repository as "owner/name"'),
    branches: list(
      text(
        /^(?![-/.])(?!.*(?:\.\.|\/\/|@\{))[^\s\p{Cc}~^:?*[\\]{1,200}(?<![/.])$/u,
        'a branch name, without wildcards',
      ),
      'the branches to roll out, such as ["main"]',
    ).min(1, 'is empty; give the branches to roll out, such as ["main"]'),
    host: text(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'a host name in lower case, such as "github.com"').default(
      'github.com',
    ),
  },
  'a repository: {"name": "owner/name", "branches": ["main"]}',
)

const cluster = section(
  {
    name: label('a cluster name'),
    /** The cluster's name in EKS. */
    eks: text(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, "the cluster's name in EKS"),
    region,
    /** The AWS account that the cluster is in, where it is not Lockstep's own. */
    account: account.optional(),
    /** What the role in that account asks for, so that nobody else makes Lockstep act there on their behalf. */
    externalId: text(
      /^[\w+=,.@:/-]{2,128}$/,
      'an external id: 2 to 128 letters, digits and any of _ + = , . @ : / -',
    ).optional(),
    environment: label('an environment'),
    /** Clusters whose rollouts end well before this one's begins. */
    after: list(z.string(give('the name of a cluster')), 'a list of cluster names').default([]),
    /** Names of the repositories that this cluster follows. */
    repositories: list(z.string(give('the name of a repository')), 'a list of repository names')
      .min(1, 'is empty; leave it out for all repositories, or name some')
      .optional(),
    /** `strict` holds later layers by spec.suspend; `advisory` only annotates. */
    ordering: z.enum(['strict', 'advisory'], give('"strict" or "advisory"')).default('strict'),
    /** People have to agree before a push reaches the wave that this cluster is in. */
    approval: z.literal('before', give('"before", or leave it out')).optional(),
  },
  'a cluster: {"name": …, "eks": …, "region": …, "environment": …}',
)

/** A number or a percentage, as for operations on stacks in many accounts (failure tolerance) or on many instances. */
const failureTolerance = z.custom<FailureTolerance>(
  (value) =>
    typeof value === 'number'
      ? Number.isInteger(value) && value >= 0 && value <= 100_000
      : typeof value === 'string' && /^(0|[1-9]\d?|100)%$/.test(value),
  give('a number of clusters such as 1, or a percentage of the wave such as "10%"'),
)

const deadlines = section(
  {
    /** How long a layer may take, in milliseconds. */
    layer: duration.prefault('60m'),
    /** Layers that may take another time than `layer`, in milliseconds. Read it through `layerDeadline`. */
    layers: z.record(z.string(), duration, give('durations by layer, such as {"database": "90m"}')).default({}),
    /** How long a source may take to serve the pushed revision, in milliseconds. */
    fetch: fetchDuration.prefault('5m'),
  },
  'deadlines: {"layer": "60m", "layers": {"database": "90m"}, "fetch": "5m"}',
)

/** What may be written as its name alone. */
const named = <Shape extends z.core.$ZodLooseShape>(key: string, shape: Shape, right: string) =>
  z.preprocess((raw) => (typeof raw === 'string' ? { [key]: raw } : raw), section(shape, right))

/** Who has to agree before a lock is broken. */
export const lockPolicies = ['auto', 'one-approval', 'two-approvals', 'never'] as const
export type LockPolicy = (typeof lockPolicies)[number]

/** How many people have to agree, of whom none asked for the unlock. */
export const peopleNeeded = { auto: 0, 'one-approval': 1, 'two-approvals': 2 } as const

/** What an environment says nothing about. */
const usualPolicy: LockPolicy = 'one-approval'

const lockPolicy = z.enum(lockPolicies, give('"auto", "one-approval", "two-approvals" or "never"')).optional()

/** Whoever may agree. */
const approver = named(
  'name',
  {
    /** By which a person is told from the others: compared without regard to case. */
    name: text(
      /^[\p{L}\p{N}][\p{L}\p{N} .'@_-]{0,63}$/u,
      "a name of at most 64 letters, digits, spaces and any of . ' @ _ -",
    ),
    /** Where links are sent to. Without one they go to whatever else listens on the topic for that name. */
    email: z.email(give('an e-mail address')).optional(),
  },
  'a name, or {"name": …, "email": …}',
)

const approvers = list(approver, 'a list of people, such as ["ana", {"name": "bob", "email": "bob@example.com"}]')

/** Who has to agree before a plan is applied. An environment that says nothing takes one. */
export const planPolicies = ['one-approval', 'two-approvals', 'by-hand'] as const
export type PlanPolicy = (typeof planPolicies)[number]

const usualPlanPolicy: PlanPolicy = 'one-approval'

const plans = section(
  {
    /** Who has to agree, by environment. `by-hand`: nobody is asked. Read it through `planPolicyOf`. */
    policy: z
      .record(
        z.string(),
        z.enum(planPolicies, give('"one-approval", "two-approvals" or "by-hand"')),
        give('policies by environment, such as {"production": "two-approvals"}'),
      )
      .default({}),
    /** Who may agree, except whoever pushed. Those of `locks` if not given. */
    approvers: approvers.optional(),
    /** How long people have to agree, in milliseconds. */
    approvalFor: duration.prefault('24h'),
  },
  'plans: {"policy": {}, "approvers": [], "approvalFor": "24h"}',
)

const waves = section(
  {
    /** Who may agree, except whoever pushed. Those of `locks` if not given. */
    approvers: approvers.optional(),
    /** How long people have to agree, in milliseconds. */
    approvalFor: duration.prefault('24h'),
  },
  'waves: {"approvers": [], "approvalFor": "24h"}',
)

const locks = section(
  {
    /** Lock tables. Without a region it is the first cluster's. */
    dynamodb: list(
      named(
        'table',
        { table: text(/^[A-Za-z0-9._-]{3,255}$/, 'the name of a DynamoDB table'), region: region.optional() },
        'the name of a table, or {"table": …, "region": …}',
      ),
      'a list of lock tables',
    ).default([]),
    /** Buckets with lock files. Without a region it is the first cluster's. */
    s3: list(
      named(
        'bucket',
        {
          bucket: text(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'the name of an S3 bucket'),
          region: region.optional(),
          /** Where in the bucket the states are; everywhere if not given. */
          prefixes: list(z.string(give('a prefix of keys, such as "env:/"')), 'a list of prefixes')
            .min(1, 'is empty; leave it out for the whole bucket, or name some')
            .optional(),
        },
        'the name of a bucket, or {"bucket": …, "region": …, "prefixes": […]}',
      ),
      'a list of buckets',
    ).default([]),
    /** How old a lock must be before it may be called stale, in milliseconds, by the kind of its operation. */
    minimumAge: section(
      { plan: duration.prefault('15m'), apply: duration.prefault('60m') },
      'ages: {"plan": "15m", "apply": "60m"}',
    ).prefault({}),
    /** How long nothing may have moved before that, in milliseconds. */
    quietWindow: duration.prefault('5m'),
    /** How often is looked, in milliseconds. */
    every: wholeMinutes.prefault('2m'),
    /** Who has to agree, by environment and kind of operation. Read it through `lockPolicyOf`. */
    policy: z
      .record(
        z.string(),
        section({ plan: lockPolicy, apply: lockPolicy }, 'a policy: {"plan": "auto", "apply": "two-approvals"}'),
        give('policies by environment, such as {"production": {"plan": "auto", "apply": "two-approvals"}}'),
      )
      .default({}),
    /** Who may agree. Whoever asks for an unlock does not count among them for that one. */
    approvers: approvers.default([]),
    /** How long people have to agree, in milliseconds. */
    approvalFor: duration.prefault('24h'),
  },
  'locks: {"dynamodb": [], "s3": [], "minimumAge": {"plan": "15m", "apply": "60m"}, "quietWindow": "5m", "every": "2m", "policy": {}, "approvers": [], "approvalFor": "24h"}',
)

/** `10MiB`, in bytes. */
const size = z.string(give('a size such as "10MiB"')).transform((value, context) => {
  const [, count, unit] = /^(\d{1,6})(KiB|MiB)$/.exec(value) ?? []
  const bytes = Number(count) * (unit === 'MiB' ? 1024 : 1) * 1024
  if (bytes > 0) return bytes
  context.addIssue({ code: 'custom', message: `is ${shown(value)}; give a size such as "512KiB" or "10MiB"` })
  return z.NEVER
})

const sweep = section(
  {
    /** How often each cluster is looked through, in milliseconds. */
    every: wholeMinutes.prefault('15m'),
    /** States that are larger than this many bytes are told of. */
    largestState: size.prefault('10MiB'),
  },
  'a sweep: {"every": "15m", "largestState": "10MiB"}',
)

const network = section(
  {
    vpc: text(/^vpc-[0-9a-f]{8,17}$/, 'the id of a VPC, such as "vpc-0a1b2c3d4e5f60718"'),
    /** Private ones: a function has no public address. */
    subnets: list(
      text(/^subnet-[0-9a-f]{8,17}$/, 'the id of a subnet, such as "subnet-0a1b2c3d4e5f60718"'),
      'the subnets that functions run in',
    ).min(1, 'is empty; give the subnets that functions run in, best in two zones or more'),
    /** Of a VPC of Lockstep's own, which has no way to AWS by itself: Lockstep makes VPC endpoints. */
    endpoints: section(
      {
        /** Of these subnets. */
        routeTables: list(
          text(/^rtb-[0-9a-f]{8,17}$/, 'the id of a route table, such as "rtb-0a1b2c3d4e5f60718"'),
          'the route tables of the subnets',
        ).min(1, 'is empty; give the route tables of the subnets'),
      },
      'endpoints: {"routeTables": ["rtb-…"]}',
    ).optional(),
  },
  'a network: {"vpc": "vpc-…", "subnets": ["subnet-…"]}',
)

const fleetSchema = section(
  {
    repositories: list(repository, 'a list of repositories').min(1, 'is empty; give at least one repository'),
    /** The AWS account that Lockstep is in. It is needed where clusters are in others, which have to know it. */
    account: account.optional(),
    /** Where functions run that reach clusters. Without it that is outside of any VPC. */
    network: network.optional(),
    /** Values of the label lockstep.dev/layer, in order. */
    layers: list(label('a layer name'), 'a list of layer names, the first one first').default([]),
    clusters: list(cluster, 'a list of clusters').min(1, 'is empty; give at least one cluster'),
    /** How many clusters of a wave may fail before later waves are not begun. Read it through `failuresTolerated`. */
    failureTolerance: failureTolerance.default(0),
    deadlines: deadlines.prefault({}),
    /** How long gates stay held after a failure before a person is told, in milliseconds. */
    holdFor: duration.prefault('24h'),
    /** Where state locks are looked for, and when one may be called stale: a LockLimits. */
    locks: locks.prefault({}),
    /** Who agrees to the plans of Terraform objects without `spec.approvePlan`. */
    plans: plans.prefault({}),
    /** Who agrees before a wave that has a cluster with `approval`. */
    waves: waves.prefault({}),
    /** The look for what no event told of: lost pushes, drift, and what is stuck. */
    sweep: sweep.prefault({}),
  },
  'an object with repositories, layers and clusters',
).transform((fleet) => ({
  ...fleet,
  clusters: fleet.clusters.map((each) => ({
    ...each,
    repositories: each.repositories ?? fleet.repositories.map(({ name }) => name),
  })),
  locks: {
    ...fleet.locks,
    dynamodb: fleet.locks.dynamodb.map(({ table, region }) => ({ table, region: region ?? firstRegion(fleet) })),
    s3: fleet.locks.s3.map(({ bucket, region, prefixes }) => ({
      ...{ bucket, region: region ?? firstRegion(fleet) },
      ...(prefixes && { prefixes }),
    })),
  },
  plans: { ...fleet.plans, approvers: fleet.plans.approvers ?? fleet.locks.approvers },
  waves: { ...fleet.waves, approvers: fleet.waves.approvers ?? fleet.locks.approvers },
}))

/** There is at least one cluster. */
function firstRegion({ clusters }: { readonly clusters: readonly { readonly region: string }[] }): string {
  return clusters[0]?.region ?? ''
}

/** The fleet with every default filled in and every duration in milliseconds. */
export type Fleet = z.output<typeof fleetSchema>
export type FleetRepository = Fleet['repositories'][number]
export type FleetCluster = Fleet['clusters'][number]
export type FleetLocks = Fleet['locks']
export type Approver = FleetLocks['approvers'][number]

/**
 * The fleet as written in cdk.json, context `lockstep`. Throws one FleetInvalid with every mistake in it, those
 * of single values and those between them.
 */
export function parseFleet(raw: unknown): Fleet {
  const parsed = fleetSchema.safeParse(raw)
  const problems = [
    ...(parsed.error?.issues ?? []).map(({ path, message }) => ({ path: pathText(path), message })),
    ...referenceProblems(namesSchema.parse(raw)),
    ...(parsed.data ? problemsBetween(parsed.data) : []),
  ]
  if (!parsed.success || problems.length > 0) throw new FleetInvalid(problems)
  return parsed.data
}

function problemsBetween(fleet: Fleet): FleetProblem[] {
  return [
    ...scanProblems(fleet.locks),
    ...approverProblems(fleet.locks),
    ...planApproverProblems(fleet.plans),
    ...waveApproverProblems(fleet),
    ...mailboxProblems(fleet),
  ]
}

/** A quiet window is watched over by scans within it: what happens between two that are farther apart nobody sees. */
function scanProblems({ every, quietWindow }: FleetLocks): FleetProblem[] {
  if (every < quietWindow) return []
  const message = `is not shorter than locks.quietWindow (${formatDuration(quietWindow)}), so that no lock would ever be stale`
  return [{ path: 'locks.every', message: `${message}; give a shorter one, or a longer window` }]
}

/**
 * A policy that is written down must be one that can be met. An environment that says nothing may go without people:
 * nothing is unlocked there until somebody is named.
 */
function approverProblems({ policy, approvers }: FleetLocks): FleetProblem[] {
  const count = approvers.length === 0 ? 'nobody' : `${approvers.length} only`
  return Object.entries(policy).flatMap(([environment, kinds]) =>
    Object.entries(kinds).flatMap(([kind, wanted]) => {
      if (wanted === undefined || wanted === 'never' || approvers.length >= peopleNeeded[wanted]) return []
      const message = `is "${wanted}", and locks.approvers names ${count}; name who may approve there`
      return [{ path: `locks.policy.${environment}.${kind}`, message }]
    }),
  )
}

/** As `approverProblems`: an environment that says nothing may go without people, and its plans are approved in Git. */
function planApproverProblems({ policy, approvers }: Fleet['plans']): FleetProblem[] {
  return Object.entries(policy).flatMap(([environment, wanted]) => {
    if (wanted === 'by-hand' || approvers.length >= peopleNeeded[wanted]) return []
    const count = approvers.length === 0 ? 'nobody' : `${approvers.length} only`
    const message = `is "${wanted}", and plans.approvers names ${count}; name who may approve there`
    return [{ path: `plans.policy.${environment}`, message }]
  })
}

function waveApproverProblems({ clusters, waves }: Fleet): FleetProblem[] {
  if (waves.approvers.length > 0) return []
  return clusters.flatMap(({ approval }, at) => {
    if (!approval) return []
    const message = `is "${approval}", and waves.approvers names nobody; name who may approve`
    return [{ path: `clusters[${at}].approval`, message }]
  })
}

/** A name is one person: a link that is meant for one mailbox must not go to another one. */
function mailboxProblems({ locks, plans, waves }: Fleet): FleetProblem[] {
  const known = new Map<string, { readonly email: string; readonly path: string }>()
  return Object.entries({ locks, plans, waves }).flatMap(([section, { approvers }]) =>
    approvers.flatMap(({ name, email }, at) => {
      if (email === undefined) return []
      const path = `${section}.approvers[${at}]`
      const first = known.get(name.toLowerCase())
      if (!first) known.set(name.toLowerCase(), { email, path })
      if (!first || first.email.toLowerCase() === email.toLowerCase()) return []
      return [{ path, message: `gives ${shown(name)} another address than ${first.path}; give one person one address` }]
    }),
  )
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((before, key) => {
    if (typeof key === 'number') return `${before}[${key}]`
    return before === '' ? String(key) : `${before}.${String(key)}`
  }, '')
}

// What refers to what, read past all other mistakes, so that these problems are in the same error.
const name = z.string().optional().catch(undefined)
const names = z.array(name).catch([])
const places = (key: string) =>
  z
    .array(
      z
        .preprocess(
          (raw) => (typeof raw === 'string' ? { name: raw } : { ...Object(raw), name: Object(raw)[key] }),
          z.object({ name, region: name }),
        )
        .catch({ name: undefined, region: undefined }),
    )
    .catch([])
const people = z
  .array(
    z
      .preprocess((raw) => (typeof raw === 'string' ? { name: raw } : raw), z.object({ name, email: name }))
      .catch({ name: undefined, email: undefined }),
  )
  .catch([])
const namesSchema = z
  .object({
    account: name,
    network: z
      .object({ subnets: names, endpoints: z.object({ routeTables: names }).catch({ routeTables: [] }) })
      .catch({ subnets: [], endpoints: { routeTables: [] } }),
    repositories: z.array(z.object({ name, branches: names }).catch({ name: undefined, branches: [] })).catch([]),
    layers: names,
    clusters: z
      .array(
        z
          .object({
            ...{ name, eks: name, region: name, account: name, externalId: name, environment: name },
            ...{ after: names, repositories: names },
          })
          .catch({
            ...{ name: undefined, eks: undefined, region: undefined, account: undefined, externalId: undefined },
            ...{ environment: undefined, after: [], repositories: [] },
          }),
      )
      .catch([]),
    deadlines: z.object({ layers: z.record(z.string(), z.unknown()).catch({}) }).catch({ layers: {} }),
    locks: z
      .object({
        ...{ dynamodb: places('table'), s3: places('bucket'), policy: z.record(z.string(), z.unknown()).catch({}) },
        approvers: people,
      })
      .catch({ dynamodb: [], s3: [], policy: {}, approvers: [] }),
    plans: z
      .object({ policy: z.record(z.string(), z.unknown()).catch({}), approvers: people })
      .catch({ policy: {}, approvers: [] }),
    waves: z.object({ approvers: people }).catch({ approvers: [] }),
  })
  .catch({
    ...{ account: undefined, repositories: [], layers: [], clusters: [], deadlines: { layers: {} } },
    network: { subnets: [], endpoints: { routeTables: [] } },
    locks: { dynamodb: [], s3: [], policy: {}, approvers: [] },
    plans: { policy: {}, approvers: [] },
    waves: { approvers: [] },
  })

type Names = z.output<typeof namesSchema>

function referenceProblems(fleet: Names): FleetProblem[] {
  const repositories = fleet.repositories.map((each) => each.name)
  const clusters = fleet.clusters.map((each) => each.name)
  return [
    // GitHub does not tell names apart by case.
    ...duplicates(
      repositories.map((each) => each?.toLowerCase()),
      (index) => `repositories[${index}].name`,
    ),
    ...fleet.repositories.flatMap(({ branches }, at) =>
      duplicates(branches, (index) => `repositories[${at}].branches[${index}]`),
    ),
    ...duplicates(fleet.layers, (index) => `layers[${index}]`),
    ...duplicates(clusters, (index) => `clusters[${index}].name`),
    // Two names for one cluster would let two rollouts claim it at once.
    ...duplicates(
      fleet.clusters.map(({ eks, region, account }) => {
        const place = account === undefined ? region : `${region} of ${account}`
        return eks && region ? `${eks} in ${place}` : undefined
      }),
      (index) => `clusters[${index}].eks`,
    ),
    ...fleet.clusters.flatMap((each, at) => [
      ...unknownNames('cluster', each.after, clusters, (index) => `clusters[${at}].after[${index}]`),
      ...unknownNames(
        'repository',
        each.repositories,
        repositories,
        (index) => `clusters[${at}].repositories[${index}]`,
      ),
      ...duplicates(each.after, (index) => `clusters[${at}].after[${index}]`),
      ...duplicates(each.repositories, (index) => `clusters[${at}].repositories[${index}]`),
    ]),
    ...cycles(fleet.clusters),
    ...accountProblems(fleet),
    ...duplicates(fleet.network.subnets, (index) => `network.subnets[${index}]`),
    ...duplicates(fleet.network.endpoints.routeTables, (index) => `network.endpoints.routeTables[${index}]`),
    ...duplicates(
      fleet.locks.dynamodb.map(({ name, region = fleet.clusters[0]?.region }) => name && `${name} in ${region}`),
      (index) => `locks.dynamodb[${index}]`,
    ),
    // Their names are unique in all regions.
    ...duplicates(
      fleet.locks.s3.map((each) => each.name),
      (index) => `locks.s3[${index}]`,
    ),
    ...samePeople('locks', fleet.locks.approvers),
    ...samePeople('plans', fleet.plans.approvers),
    ...samePeople('waves', fleet.waves.approvers),
    ...unknownEnvironments('locks', fleet),
    ...unknownEnvironments('plans', fleet),
    ...Object.keys(fleet.deadlines.layers).flatMap((layer) =>
      unknownNames('layer', [layer], fleet.layers, () => `deadlines.layers.${layer}`),
    ),
  ]
}

/** Another account lets Lockstep in by a role that names our account and asks for an external id: one role, one id. */
function accountProblems({ account: own, clusters }: Names): FleetProblem[] {
  const elsewhere = clusters.findIndex(({ account }) => account !== undefined)
  const problems = clusters.flatMap(({ account, externalId }, at): FleetProblem[] => {
    const path = `clusters[${at}]`
    if (account === undefined) {
      if (externalId === undefined) return []
      return [
        {
          path: `${path}.externalId`,
          message: 'is for a cluster in another account; give "account" too, or leave it out',
        },
      ]
    }
    if (account === own)
      return [{ path: `${path}.account`, message: `is ${shown(account)}, which is Lockstep's own; leave it out` }]
    if (externalId === undefined) {
      const message = `is missing; give what the roles in account ${account} ask for, such as a random text`
      return [{ path: `${path}.externalId`, message }]
    }
    const first = clusters.findIndex((each) => each.account === account && each.externalId !== undefined)
    if (clusters[first]?.externalId === externalId) return []
    const message = `is not that of clusters[${first}], which is in the same account; give one id for each account`
    return [{ path: `${path}.externalId`, message }]
  })
  if (elsewhere < 0 || own !== undefined) return problems
  const message = `is missing, and clusters[${elsewhere}] is in another one; give the account that Lockstep is deployed to`
  return [{ path: 'account', message }, ...problems]
}

function duplicates(values: readonly (string | undefined)[], path: (index: number) => string): FleetProblem[] {
  return values.flatMap((value, index) => {
    const first = values.indexOf(value)
    if (value === undefined || first === index) return []
    return [{ path: path(index), message: `is ${shown(value)} again, as in ${path(first)}; give each one once` }]
  })
}

/** One person under two names, or two with one mailbox, could be both approvals. */
function samePeople(section: string, approvers: Names['locks']['approvers']): FleetProblem[] {
  const known = approvers.flatMap(({ name, email }, of) =>
    Object.entries({ name, email }).flatMap(([key, value]) =>
      value === undefined ? [] : [{ of, path: `${section}.approvers[${of}].${key}`, id: value.toLowerCase() }],
    ),
  )
  return known.flatMap(({ of, path, id }) => {
    const first = known.find((other) => other.id === id && other.of < of)
    if (!first) return []
    return [{ path, message: `is ${shown(id)} again, as in ${first.path}; name each person once` }]
  })
}

function unknownEnvironments(section: 'locks' | 'plans', fleet: Names): FleetProblem[] {
  const known = fleet.clusters.map((each) => each.environment)
  return Object.keys(fleet[section].policy).flatMap((environment) =>
    unknownNames('environment', [environment], known, () => `${section}.policy.${environment}`),
  )
}

function unknownNames(
  what: string,
  values: readonly (string | undefined)[],
  known: readonly (string | undefined)[],
  path: (index: number) => string,
): FleetProblem[] {
  const candidates = known.filter((each) => each !== undefined)
  return values.flatMap((value, index) => {
    if (value === undefined || candidates.includes(value)) return []
    const meant = nearest(value, candidates)
    const hint = meant ? `did you mean "${meant}"?` : `known are ${candidates.slice(0, 10).join(', ') || 'none'}`
    return [{ path: path(index), message: `names ${shown(value)}, which is no ${what} of this fleet; ${hint}` }]
  })
}

/** Each cycle of `after` once, at the cluster that closes it. */
function cycles(clusters: Names['clusters']): FleetProblem[] {
  const problems: FleetProblem[] = []
  const done = new Set<string>()
  const visit = (cluster: string, path: readonly string[]) => {
    if (done.has(cluster)) return
    const index = clusters.findIndex((each) => each.name === cluster)
    const way = [...path, cluster]
    for (const before of clusters[index]?.after ?? []) {
      if (before === undefined) continue
      const start = way.indexOf(before)
      if (start < 0) {
        visit(before, way)
        continue
      }
      const cycle = [...way.slice(start), before].join(' after ')
      problems.push({ path: `clusters[${index}].after`, message: `closes a cycle: ${cycle}; remove one of these` })
    }
    done.add(cluster)
  }
  for (const { name } of clusters) if (name !== undefined) visit(name, [])
  return problems
}

/** How long a layer may take, in milliseconds. Objects without a label are in a layer without a name. */
export function layerDeadline(fleet: Fleet, layer?: string): number {
  const own = layer !== undefined && Object.hasOwn(fleet.deadlines.layers, layer) && fleet.deadlines.layers[layer]
  return own || fleet.deadlines.layer
}

/** Who has to agree before a lock of such an operation is broken in an environment. */
export function lockPolicyOf({ policy }: FleetLocks, environment: string, operation: 'plan' | 'apply'): LockPolicy {
  return Object.hasOwn(policy, environment) ? (policy[environment]?.[operation] ?? usualPolicy) : usualPolicy
}

/** Who has to agree before a plan is applied in an environment. */
export function planPolicyOf({ policy }: Fleet['plans'], environment: string): PlanPolicy {
  return (Object.hasOwn(policy, environment) && policy[environment]) || usualPlanPolicy
}
