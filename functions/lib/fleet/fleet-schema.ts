import * as z from 'zod'
import type { FailureTolerance } from '../waves/failure-tolerance.ts'
import {
  account,
  duration,
  fetchDuration,
  give,
  label,
  list,
  named,
  region,
  section,
  size,
  text,
  wholeMinutes,
} from './fleet-values.ts'

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

/** Who has to agree before a lock is broken. */
export const lockPolicies = ['auto', 'one-approval', 'two-approvals', 'never'] as const
export type LockPolicy = (typeof lockPolicies)[number]

/** How many people have to agree, of whom none asked for the unlock. */
export const peopleNeeded = { auto: 0, 'one-approval': 1, 'two-approvals': 2 } as const

/** What an environment says nothing about. */
export const usualPolicy: LockPolicy = 'one-approval'

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
    /** As whom GitHub knows the person, where that is another name: whoever pushed does not approve what was pushed. */
    github: text(/^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$/, 'a user name at GitHub').optional(),
  },
  'a name, or {"name": …, "email": …, "github": …}',
)

const approvers = list(approver, 'a list of people, such as ["ana", {"name": "bob", "email": "bob@example.com"}]')

/** Who has to agree before a plan is applied. An environment that says nothing takes one. */
export const planPolicies = ['one-approval', 'two-approvals', 'by-hand'] as const
export type PlanPolicy = (typeof planPolicies)[number]

export const usualPlanPolicy: PlanPolicy = 'one-approval'

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

/** A secret of AWS Secrets Manager, in the region of Lockstep. */
const secretName = text(
  /^(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$/,
  'the name, or the ARN, of a secret in AWS Secrets Manager, such as "lockstep/slack"',
)

const notifications = section(
  {
    /** Who gets mails of the topic. Whatever else listens on it is added there. */
    emails: list(z.email(give('an e-mail address')), 'a list of e-mail addresses').default([]),
    slack: section(
      {
        /** With `{"webhook": …}`, or `{"token": …}` of a bot. */
        secret: secretName,
        /** Where a bot writes. */
        channel: text(/^[#@]?[\p{L}\p{N}._-]{1,80}$/u, 'the id of a channel, such as "C0123456789"').optional(),
      },
      'a place in Slack: {"secret": "lockstep/slack", "channel": "C0123456789"}',
    ).optional(),
    github: section(
      {
        /** With `{"appId": …, "installationId": …, "privateKey": …}` of a GitHub App, or `{"token": …}`. */
        secret: secretName,
        /** Whether each layer of each cluster has a status of its own, beside that of the whole push. */
        layers: z.boolean(give('true or false')).default(true),
      },
      'commit statuses: {"secret": "lockstep/github"}',
    ).optional(),
  },
  'notifications: {"emails": [], "slack": {"secret": …}, "github": {"secret": …}}',
)

const sweep = section(
  {
    /** How often each cluster is looked through, in milliseconds. */
    every: wholeMinutes.prefault('15m'),
    /** States that are larger than this many bytes are told of. */
    largestState: size.prefault('10MiB'),
  },
  'a sweep: {"every": "15m", "largestState": "10MiB"}',
)

/** https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html#id_tags_naming_best_practices */
const tags = z.record(
  text(
    /^(?!aws:)[\p{L}\p{N} _.:/=+@-]{1,128}$/iu,
    'keys of at most 128 letters, digits, spaces and _ . : / = + - @, not beginning with aws:',
  ),
  text(/^[\p{L}\p{N} _.:/=+@-]{0,256}$/u, 'a value of at most 256 letters, digits, spaces and _ . : / = + - @'),
  give('tags, such as {"team": "platform"}'),
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

export const fleetSchema = section(
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
    /** Who is told what happens. */
    notifications: notifications.prefault({}),
    /** The look for what no event told of: lost pushes, drift, and what is stuck. */
    sweep: sweep.prefault({}),
    /** Of everything in AWS that Lockstep is made of. */
    tags: tags.default({}),
    /** What all that Lockstep keeps is encrypted with: keys of AWS, or a key of its own that is yours to control. */
    encryption: z.enum(['aws', 'customer-key'], give('"aws" or "customer-key"')).default('aws'),
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
